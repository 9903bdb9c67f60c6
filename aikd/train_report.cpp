#include "aikd/train_report.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "aikd/report.h"
#include "aikd/run_directory.h"
#include "aikd/score_percentiles.h"
#include "aikd/svg_plot.h"
#include "io/table.h"
#include "tensor/error.h"

namespace aikd {
namespace {

using nlohmann::ordered_json;

constexpr std::string_view kStyle = R"(
:root{color-scheme:light dark;--line:#8884}
body{font:15px/1.45 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem;border-bottom:1px solid var(--line)}
table{border-collapse:collapse}th,td{padding:.2rem .8rem .2rem 0;text-align:left;vertical-align:top;overflow-wrap:anywhere}
th{white-space:nowrap}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,30rem),1fr));gap:0 2rem}
figure{margin:0}.scroll{overflow-x:auto}ul{padding-left:1.2rem}
)";

std::string short_number(double value) {
  if (!std::isfinite(value)) return "n/a";
  return io::format_number(static_cast<float>(std::abs(value) < 1e6 ? std::round(value * 1e4) / 1e4 : value));
}

std::string pairs_table(const TrainReportData::Pairs& pairs) {
  std::string out = "<div class=\"scroll\"><table>\n";
  for (const auto& [name, value] : pairs)
    out += concat("<tr><th>", escape_html(name), "</th><td>", escape_html(value), "</td></tr>\n");
  return out + "</table></div>\n";
}

std::string curves_plot(const std::vector<ReportCurve>& curves, const PlotOptions& options) {
  std::vector<PlotSeries> series;
  for (const ReportCurve& curve : curves) {
    PlotSeries s;
    s.name = curve.name;
    for (const auto& [step, value] : curve.points) {
      s.x.push_back(step);
      s.y.push_back(value);
    }
    series.push_back(std::move(s));
  }
  return line_plot(series, options);
}

std::string jitter_plot(const std::vector<JitterCurve>& curves, const PlotOptions& options) {
  std::vector<PlotSeries> series;
  for (const JitterCurve& curve : curves) {
    JitterQuantiles q = jitter_quantiles(curve);
    series.push_back({curve.name, curve.pixels, q.median, q.q25, q.q75});
  }
  return line_plot(series, options);
}

std::string jitter_table(const std::vector<JitterCurve>& curves) {
  std::string out =
      "<div class=\"scroll\"><table>\n<tr><th></th><th class=\"n\">jitter, pixels</th><th class=\"n\">5 "
      "%</th>"
      "<th class=\"n\">25 %</th><th class=\"n\">median</th><th class=\"n\">75 %</th><th class=\"n\">95 %</th>"
      "</tr>\n";
  for (const JitterCurve& curve : curves) {
    const JitterQuantiles q = jitter_quantiles(curve);
    for (std::size_t i = 0; i < curve.pixels.size(); ++i) {
      out += concat("<tr><td>", escape_html(curve.name), "</td><td class=\"n\">",
                    short_number(curve.pixels[i]), "</td>");
      for (const std::vector<double>* column : {&q.q05, &q.q25, &q.median, &q.q75, &q.q95})
        out += concat("<td class=\"n\">", short_number((*column)[i]), "</td>");
      out += "</tr>\n";
    }
  }
  return out + "</table></div>\n";
}

// "h2" and what follows it, unless there is nothing.
std::string section(const std::string& heading, const std::string& plots, const std::string& text = "") {
  if (plots.empty()) return "";
  return concat("<h2>", escape_html(heading), "</h2>\n", text, "<div class=\"plots\">\n", plots, "</div>\n");
}

std::string jitter_section(const TrainReportData& data) {
  const std::string plots = jitter_plot(data.score_jitter, {.title = "Score against landmark jitter",
                                                            .x_label = "landmarks moved by up to, pixels",
                                                            .y_label = "score",
                                                            .markers = true}) +
                            jitter_plot(data.cosine_jitter, {.title = "Embedding against landmark jitter",
                                                             .x_label = "landmarks moved by up to, pixels",
                                                             .y_label = "cosine to the aligned one",
                                                             .markers = true});
  if (plots.empty()) return "";
  std::string out =
      section("Landmark jitter", plots,
              "<p>The same images with each coordinate of their landmarks moved by a uniform random "
              "amount. Lines are medians, bands the middle half of the images. A model that "
              "tolerates misalignment stays level.</p>\n");
  if (!data.score_jitter.empty()) out += "<h3>Scores</h3>\n" + jitter_table(data.score_jitter);
  if (!data.cosine_jitter.empty()) out += "<h3>Cosines</h3>\n" + jitter_table(data.cosine_jitter);
  return out;
}

