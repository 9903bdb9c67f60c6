#include "aikd/train_report.h"

#include <cmath>
#include <cstdlib>
#include <limits>
#include <nlohmann/json.hpp>

#include "aikd/svg_plot.h"
#include "tensor/error.h"
#include "tensor/random.h"
#include "tests/support/test.h"

using namespace aikd;
using nlohmann::ordered_json;

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr float kNanF = std::numeric_limits<float>::quiet_NaN();

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}
bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// The numbers of the first path of a class: "M1 2L3 4" -> 1 2 3 4.
std::vector<double> numbers_of(const std::string& svg, const std::string& path_class) {
  std::vector<double> numbers;
  std::size_t at = svg.find(concat("<path class=\"", path_class, "\" d=\""));
  REQUIRE(at != std::string::npos);
  at = svg.find("d=\"", at) + 3;
  const std::size_t end = svg.find('"', at);
  while (at < end) {
    if (svg[at] == 'M' || svg[at] == 'L' || svg[at] == 'Z' || svg[at] == ' ') {
      ++at;
      continue;
    }
    char* after = nullptr;
    numbers.push_back(std::strtod(svg.c_str() + at, &after));
    REQUIRE(after != svg.c_str() + at);
    at = static_cast<std::size_t>(after - svg.c_str());
  }
  return numbers;
}

// A made-up run with a spike, a gap and a jitter that training makes flatter.
TrainReportData example() {
  Random random(5);
  TrainReportData data;
  data.title = "aikd-train: runs/<example> & co";
  data.facts = {
      {"Method", "aikd"}, {"Teacher", "mobilefacenet \"x\""}, {"Device", "cpu, 2 threads"}, {"Steps", "480"}};
  data.notes = {"3 images could not be decoded & were passed over."};
  data.finals = {{"best loss, misaligned", "0.0412 at step 432"}, {"time", "1:02:11"}};
  std::vector<ordered_json> metrics, validation;
  for (int step = 1; step <= 480; ++step) {
    const double t = step / 480.0, fall = std::exp(-4 * t), noise = 0.1 * random.normal() * fall;
    metrics.push_back({{"step", step},
                       {"epoch", 0},
                       {"loss", 0.5 * fall + 0.05 + noise * 0.3},
                       {"quality_loss", 0.35 * fall + 0.03 + noise * 0.2},
                       {"cosine_loss", 0.15 * fall + 0.02 + noise * 0.1},
                       {"lr_head", 0.05 * std::min(1.0, std::sin(std::min(1.0, step / 72.0) * 1.5708))},
                       {"lr_backbone", 0.01 * std::min(1.0, step / 72.0)},
                       {"grad_norm", step == 200 ? 90.0 : 2 * fall + 0.2 + std::abs(noise)},
                       {"images_per_second", 7.5},
                       {"loss_scale", 128}});
    if (step == 300) metrics.back()["loss"] = nullptr;
  }
  for (int step = 0; step <= 480; step += 48) {
    const double fall = std::exp(-5 * step / 480.0);
    validation.push_back({{"step", step},
                          {"quality_aligned", 0.3 * fall + 0.04},
                          {"quality_misaligned", 0.34 * fall + 0.05},
                          {"cosine_misaligned", 0.12 * fall + 0.03},
                          {"loss_misaligned", 0.46 * fall + 0.08},
                          {"spearman_misaligned", 0.9 - 0.6 * fall}});
  }
  add_rows(data, metrics, validation);
  for (int i = 0; i < 400; ++i) {
    data.scores_before.push_back(static_cast<float>(0.3 + 0.05 * random.normal()));
    data.scores_after.push_back(static_cast<float>(0.55 + 0.15 * random.normal()));
  }
  for (const bool after : {false, true}) {
    JitterCurve score{after ? "after" : "before", {0, 1, 2, 3, 4, 6, 8}, {}}, cosine = score;
    for (const double p : score.pixels) {
      std::vector<float> scores, cosines;
      for (int i = 0; i < 200; ++i) {
        const double harm = (after ? 0.008 : 0.03) * p;
        scores.push_back(static_cast<float>(0.6 - harm + 0.08 * random.normal()));
        cosines.push_back(static_cast<float>(1 - harm * (1 + 0.3 * random.uniform())));
      }
      score.values.push_back(scores);
      cosine.values.push_back(cosines);
    }
    data.score_jitter.push_back(score);
    data.cosine_jitter.push_back(cosine);
  }
  data.config = {{"batch", "64"}, {"images", "/data/<b>faces</b>"}};
  return data;
}

}  // namespace

TEST_CASE("axis ticks are round and cover the interval") {
  CHECK(axis_ticks(0, 10, 5) == std::vector<double>{0, 2, 4, 6, 8, 10});
  const std::vector<double> small = axis_ticks(-0.013, 0.021, 4);
  REQUIRE(small.size() == 4);
  for (std::size_t i = 0; i < 4; ++i)
    CHECK(!(std::abs(small[i] - (static_cast<double>(i) - 1) * 0.01) > 1e-12));
  CHECK(axis_ticks(3, 3, 5) == std::vector<double>{3});
  CHECK(axis_ticks(kNan, 3, 5).size() == 1);
  CHECK(axis_ticks(1e15, 1e15 + 1, 5).size() < 30);
  for (const double hi : {1e-300, 1e300}) CHECK(axis_ticks(0, hi, 5).size() >= 3);
}

