#include "aikd/score_row.h"

#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>

#include "io/table.h"
#include "io/text.h"
#include "tensor/error.h"

namespace aikd {
namespace {

struct StatusText {
  ScoreStatus status;
  std::string_view name, description;
};
constexpr StatusText kStatusTexts[] = {
    {ScoreStatus::kOk, "ok", "scored"},
    {ScoreStatus::kUnreadable, "unreadable", "does not exist, is not a file, or cannot be read"},
    {ScoreStatus::kUnsupported, "unsupported", "not an image format this program knows"},
    {ScoreStatus::kTruncated, "truncated", "the file is empty or ends too early"},
    {ScoreStatus::kCorrupt, "corrupt", "the decoder refuses the content"},
    {ScoreStatus::kTooLarge, "too-large", "more pixels, bytes or JPEG scans than the limits"},
    {ScoreStatus::kNoLandmarks, "no-landmarks", "the landmark file has no entry for it"},
    {ScoreStatus::kBadLandmarks, "bad-landmarks", "its landmarks coincide or are not finite"},
    {ScoreStatus::kNonFinite, "non-finite", "the network's output is not a finite number"},
    {ScoreStatus::kFailed, "failed", "anything else, such as too little memory"},
};

struct FormatName {
  RowFormat format;
  std::string_view name;
};
constexpr FormatName kFormatNames[] = {{RowFormat::kCsv, "csv"},       {RowFormat::kTsv, "tsv"},
                                       {RowFormat::kJsonl, "jsonl"},   {RowFormat::kPlain, "plain"},
                                       {RowFormat::kPickle, "pickle"}, {RowFormat::kBare, "bare"}};

constexpr std::size_t kColumns = 9;

std::string score_text(const ScoreRow& row, const RowStyle& style) {
  return row.ok() ? io::format_number(row.score) : style.missing;
}

std::string mapped_text(const ScoreRow& row, const RowStyle& style) {
  if (!row.ok()) return style.missing;
  return std::isnan(row.mapped) ? "NA" : io::format_fixed(row.mapped, 2);
}

std::string delimited(const ScoreRow& row, const RowStyle& style) {
  const bool sized = row.width > 0;
  const std::vector<std::string> fields{row.path,
                                        score_text(row, style),
                                        mapped_text(row, style),
                                        std::string(name_of(row.status)),
                                        row.error,
                                        sized ? std::to_string(row.width) : "NA",
                                        sized ? std::to_string(row.height) : "NA",
                                        row.ok() ? (row.aligned ? "1" : "0") : "NA",
                                        style.with_time ? io::format_fixed(row.ms, 2) : "NA"};
  return io::delimited_record(fields, style.format == RowFormat::kTsv ? '\t' : ',');
}

std::string json(const ScoreRow& row, const RowStyle& style) {
  const auto or_null = [](const std::string& text) { return text == "NA" ? std::string("null") : text; };
  std::string out = "{\"path\":" + io::json_string(row.path);
  out += ",\"score\":" + or_null(score_text(row, style));
  out += ",\"mapped\":" + or_null(mapped_text(row, style));
  out += ",\"status\":" + io::json_string(name_of(row.status));
  out += ",\"error\":" + (row.ok() ? "null" : io::json_string(row.error));
  out += ",\"width\":" + (row.width > 0 ? std::to_string(row.width) : "null");
  out += ",\"height\":" + (row.width > 0 ? std::to_string(row.height) : "null");
  out += ",\"aligned\":" + std::string(row.ok() ? (row.aligned ? "true" : "false") : "null");
  out += ",\"ms\":" + (style.with_time ? io::format_fixed(row.ms, 2) : "null");
  out += ",\"model\":" + io::json_string(style.model_sha256);
  return out + "}\n";
}

std::string plain(const ScoreRow& row, const RowStyle& style) {
  if (row.path.find_first_of("\n\\") == std::string::npos)
    return row.path + ' ' + score_text(row, style) + '\n';
  std::string out = "\\";
  for (const char c : row.path) {
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\\') {
      out += "\\\\";
    } else {
      out += c;
    }
  }
  return out + ' ' + score_text(row, style) + '\n';
}

// A row of the table `file` whose status and score were read as text.
void set_outcome(ScoreRow& row, std::string_view status, std::string_view score, const std::string& where) {
  const std::optional<ScoreStatus> known = status_from_name(status);
  require(known.has_value(), ErrorKind::kUsage, where, " has the unknown status ", io::in_quotes(status),
          ".");
  row.status = *known;
  require(!row.ok() || (io::parse_number(score, row.score) && std::isfinite(row.score)), ErrorKind::kUsage,
          where, " has the score ", io::in_quotes(score), " where a number is expected.");
}

std::size_t read_delimited(std::istream& in, const std::string& name, RowFormat format,
                           const std::function<void(const ReadRow&)>& use) {
  io::DelimitedReader reader(in, format == RowFormat::kTsv ? '\t' : ',');
  io::DelimitedRecord record;
  if (!reader.next(record) || !record.complete) return 0;
  RowStyle style;
  style.format = format;
  std::string header = row_header(style);
  header.pop_back();
  std::string found;
  for (const std::string& field : record.fields) {
    if (!found.empty()) found += format == RowFormat::kTsv ? '\t' : ',';
    found += field;
  }
  require(found == header, ErrorKind::kUsage, "The table ", name, " begins with ", io::in_quotes(found),
          " instead of the header of aikd-score.");
  std::size_t end = record.end;
  while (reader.next(record) && record.complete) {
    const std::string where = concat("The table ", name, ", line ", record.line, ",");
    require(record.fields.size() == kColumns, ErrorKind::kUsage, where, " has ", record.fields.size(),
            " fields; expected ", kColumns, ".");
    ReadRow read;
    read.row.path = std::move(record.fields[0]);
    read.row.error = std::move(record.fields[4]);
    set_outcome(read.row, record.fields[3], record.fields[1], where);
    read.begin = end;
    read.end = end = record.end;
    use(read);
  }
  return end;
}

std::size_t read_jsonl(std::istream& in, const std::string& name,
                       const std::function<void(const ReadRow&)>& use) {
  std::size_t end = 0, number = 0;
  for (std::string line; std::getline(in, line);) {
    if (in.eof()) break;  // no newline: cut off
    const std::string where = concat("The table ", name, ", line ", ++number, ",");
    std::vector<io::JsonField> fields;
    try {
      fields = io::parse_flat_json(line);
    } catch (const Error& error) {
      fail(ErrorKind::kUsage, where, " is not a row of aikd-score: ", error.what());
    }
    const io::JsonField *path = io::find_field(fields, "path"), *status = io::find_field(fields, "status"),
                        *score = io::find_field(fields, "score"), *model = io::find_field(fields, "model"),
                        *error = io::find_field(fields, "error");
    require(path != nullptr && status != nullptr && score != nullptr && model != nullptr && error != nullptr,
            ErrorKind::kUsage, where, " lacks one of the members path, status, score, error and model.");
    ReadRow read;
    read.row.path = path->text;
    read.row.error = error->text;
    read.model_sha256 = model->text;
    set_outcome(read.row, status->text, score->text, where);
    read.begin = end;
    read.end = end += line.size() + 1;
    use(read);
  }
  return end;
}

}  // namespace

