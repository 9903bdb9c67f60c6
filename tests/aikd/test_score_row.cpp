#include "aikd/score_row.h"

#include <nlohmann/json.hpp>

#include "tensor/error.h"
#include "tests/support/test.h"

using namespace aikd;

namespace {

ScoreRow scored() {
  ScoreRow row;
  row.path = "a b,\"c\"\n.jpg";
  row.status = ScoreStatus::kOk;
  row.score = 0.1F;
  row.mapped = 45.678;
  row.width = 150;
  row.height = 100;
  row.aligned = true;
  row.ms = 12.345;
  return row;
}

ScoreRow failed() {
  ScoreRow row;
  row.path = "bad\\.png";
  row.status = ScoreStatus::kTruncated;
  row.error = "It ends, \"early\".";
  return row;
}

RowStyle style(RowFormat format) {
  RowStyle s;
  s.format = format;
  s.model_sha256 = "abc";
  return s;
}

struct Read {
  std::vector<ReadRow> rows;
  std::size_t end = 0;
};
Read read(const std::filesystem::path& path, RowFormat format) {
  Read all;
  all.end = read_rows(path, format, [&all](const ReadRow& row) { all.rows.push_back(row); });
  return all;
}

}  // namespace

TEST_CASE("every status has a name and a description and comes back from its name") {
  for (const ScoreStatus status : kAllStatuses) {
    CHECK(status_from_name(name_of(status)) == status);
    CHECK_FALSE(describe(status).empty());
  }
  CHECK_FALSE(status_from_name("fine").has_value());
}

TEST_CASE("rows as CSV and TSV") {
  CHECK(row_header(style(RowFormat::kCsv)) == "path,score,mapped,status,error,width,height,aligned,ms\n");
  CHECK(row_header(style(RowFormat::kTsv)) ==
        "path\tscore\tmapped\tstatus\terror\twidth\theight\taligned\tms\n");
  CHECK(format_row(scored(), style(RowFormat::kCsv)) ==
        "\"a b,\"\"c\"\"\n.jpg\",0.1,45.68,ok,,150,100,1,12.35\n");
  CHECK(format_row(failed(), style(RowFormat::kCsv)) ==
        "bad\\.png,NA,NA,truncated,\"It ends, \"\"early\"\".\",NA,NA,NA,0.00\n");
  CHECK(format_row(failed(), style(RowFormat::kTsv)) ==
        "bad\\.png\tNA\tNA\ttruncated\t\"It ends, \"\"early\"\".\"\tNA\tNA\tNA\t0.00\n");
}

TEST_CASE("missing values and times as asked") {
  RowStyle s = style(RowFormat::kCsv);
  s.missing = "-1";
  s.with_time = false;
  CHECK(format_row(failed(), s).starts_with("bad\\.png,-1,-1,truncated,"));
  CHECK(format_row(failed(), s).ends_with(",NA,NA,NA,NA\n"));
  ScoreRow unmapped = scored();
  unmapped.path = std::string("x");
  unmapped.mapped = std::numeric_limits<double>::quiet_NaN();
  CHECK(format_row(unmapped, s) == "x,0.1,NA,ok,,150,100,1,NA\n");
  s.format = RowFormat::kJsonl;
  CHECK(nlohmann::json::parse(format_row(failed(), s))["score"] == -1);
  CHECK(nlohmann::json::parse(format_row(unmapped, s))["mapped"].is_null());
}

TEST_CASE("rows as JSON lines") {
  const auto json = nlohmann::json::parse(format_row(scored(), style(RowFormat::kJsonl)));
  CHECK(json["path"] == scored().path);
  CHECK(json["score"].get<float>() == 0.1F);
  CHECK(json["mapped"] == 45.68);
  CHECK(json["status"] == "ok");
  CHECK(json["error"].is_null());
  CHECK(json["width"] == 150);
  CHECK(json["height"] == 100);
  CHECK(json["aligned"] == true);
  CHECK(json["ms"] == 12.35);
  CHECK(json["model"] == "abc");
  const auto bad = nlohmann::json::parse(format_row(failed(), style(RowFormat::kJsonl)));
  CHECK(bad["score"].is_null());
  CHECK(bad["aligned"].is_null());
  CHECK(bad["error"] == failed().error);
}