TEST_CASE("curves have their points where the axes say, and gaps where there is no number") {
  const std::string svg = line_plot({{"a", {0, 1, 2, 3}, {0, 10, kNan, 5}, {}, {}}}, {.title = "t"});
  const std::vector<double> numbers = numbers_of(svg, "line");
  REQUIRE(numbers.size() == 6);  // three points
  CHECK(count(svg, "M") == 2);   // two strokes
  // x is linear: 0, 1, 3.
  CHECK(!(std::abs((numbers[4] - numbers[0]) - 3 * (numbers[2] - numbers[0])) > 0.31));
  // y: 0 at the bottom, 10 at the top, 5 half way; SVG counts downwards.
  CHECK(numbers[3] < numbers[1]);
  CHECK(!(std::abs(numbers[5] - (numbers[1] + numbers[3]) / 2) > 0.11));
  CHECK_FALSE(has(svg, "nan"));
  CHECK(line_plot({{"a", {1, 2}, {kNan, kNan}, {}, {}}}, {}).empty());
  CHECK(line_plot({}, {}).empty());
  CHECK_THROWS_WITH_AS(line_plot({{"a", {1, 2}, {1}, {}, {}}}, {}),
                       "The plotted series a has 2 x, 1 y, 0 lower and 0 upper values.", Error);
  CHECK_THROWS_AS(line_plot({{"a", {1}, {1}, {1}, {}}}, {}), Error);
}

TEST_CASE("a logarithmic axis spaces decades evenly and leaves out what is not above 0") {
  const std::string svg = line_plot({{"a", {0, 1, 2, 3, 4}, {1, 10, 100, 0, -1}, {}, {}}}, {.log_y = true});
  const std::vector<double> n = numbers_of(svg, "line");
  REQUIRE(n.size() == 6);
  CHECK(!(std::abs((n[1] - n[3]) - (n[3] - n[5])) > 0.21));
  CHECK(n[1] - n[3] > 50);
}

TEST_CASE("extreme values give finite pictures") {
  for (const std::vector<double>& y :
       {std::vector<double>{5, 5}, {0, 0}, {1e300, -1e300}, {1e-300, 2e-300}, {1e16, 1e16 + 2}, {-3, -3}}) {
    const std::string svg = line_plot({{"a", {1, 2}, y, {}, {}}}, {});
    for (const double v : numbers_of(svg, "line")) CHECK((v >= 0 && v <= 560));
    CHECK_FALSE(has(svg, "inf"));
    CHECK_FALSE(has(svg, "nan"));
  }
  CHECK(numbers_of(line_plot({{"a", {7}, {1}, {}, {}}}, {}), "line").size() == 2);
}

TEST_CASE("a band encloses its curve") {
  const std::string svg = line_plot({{"a", {0, 1}, {2, 3}, {1, 2}, {4, 6}}}, {});
  const std::vector<double> line = numbers_of(svg, "line"), band = numbers_of(svg, "band");
  REQUIRE(band.size() == 8);  // there above, back below
  CHECK(band[1] < line[1]);
  CHECK(band[7] > line[1]);
  CHECK(band[3] < line[3]);
  CHECK(band[5] > line[3]);
}

TEST_CASE("long curves are thinned without losing a spike or a gap") {
  PlotSeries series{"a", {}, {}, {}, {}};
  for (int i = 0; i < 100'000; ++i) {
    series.x.push_back(i);
    series.y.push_back(i == 54'321                 ? 1000
                       : i == 12'345               ? -1000
                       : i >= 70'000 && i < 80'000 ? kNan
                       : i == 90'100               ? kNan  // inside one stretch
                                                   : std::sin(i * 0.01));
  }
  const std::string svg = line_plot({series}, {});
  const std::vector<double> n = numbers_of(svg, "line");
  CHECK(n.size() <= 2 * (kMaxPlotPoints + 4));
  CHECK(n.size() > kMaxPlotPoints);
  double top = 1e9, bottom = 0, last_x = -1;
  for (std::size_t i = 0; i < n.size(); i += 2) {
    CHECK(n[i] >= last_x);
    last_x = n[i];
    top = std::min(top, n[i + 1]);
    bottom = std::max(bottom, n[i + 1]);
  }
  CHECK(bottom - top > 180);  // both spikes, of some 200 pixels
  const std::size_t at = svg.find("<path class=\"line\"");
  CHECK(count(svg.substr(at, svg.find("/>", at) - at), "M") == 3);  // both gaps
  CHECK_FALSE(has(line_plot({series}, {.markers = true}), "circle"));
  CHECK(count(line_plot({{"a", {1, 2}, {1, 2}, {}, {}}}, {.markers = true}), "<circle") == 2);
}