std::string_view name_of(ScoreStatus status) noexcept {
  for (const StatusText& text : kStatusTexts)
    if (text.status == status) return text.name;
  return "failed";
}

std::string_view describe(ScoreStatus status) noexcept {
  for (const StatusText& text : kStatusTexts)
    if (text.status == status) return text.description;
  return "";
}

std::optional<ScoreStatus> status_from_name(std::string_view name) noexcept {
  for (const StatusText& text : kStatusTexts)
    if (text.name == name) return text.status;
  return std::nullopt;
}

std::optional<RowFormat> row_format_from_name(std::string_view name) noexcept {
  for (const FormatName& known : kFormatNames)
    if (known.name == name) return known.format;
  return std::nullopt;
}

std::string_view name_of(RowFormat format) noexcept {
  for (const FormatName& known : kFormatNames)
    if (known.format == format) return known.name;
  return "";
}

std::string row_header(const RowStyle& style) {
  std::string header(kRowHeader);
  if (style.format == RowFormat::kTsv) {
    for (char& c : header)
      if (c == ',') c = '\t';
  } else if (style.format != RowFormat::kCsv) {
    return "";
  }
  return header + '\n';
}

std::string format_row(const ScoreRow& row, const RowStyle& style) {
  switch (style.format) {
    case RowFormat::kCsv:
    case RowFormat::kTsv:
      return delimited(row, style);
    case RowFormat::kJsonl:
      return json(row, style);
    case RowFormat::kPlain:
      return plain(row, style);
    case RowFormat::kBare:
      return score_text(row, style) + '\n';
    case RowFormat::kPickle:
      break;
  }
  fail(ErrorKind::kInternal, "format_row: the format ", name_of(style.format), " has no rows.");
}

std::size_t read_rows(const std::filesystem::path& path, RowFormat format,
                      const std::function<void(const ReadRow&)>& row) {
  const std::string name = io::in_quotes(path.string(), 1000);
  std::ifstream in(path, std::ios::binary);
  require(static_cast<bool>(in), ErrorKind::kUsage, "The table ", name,
          " cannot be opened: ", std::strerror(errno), ".");
  require(format == RowFormat::kCsv || format == RowFormat::kTsv || format == RowFormat::kJsonl,
          ErrorKind::kUsage, "The table ", name, " cannot be read back as ", name_of(format),
          "; only csv, tsv and jsonl can.");
  try {
    return format == RowFormat::kJsonl ? read_jsonl(in, name, row) : read_delimited(in, name, format, row);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kInput) throw;
    fail(ErrorKind::kUsage, "The table ", name, " is malformed. ", error.what());
  }
}

}  // namespace aikd