TEST_CASE("rows as plain text and bare scores") {
  CHECK(format_row(scored(), style(RowFormat::kPlain)) == "\\a b,\"c\"\\n.jpg 0.1\n");
  CHECK(format_row(failed(), style(RowFormat::kPlain)) == "\\bad\\\\.png NA\n");
  ScoreRow row;
  row.path = std::string("a b.jpg");
  row.status = ScoreStatus::kOk;
  row.score = 0.1F;
  CHECK(format_row(row, style(RowFormat::kPlain)) == "a b.jpg 0.1\n");
  CHECK(format_row(row, style(RowFormat::kBare)) == "0.1\n");
  CHECK(row_header(style(RowFormat::kPlain)).empty());
  CHECK_THROWS_AS(format_row(row, style(RowFormat::kPickle)), Error);
}

TEST_CASE("tables come back as they were written and a row cut off is not counted") {
  const test::TempDir dir;
  for (const RowFormat format : {RowFormat::kCsv, RowFormat::kTsv, RowFormat::kJsonl}) {
    CAPTURE(name_of(format));
    ScoreRow bytes = scored();
    bytes.path = "\xFF\xFE.jpg";
    const std::string head = row_header(style(format)), one = format_row(scored(), style(format)),
                      two = format_row(failed(), style(format)), three = format_row(bytes, style(format));
    const std::string whole = head + one + two + three;
    for (std::size_t cut = 0; cut <= three.size(); ++cut) {
      test::write_text(dir / "t", whole.substr(0, whole.size() - cut));
      const Read got = read(dir / "t", format);
      const std::size_t rows = cut == 0 ? 3 : 2;
      REQUIRE(got.rows.size() == rows);
      CHECK(got.end == (cut == 0 ? whole.size() : whole.size() - three.size()));
      CHECK(got.rows[0].row.path == scored().path);
      CHECK(got.rows[0].row.score == 0.1F);
      CHECK(got.rows[0].begin == head.size());
      CHECK(got.rows[0].end == head.size() + one.size());
      CHECK(got.rows[1].row.status == ScoreStatus::kTruncated);
      CHECK(got.rows[1].row.error == failed().error);
      if (cut == 0) CHECK(got.rows[2].row.path == bytes.path);
      CHECK(got.rows[0].model_sha256 == (format == RowFormat::kJsonl ? "abc" : ""));
    }
    test::write_text(dir / "t", head.substr(0, head.size() / 2));
    CHECK(read(dir / "t", format).end == 0);
  }
}

TEST_CASE("each wrong table has its own sentence") {
  const test::TempDir dir;
  const std::string head = row_header(style(RowFormat::kCsv));
  const std::string row = "a,1,2,ok,,1,1,1,1\n", json = format_row(failed(), style(RowFormat::kJsonl));
  const std::tuple<RowFormat, std::string, const char*> cases[] = {
      {RowFormat::kCsv, "name,value\n1,2\n", "instead of the header of aikd-score"},
      {RowFormat::kTsv, head + row, "instead of the header of aikd-score"},
      {RowFormat::kCsv, head + "a,1,2\n", "line 2, has 3 fields; expected 9"},
      {RowFormat::kCsv, head + row + "a,1,2,great,,1,1,1,1\n", "line 3, has the unknown status 'great'"},
      {RowFormat::kCsv, head + "a,one,2,ok,,1,1,1,1\n", "has the score 'one'"},
      {RowFormat::kCsv, head + "a,inf,2,ok,,1,1,1,1\n", "has the score 'inf'"},
      {RowFormat::kCsv, head + "\"a\"b,1,2,ok,,1,1,1,1\n", "text behind its closing quote"},
      {RowFormat::kJsonl, json + "nonsense\n", "line 2, is not a row of aikd-score"},
      {RowFormat::kJsonl, "{\"path\":\"a\"}\n", "lacks one of the members"},
      {RowFormat::kPlain, "a 1\n", "only csv, tsv and jsonl can"},
  };
  for (const auto& [format, text, message] : cases) {
    CAPTURE(message);
    test::write_text(dir / "t", text);
    try {
      read(dir / "t", format);
      FAIL("accepted");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kUsage);
      CHECK_MESSAGE(std::string(error.what()).find(message) != std::string::npos, error.what());
    }
  }
  CHECK_THROWS_WITH_AS(read(dir / "none", RowFormat::kCsv), doctest::Contains("cannot be opened"), Error);
}
