#include "aikd/report.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "aikd/score_percentiles.h"
#include "tensor/error.h"
#include "tests/support/test.h"

using namespace aikd;

namespace {

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}
bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("percentiles are those of numpy") {
  // numpy.percentile([1, 2, 4, 8, 16], [0, 10, 25, 50, 90, 100])
  const std::vector<float> values{1, 2, 4, 8, 16};
  const std::pair<double, double> expected[] = {{0, 1}, {10, 1.4}, {25, 2}, {50, 4}, {90, 12.8}, {100, 16}};
  for (const auto& [p, value] : expected) CHECK(!(std::abs(percentile(values, p) - value) > 1e-12));
  CHECK(percentile(std::vector<float>{3}, 37) == 3);
  CHECK_THROWS_AS(percentile(std::vector<float>{}, 50), Error);
  CHECK_THROWS_AS(percentile(values, 101), Error);
}

TEST_CASE("the histogram counts every value once") {
  const std::vector<float> values{0, 0.1F, 0.5F, 0.99F, 1};
  const Histogram h = histogram(values, 4);
  CHECK(h.counts == std::vector<std::int64_t>{2, 0, 1, 2});
  CHECK(histogram(std::vector<float>{2, 2, 2}, 4).counts == std::vector<std::int64_t>{3});
  CHECK_THROWS_AS(histogram({}, 4), Error);
}

TEST_CASE("the contact sheet shows the worst and the best and is evenly spread") {
  CHECK(sheet_ranks(3, 200) == std::vector<std::int64_t>{0, 1, 2});
  CHECK(sheet_ranks(101, 3) == std::vector<std::int64_t>{0, 50, 100});
  CHECK(sheet_ranks(5, 1) == std::vector<std::int64_t>{0});
  CHECK(sheet_ranks(5, 0).empty());
  CHECK(sheet_ranks(0, 10).empty());
  const auto many = sheet_ranks(1'000'000, 200);
  CHECK(many.size() == 200);
  CHECK(many.front() == 0);
  CHECK(many.back() == 999'999);
  CHECK(std::adjacent_find(many.begin(), many.end(), std::greater_equal<>()) == many.end());
}

TEST_CASE("HTML escaping leaves nothing that could be markup") {
  CHECK(escape_html("<script>\"&'") == "&lt;script&gt;&quot;&amp;&#39;");
  CHECK(escape_html("a\xFF\n\x01z") == "a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz");
  CHECK(escape_html("\xC3\xA9") == "\xC3\xA9");
}

TEST_CASE("base64 of all remainders") {
  const auto encode = [](const std::string& s) {
    return base64({s.begin(), s.end()});
  };  // RFC 4648, section 10
  CHECK(encode("") == "");
  CHECK(encode("f") == "Zg==");
  CHECK(encode("fo") == "Zm8=");
  CHECK(encode("foo") == "Zm9v");
  CHECK(encode("foobar") == "Zm9vYmFy");
  CHECK(base64({0xFB, 0xFF, 0xFE}) == "+//+");
}

TEST_CASE("a report holds facts, histogram, percentiles, sheet and failures, escaped") {
  ReportData data;
  data.title = "A <b>title</b>";
  data.facts = {{"Model", "m&m.safetensors"}};
  data.map = ScoreMap::parse("linear:0,1");
  data.scores = {0.25F, 0.5F, 0.75F};
  data.sheet = {{"<img src=x onerror=alert(1)>.jpg", 0.25F, 25.0, 1, {1, 2, 3}},
                {"best.jpg", 0.75F, 75.0, 3, {}}};
  ScoreRow failure;
  failure.path = "bad\".png";
  failure.status = ScoreStatus::kTruncated;
  failure.error = "It ends <early>.";
  data.failures = {failure};
  data.failed = 4;
  const std::string page = render_report(data);
  CHECK(has(page, "A &lt;b&gt;title&lt;/b&gt;"));
  CHECK(has(page, "m&amp;m.safetensors"));
  CHECK(has(page, "Scores of 3 images"));
  CHECK(has(page, "&lt;img src=x onerror=alert(1)&gt;.jpg"));
  CHECK_FALSE(has(page, "<img src=x"));
  CHECK(has(page, "src=\"data:image/jpeg;base64,AQID\""));
  CHECK(count(page, "<figure>") == 2);
  CHECK(count(page, "<img ") == 1);
  CHECK(has(page, "<b>0.25</b> (25.0) #1"));
  CHECK(has(page, "bad&quot;.png"));
  CHECK(has(page, "truncated"));
  CHECK(has(page, "It ends &lt;early&gt;."));
  CHECK(has(page, "4 failed"));
  CHECK(has(page, "3 more are not shown"));
  CHECK(count(page, "<rect ") == 10);  // bars: the square root of the number of images, 10 to 40
  CHECK(has(page, "<td class=\"n\">50</td><td class=\"n\">0.5</td><td class=\"n\">50.0</td>"));
  // Offline: nothing is fetched and nothing runs.
  for (const char* word : {"http", "<script", "<link", "@import", "url("}) {
    CAPTURE(word);
    CHECK_FALSE(has(page, word));
  }
}

TEST_CASE("a report of a run without scores says so") {
  ReportData data;
  data.title = "Nothing";
  data.failed = 0;
  const std::string page = render_report(data);
  CHECK(has(page, "No image was scored."));
  CHECK_FALSE(has(page, "<svg"));
  data.scores = {2, 1};
  CHECK_THROWS_WITH_AS(render_report(data), doctest::Contains("ascending"), Error);
}

TEST_CASE("the histogram has as many bars as the number of scores bears") {
  for (const auto& [scores, bars] : {std::pair{3, 10}, {400, 20}, {5000, 40}}) {
    ReportData data;
    data.title = "t";
    for (int i = 0; i < scores; ++i) data.scores.push_back(static_cast<float>(i));
    CAPTURE(scores);
    CHECK(count(render_report(data), "<rect ") == static_cast<std::size_t>(bars));
  }
}