TEST_CASE("histograms share their bins and show shares") {
  const std::string svg = histogram_plot({{"a", {0, 0, 0, 1}}, {"b", {1, kNanF}}}, {.title = "h"});
  CHECK(count(svg, "<rect class=\"bar\"") == 3);
  CHECK(has(svg, ": 75.0 %"));
  CHECK(has(svg, ": 25.0 %"));
  CHECK(has(svg, ": 100.0 %"));
  CHECK(has(svg, ">a (4)<"));
  CHECK(has(svg, ">b (1)<"));
  CHECK(count(histogram_plot({{"a", {2, 2}}}, {}), "<rect class=\"bar\"") == 1);
  CHECK(histogram_plot({{"a", {kNanF}}}, {}).empty());
  CHECK(histogram_plot({}, {}).empty());
}

TEST_CASE("quantiles of jitter are those of numpy") {
  // numpy.percentile([1, 2, 4, 8, 16], [5, 25, 50, 75, 95]) = 1.2, 2, 4, 8, 14.4
  const JitterQuantiles q = jitter_quantiles({"x", {0, 3}, {{16, 1, kNanF, 4, 8, 2}, {}}});
  const std::pair<double, double> expected[] = {
      {q.q05.at(0), 1.2}, {q.q25.at(0), 2}, {q.median.at(0), 4}, {q.q75.at(0), 8}, {q.q95.at(0), 14.4}};
  for (const auto& [got, value] : expected) CHECK(!(std::abs(got - value) > 1e-12));
  CHECK(std::isnan(q.median.at(1)));
  CHECK_THROWS_WITH_AS(jitter_quantiles({"x", {0, 1}, {{1}}}),
                       "The jitter curve x has 2 amounts and 1 lists of values.", Error);
}

TEST_CASE("columns of the logs find their plots") {
  TrainReportData data;
  add_rows(data,
           {{{"step", 1},
             {"epoch", 0},
             {"loss", 1},
             {"quality_loss", 1},
             {"lr_head", 1},
             {"grad_norm", 1},
             {"loss_scale", 1}},
            {{"step", 2},
             {"loss", nullptr},
             {"memory_mb", 3},
             {"eta_seconds", 3},
             {"note", "x"},
             {"cosine_loss", 2}}},
           {{{"step", 1}, {"quality_aligned", 1}, {"loss_misaligned", 1}, {"spearman", 0.5}}});
  REQUIRE(data.train_losses.size() == 3);
  CHECK(data.train_losses[0].name == "loss");
  REQUIRE(data.train_losses[0].points.size() == 2);
  CHECK(std::isnan(data.train_losses[0].points[1].second));
  CHECK(data.train_losses[2].name == "cosine_loss");
  CHECK(data.validation_losses.size() == 2);
  CHECK(data.learning_rates.size() == 1);
  CHECK(data.gradient_norms.size() == 1);
  REQUIRE(data.other.size() == 2);
  CHECK(data.other[0].name == "loss_scale");
  CHECK(data.other[1].name == "spearman");
}

TEST_CASE("the report has everything, escapes everything and fetches nothing") {
  const std::string page = render_train_report(example());
  for (const char* part :
       {"<h2>Result</h2>", "<h2>Losses</h2>", ">Training<", ">Validation<", ">Learning rates<",
        ">Gradients before clipping<", ">loss_scale<", ">spearman_misaligned<",
        "<h2>Scores of the validation images</h2>", ">before (400)<", "<h2>Landmark jitter</h2>",
        "<h3>Cosines</h3>", "<h2>Configuration</h2>", "/data/&lt;b&gt;faces&lt;/b&gt;",
        "runs/&lt;example&gt; &amp; co", "mobilefacenet &quot;x&quot;", "passed over.</li>",
        "0.0412 at step 432"})
    CHECK_MESSAGE(has(page, part), part);
  for (const char* part : {"<b>", "<script", "http", "url(", "nan", "inf\"", "@import", " src="})
    CHECK_MESSAGE(!has(page, part), part);
  for (const char* tag : {"figure", "svg", "table", "div", "g", "tr", "ul", "text", "title"})
    CHECK_MESSAGE(count(page, concat("<", tag, ">")) + count(page, concat("<", tag, " ")) ==
                      count(page, concat("</", tag, ">")),
                  tag);
  CHECK(page == render_train_report(example()));
  if (const char* to = std::getenv("AIKD_TEST_KEEP_REPORT")) test::write_text(to, page);  // to look at
}

TEST_CASE("a report of a run that ended at once is a page without plots") {
  const std::string page = render_train_report({.title = "t"});
  CHECK(has(page, "<h1>t</h1>"));
  CHECK_FALSE(has(page, "<svg"));
  CHECK_FALSE(has(page, "<h2>"));
  CHECK(has(page, "</html>"));
  TrainReportData hostile;
  for (auto* pairs : {&hostile.facts, &hostile.finals, &hostile.config}) *pairs = {{"<i>", "\xFF<i>"}};
  hostile.title = hostile.notes.emplace_back("<i>");
  hostile.other = {{"<i>", {{1, 2}}}};
  hostile.train_losses = {{"<i>", {{1, 2}}}};
  hostile.score_jitter = {{"<i>", {0}, {{1}}}};
  CHECK(count(render_train_report(hostile), "<i>") == 0);
}
