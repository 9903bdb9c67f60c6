#include "aikd/report.h"

#include <algorithm>
#include <cmath>

#include "aikd/score_percentiles.h"
#include "io/table.h"
#include "tensor/error.h"

namespace aikd {
namespace {

constexpr std::string_view kStyle = R"(
:root{color-scheme:light dark;--line:#8884;--bar:#3b6ea8}
body{font:15px/1.45 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem;border-bottom:1px solid var(--line)}
table{border-collapse:collapse}th,td{padding:.2rem .8rem .2rem 0;text-align:left;vertical-align:top;overflow-wrap:anywhere}
th{white-space:nowrap}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
.sheet{display:grid;grid-template-columns:repeat(auto-fill,minmax(118px,1fr));gap:.8rem}
figure{margin:0;font-size:.75rem}figure img,figure .none{width:112px;height:112px;display:block;background:#8882}
figcaption{overflow-wrap:anywhere}b{font-variant-numeric:tabular-nums}
svg{width:100%;height:auto}svg rect{fill:var(--bar)}svg text{fill:currentColor;font-size:12px}
.scroll{overflow-x:auto}
)";

std::string short_number(double value) {
  if (std::isnan(value)) return "n/a";
  return io::format_number(static_cast<float>(std::abs(value) < 1e6 ? std::round(value * 1e4) / 1e4 : value));
}

std::string cell(const std::string& text, bool number = false) {
  return concat(number ? "<td class=\"n\">" : "<td>", escape_html(text), "</td>");
}

std::string facts_table(const ReportData& data) {
  std::string out = "<table>\n";
  for (const auto& [name, value] : data.facts)
    out += concat("<tr><th>", escape_html(name), "</th>", cell(value), "</tr>\n");
  return out + "</table>\n";
}

std::string histogram_svg(const ReportData& data) {
  constexpr int kWidth = 800, kHeight = 200, kBase = 170;
  // The square-root rule, so that few images do not make a comb.
  const int bins = std::clamp(static_cast<int>(std::sqrt(static_cast<double>(data.scores.size()))), 10, 40);
  const Histogram h = histogram(data.scores, bins);
  const std::int64_t most = *std::max_element(h.counts.begin(), h.counts.end());
  const double step = static_cast<double>(kWidth) / static_cast<double>(h.counts.size());
  std::string out = concat("<svg viewBox=\"0 0 ", kWidth, " ", kHeight,
                           "\" role=\"img\" aria-label=\"Histogram of the scores\">\n");
  for (std::size_t i = 0; i < h.counts.size(); ++i) {
    const double height = 150.0 * static_cast<double>(h.counts[i]) / static_cast<double>(most);
    const double width = (h.hi - h.lo) / static_cast<double>(h.counts.size());
    const double from = h.lo + width * static_cast<double>(i);
    out += concat("<rect x=\"", io::format_fixed(step * static_cast<double>(i), 1), "\" y=\"",
                  io::format_fixed(kBase - height, 1), "\" width=\"", io::format_fixed(step - 1, 1),
                  "\" height=\"", io::format_fixed(height, 1), "\"><title>", short_number(from), " to ",
                  short_number(from + width), ": ", h.counts[i], "</title></rect>\n");
  }
  out += concat("<text x=\"0\" y=\"190\">", short_number(h.lo), "</text><text x=\"", kWidth,
                "\" y=\"190\" text-anchor=\"end\">", short_number(h.hi), "</text><text x=\"0\" y=\"14\">",
                most, most == 1 ? " image" : " images", " in the highest bar</text>\n</svg>\n");
  return out;
}

std::string percentile_table(const ReportData& data) {
  std::string out =
      "<table>\n<tr><th class=\"n\">percentile</th><th class=\"n\">score</th><th class=\"n\">mapped</th>"
      "</tr>\n";
  for (const int p : kShownPercentiles) {
    const double value = percentile(data.scores, p);
    const double mapped = data.map.map(value);
    out += "<tr>" + cell(std::to_string(p), true) + cell(short_number(value), true) +
           cell(std::isnan(mapped) ? "n/a" : io::format_fixed(mapped, 1), true) + "</tr>\n";
  }
  return out + "</table>\n";
}

std::string figure(const ReportImage& image) {
  const std::string name = escape_html(image.path);
  std::string out = "<figure>";
  if (image.jpeg.empty()) {
    out += "<div class=\"none\"></div>";
  } else {
    out += concat("<img width=\"112\" height=\"112\" alt=\"", name, "\" src=\"data:image/jpeg;base64,",
                  base64(image.jpeg), "\">");
  }
  out += concat("<figcaption><b>", short_number(static_cast<double>(image.score)), "</b>");
  if (!std::isnan(image.mapped)) out += concat(" (", io::format_fixed(image.mapped, 1), ")");
  return out + concat(" #", image.rank, "<br>", name, "</figcaption></figure>\n");
}

std::string failure_table(const ReportData& data) {
  std::string out = "<div class=\"scroll\"><table>\n<tr><th>image</th><th>status</th><th>reason</th></tr>\n";
  for (const ScoreRow& row : data.failures)
    out += "<tr>" + cell(row.path) + cell(std::string(name_of(row.status))) + cell(row.error) + "</tr>\n";
  out += "</table></div>\n";
  const auto shown = static_cast<std::int64_t>(data.failures.size());
  if (shown < data.failed)
    out += concat("<p>", data.failed - shown, " more are not shown; the result rows have them all.</p>\n");
  return out;
}

}  // namespace

std::vector<std::int64_t> sheet_ranks(std::int64_t count, std::int64_t limit) {
  std::vector<std::int64_t> ranks;
  const std::int64_t shown = std::clamp<std::int64_t>(limit, 0, count);
  for (std::int64_t i = 0; i < shown; ++i) ranks.push_back(shown == 1 ? 0 : i * (count - 1) / (shown - 1));
  return ranks;
}

std::string escape_html(std::string_view text) {
  std::string out;
  for (const char c : io::displayable_utf8(text)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '"') {
      out += "&quot;";
    } else if (c == '\'') {
      out += "&#39;";
    } else if (byte < 0x20 || byte == 0x7F) {
      out += "\xEF\xBF\xBD";  // U+FFFD
    } else {
      out += c;
    }
  }
  return out;
}

std::string base64(const std::vector<std::uint8_t>& bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t left = bytes.size() - i;
    const unsigned group = (unsigned{bytes[i]} << 16) | (left > 1 ? unsigned{bytes[i + 1]} << 8 : 0U) |
                           (left > 2 ? unsigned{bytes[i + 2]} : 0U);
    out += kDigits[group >> 18];
    out += kDigits[(group >> 12) & 63U];
    out += left > 1 ? kDigits[(group >> 6) & 63U] : '=';
    out += left > 2 ? kDigits[group & 63U] : '=';
  }
  return out;
}