// Where a column of a log belongs; null: it is no curve.
std::vector<ReportCurve>* place_of(TrainReportData& data, std::string_view name, bool validation) {
  static const std::set<std::string_view> kNone{"step",      "epoch",       "images", "images_per_second",
                                                "memory_mb", "eta_seconds", "seconds"};
  if (kNone.contains(name)) return nullptr;
  if (name.starts_with("lr_") || name == "lr") return &data.learning_rates;
  if (name.starts_with("grad_norm") || name.starts_with("clip_")) return &data.gradient_norms;
  for (const char* loss : {"loss", "quality", "cosine"})
    if (name.starts_with(loss) && !name.starts_with("loss_scale"))
      return validation ? &data.validation_losses : &data.train_losses;
  return &data.other;
}

void add_columns(TrainReportData& data, const std::vector<ordered_json>& rows, bool validation) {
  std::vector<std::string> names;  // in the order of their first row
  std::set<std::string> seen;
  for (const ordered_json& row : rows)
    for (const auto& [key, value] : row.items())
      if (seen.insert(key).second) names.push_back(key);
  for (const std::string& name : names) {
    std::vector<ReportCurve>* place = place_of(data, name, validation);
    if (place == nullptr) continue;
    std::vector<std::pair<double, double>> points = row_curve(rows, name);
    if (!points.empty()) place->push_back({name, std::move(points)});
  }
}

}  // namespace

void add_rows(TrainReportData& data, const std::vector<ordered_json>& metrics,
              const std::vector<ordered_json>& validation) {
  add_columns(data, metrics, false);
  add_columns(data, validation, true);
}

JitterQuantiles jitter_quantiles(const JitterCurve& curve) {
  require(curve.pixels.size() == curve.values.size(), ErrorKind::kInternal, "The jitter curve ", curve.name,
          " has ", curve.pixels.size(), " amounts and ", curve.values.size(), " lists of values.");
  JitterQuantiles q;
  for (std::vector<float> values : curve.values) {
    std::erase_if(values, [](float v) { return !std::isfinite(v); });
    std::sort(values.begin(), values.end());
    const auto at = [&values](double p) {
      return values.empty() ? std::numeric_limits<double>::quiet_NaN() : percentile(values, p);
    };
    q.q05.push_back(at(5));
    q.q25.push_back(at(25));
    q.median.push_back(at(50));
    q.q75.push_back(at(75));
    q.q95.push_back(at(95));
  }
  return q;
}

std::string render_train_report(const TrainReportData& data) {
  std::string out = concat("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n",
                           "<meta name=\"viewport\" content=\"width=device-width\">\n<title>",
                           escape_html(data.title), "</title>\n<style>", kStyle, kPlotStyle,
                           "</style></head><body>\n<h1>", escape_html(data.title), "</h1>\n");
  out += pairs_table(data.facts);
  if (!data.notes.empty()) {
    out += "<ul>\n";
    for (const std::string& note : data.notes) out += concat("<li>", escape_html(note), "</li>\n");
    out += "</ul>\n";
  }
  if (!data.finals.empty()) out += "<h2>Result</h2>\n" + pairs_table(data.finals);
  out += section(
      "Losses",
      curves_plot(data.train_losses, {.title = "Training", .x_label = "step", .y_label = "loss"}) +
          curves_plot(data.validation_losses,
                      {.title = "Validation", .x_label = "step", .y_label = "loss", .markers = true}));
  out += section(
      "Optimiser",
      curves_plot(data.learning_rates,
                  {.title = "Learning rates", .x_label = "step", .y_label = "learning rate"}) +
          curves_plot(
              data.gradient_norms,
              {.title = "Gradients before clipping", .x_label = "step", .y_label = "norm", .log_y = true}));
  std::string others;  // one plot each: their scales differ
  for (const ReportCurve& curve : data.other)
    others +=
        curves_plot({curve}, {.title = curve.name, .x_label = "step", .y_label = "value", .markers = true});
  out += section("More", others);
  std::vector<HistogramSeries> scores;
  if (!data.scores_before.empty()) scores.push_back({"before", data.scores_before});
  if (!data.scores_after.empty()) scores.push_back({"after", data.scores_after});
  out += section("Scores of the validation images",
                 histogram_plot(scores, {.title = "Distribution, aligned crops",
                                         .x_label = "score",
                                         .y_label = "share of the images"}));
  out += jitter_section(data);
  if (!data.config.empty()) out += "<h2>Configuration</h2>\n" + pairs_table(data.config);
  return out + "</body></html>\n";
}

}  // namespace aikd