std::string render_report(const ReportData& data) {
  require(std::is_sorted(data.scores.begin(), data.scores.end()), ErrorKind::kInternal,
          "render_report needs the scores in ascending order.");
  std::string out =
      concat("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n",
             "<meta name=\"viewport\" content=\"width=device-width\">\n<title>", escape_html(data.title),
             "</title>\n<style>", kStyle, "</style></head><body>\n<h1>", escape_html(data.title), "</h1>\n");
  out +=
      "<p>The score estimates how useful a face image is for automatic recognition. It is not a judgement of "
      "beauty, and not proof that there is a face. Scores can differ between groups of people as far as the "
      "recognition model behind them does: check a threshold on data like yours before using it.</p>\n";
  out += facts_table(data);
  if (!data.scores.empty()) {
    out += concat("<h2>Scores of ", data.scores.size(), " images</h2>\n", histogram_svg(data));
    out += "<h2>Percentiles</h2>\n" + percentile_table(data);
    out += concat("<h2>From worst to best</h2>\n<p>", data.sheet.size(), " of ", data.scores.size(),
                  " images, as the network saw them; # is the rank from the worst.</p>\n",
                  "<div class=\"sheet\">\n");
    for (const ReportImage& image : data.sheet) out += figure(image);
    out += "</div>\n";
  } else {
    out += "<h2>Scores</h2>\n<p>No image was scored.</p>\n";
  }
  if (data.failed > 0) out += concat("<h2>", data.failed, " failed</h2>\n", failure_table(data));
  return out + "</body></html>\n";
}

}  // namespace aikd
