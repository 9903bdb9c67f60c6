#include "aikd/svg_plot.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "aikd/report.h"
#include "io/table.h"
#include "tensor/error.h"

namespace aikd {

// Six hues that also differ in lightness (Okabe and Ito, 2008); the band and the bars are see-through.
const std::string_view kPlotStyle = R"(
.plot{margin:0 0 1.2rem}.plot figcaption{font-size:.95rem;font-weight:600;margin-bottom:.2rem}
.plot svg{width:100%;height:auto;max-width:40rem}
.plot svg text{fill:currentColor;font-size:12px}.plot .grid{stroke:var(--line);stroke-width:1}
.plot path{fill:none;stroke-width:1.8;stroke-linejoin:round}
.plot .s0{--c:#0072b2}.plot .s1{--c:#d55e00}.plot .s2{--c:#009e73}.plot .s3{--c:#cc79a7}.plot .s4{--c:#e69f00}.plot .s5{--c:#56b4e9}
.plot path.line{stroke:var(--c)}.plot path.band{fill:var(--c);fill-opacity:.15;stroke:none}
.plot svg circle.dot,.plot svg rect.key{fill:var(--c)}.plot svg rect.bar{fill:var(--c);fill-opacity:.5}
)";

namespace {

constexpr double kWidth = 560, kHeight = 280, kLeft = 66, kRight = 12, kTop = 10, kBottom = 46;
constexpr int kColours = 6;
constexpr std::size_t kMostMarkers = 80;  // more would be one thick line

std::string fixed(double value) {
  return io::format_fixed(value, 1);
}

// Four significant digits: what a reader of a picture needs.
std::string label(double value) {
  if (value == 0) return "0";
  if (!(std::abs(value) > 1e-30 && std::abs(value) < 1e30)) return io::format_number(value);
  const double scale = std::pow(10.0, 3 - std::floor(std::log10(std::abs(value))));
  return io::format_number(static_cast<float>(std::round(value * scale) / scale));
}

std::string colour(std::size_t i) {
  return concat("s", i % kColours);
}

// One axis: values to pixels.
struct Axis {
  double lo = 0, hi = 1, from = 0, to = 1;
  bool log = false;
  bool holds(double v) const { return std::isfinite(v) && (!log || v > 0); }
  double at(double v) const {
    const double u =
        log ? (std::log10(v) - std::log10(lo)) / (std::log10(hi) - std::log10(lo)) : (v - lo) / (hi - lo);
    return from + (to - from) * u;
  }
  std::vector<double> ticks(int count) const {
    if (!log) return axis_ticks(lo, hi, count);
    std::vector<double> decades;
    for (double e = std::ceil(std::log10(lo) - 1e-9); e <= std::log10(hi) + 1e-9; ++e)
      decades.push_back(std::pow(10.0, e));
    return decades.size() >= 2 ? decades : axis_ticks(lo, hi, count);
  }
};

struct Extent {
  double lo = std::numeric_limits<double>::infinity(), hi = -std::numeric_limits<double>::infinity();
  void add(double v) {
    lo = std::min(lo, v);
    hi = std::max(hi, v);
  }
  bool empty() const { return lo > hi; }
};

// A little air around the data; a single value gets an interval around it.
Axis make_axis(Extent extent, double from, double to, bool log, double air) {
  Axis axis{extent.lo, extent.hi, from, to, log};
  if (log) {
    axis.lo /= 1.1;
    axis.hi *= 1.1;
    return axis;
  }
  double room = (extent.hi - extent.lo) * air;
  // A span that rounding errors of its ends could make.
  const double least = std::max(std::abs(extent.lo), std::abs(extent.hi)) * 1e-6;
  if (!(extent.hi - extent.lo > least)) room = std::max(std::abs(extent.hi) * 0.1, 1e-6);
  axis.lo -= room;
  axis.hi += room;
  return axis;
}

std::string text_at(double x, double y, const char* anchor, const std::string& text) {
  return concat("<text x=\"", fixed(x), "\" y=\"", fixed(y), "\" text-anchor=\"", anchor, "\">",
                escape_html(text), "</text>");
}

std::string frame(const Axis& x, const Axis& y, const PlotOptions& o) {
  std::string out;
  for (const double tick : y.ticks(5)) {
    if (!(tick >= y.lo && tick <= y.hi)) continue;
    out += concat("<line class=\"grid\" x1=\"", fixed(kLeft), "\" x2=\"", fixed(kWidth - kRight), "\" y1=\"",
                  fixed(y.at(tick)), "\" y2=\"", fixed(y.at(tick)), "\"/>",
                  text_at(kLeft - 6, y.at(tick) + 4, "end", label(tick)), "\n");
  }
  for (const double tick : x.ticks(7)) {
    if (!(tick >= x.lo && tick <= x.hi)) continue;
    out += concat("<line class=\"grid\" x1=\"", fixed(x.at(tick)), "\" x2=\"", fixed(x.at(tick)), "\" y1=\"",
                  fixed(kHeight - kBottom), "\" y2=\"", fixed(kHeight - kBottom + 4), "\"/>",
                  text_at(x.at(tick), kHeight - kBottom + 17, "middle", label(tick)), "\n");
  }
  out += text_at((kLeft + kWidth - kRight) / 2, kHeight - 8, "middle", o.x_label);
  const std::string middle = fixed((kTop + kHeight - kBottom) / 2);
  out += concat("<text transform=\"translate(14 ", middle, ") rotate(-90)\" text-anchor=\"middle\">",
                escape_html(o.y_label), "</text>\n");
  return out;
}

// Names with their colours, below the plot's top edge, in rows of three.
std::string legend(const std::vector<std::string>& names) {
  std::string out;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const double x = kLeft + 4 + 162 * static_cast<double>(i % 3);
    const std::size_t row = i / 3;
    const double y = kTop + 10 + 16 * static_cast<double>(row);
    out += concat("<g class=\"", colour(i), "\"><rect class=\"key\" x=\"", fixed(x), "\" y=\"", fixed(y - 8),
                  "\" width=\"12\" height=\"8\"/>", text_at(x + 17, y, "start", names[i]), "</g>\n");
  }
  return out;
}

std::string wrap(const PlotOptions& o, const std::string& inside) {
  return concat("<figure class=\"plot\"><figcaption>", escape_html(o.title),
                "</figcaption>\n<svg viewBox=\"0 0 ", kWidth, " ", kHeight, "\" role=\"img\" aria-label=\"",
                escape_html(o.title), "\">\n", inside, "</svg></figure>\n");
}

// The positions that are drawn: all, or the least and the greatest of equal stretches; a gap inside one
// stays.
std::vector<std::size_t> thinned(const std::vector<double>& y) {
  std::vector<std::size_t> kept;
  const std::size_t n = y.size(), stretches = n <= kMaxPlotPoints ? n : kMaxPlotPoints / 2;
  for (std::size_t s = 0; s < stretches; ++s) {
    const std::size_t begin = s * n / stretches, end = (s + 1) * n / stretches;
    std::size_t least = begin, most = begin, gap = end;
    for (std::size_t i = begin; i < end; ++i) {
      if (!std::isfinite(y[i])) {
        gap = std::min(gap, i);
        continue;
      }
      if (!std::isfinite(y[least]) || y[i] < y[least]) least = i;
      if (!std::isfinite(y[most]) || y[i] > y[most]) most = i;
    }
    kept.push_back(std::min(least, most));
    if (least != most) kept.push_back(std::max(least, most));
    if (gap == end || !std::isfinite(y[least])) continue;
    kept.push_back(gap);
    std::sort(kept.begin(), kept.end());
  }
  return kept;
}

std::string curve(const PlotSeries& s, const Axis& x, const Axis& y, const PlotOptions& o) {
  std::string path, dots;
  bool pen_down = false;
  for (const std::size_t i : thinned(s.y)) {
    if (!std::isfinite(s.x[i]) || !y.holds(s.y[i])) {
      pen_down = false;
      continue;
    }
    const std::string px = fixed(x.at(s.x[i])), py = fixed(y.at(s.y[i]));
    path += concat(pen_down ? "L" : "M", px, " ", py);
    pen_down = true;
    if (o.markers && s.y.size() <= kMostMarkers)
      dots += concat("<circle class=\"dot\" cx=\"", px, "\" cy=\"", py, "\" r=\"3\"><title>", label(s.x[i]),
                     ": ", label(s.y[i]), "</title></circle>");
  }
  return concat("<path class=\"line\" d=\"", path, "\"/>", dots);
}

std::string band(const PlotSeries& s, const Axis& x, const Axis& y) {
  std::string there, back;
  for (std::size_t i = 0; i < s.lo.size(); ++i) {
    if (!std::isfinite(s.x[i]) || !y.holds(s.lo[i]) || !y.holds(s.hi[i])) continue;
    const std::string px = fixed(x.at(s.x[i]));
    there += concat(there.empty() ? "M" : "L", px, " ", fixed(y.at(s.hi[i])));
    back = concat("L", px, " ", fixed(y.at(s.lo[i]))) + back;
  }
  return there.empty() ? "" : concat("<path class=\"band\" d=\"", there, back, "Z\"/>");
}

}  // namespace

std::vector<double> axis_ticks(double lo, double hi, int count) {
  if (!std::isfinite(lo) || !std::isfinite(hi) || !(hi > lo) || count < 1) return {lo};
  const double rough = (hi - lo) / count;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  double step = power;
  for (const double factor : {1.0, 2.0, 5.0, 10.0}) {
    step = factor * power;
    if (step >= rough * (1 - 1e-9)) break;
  }
  std::vector<double> ticks;
  const double first = std::ceil(lo / step - 1e-9);
  for (int i = 0; i < 4 * count + 4 && (first + i) * step <= hi + step * 1e-9; ++i)
    ticks.push_back((first + i) * step);
  return ticks;
}

std::string line_plot(const std::vector<PlotSeries>& series, const PlotOptions& o) {
  Extent xs, ys;
  const Axis plain{0, 1, 0, 1, o.log_y};
  for (const PlotSeries& s : series) {
    const bool banded = !s.lo.empty() || !s.hi.empty();
    require(s.x.size() == s.y.size() && (!banded || (s.lo.size() == s.y.size() && s.hi.size() == s.y.size())),
            ErrorKind::kInternal, "The plotted series ", s.name, " has ", s.x.size(), " x, ", s.y.size(),
            " y, ", s.lo.size(), " lower and ", s.hi.size(), " upper values.");
    for (std::size_t i = 0; i < s.x.size(); ++i) {
      if (!std::isfinite(s.x[i]) || !plain.holds(s.y[i])) continue;
      xs.add(s.x[i]);
      ys.add(s.y[i]);
      if (banded && plain.holds(s.lo[i])) ys.add(s.lo[i]);
      if (banded && plain.holds(s.hi[i])) ys.add(s.hi[i]);
    }
  }
  if (xs.empty()) return "";
  std::vector<std::string> names;
  for (const PlotSeries& s : series) names.push_back(s.name);
  const std::size_t legend_rows = (names.size() + 2) / 3;
  const double legend_height = 16 * static_cast<double>(legend_rows) + 4;
  const Axis x = make_axis(xs, kLeft, kWidth - kRight, false, 0.01);
  const Axis y = make_axis(ys, kHeight - kBottom, kTop + legend_height, o.log_y, 0.05);
  std::string out = frame(x, y, o);
  for (std::size_t i = 0; i < series.size(); ++i)
    out +=
        concat("<g class=\"", colour(i), "\">", band(series[i], x, y), curve(series[i], x, y, o), "</g>\n");
  return wrap(o, out + legend(names));
}

std::string histogram_plot(const std::vector<HistogramSeries>& series, const PlotOptions& o) {
  Extent xs;
  std::size_t most = 0;
  for (const HistogramSeries& s : series) {
    std::size_t n = 0;
    for (const float v : s.values) {
      if (!std::isfinite(v)) continue;
      xs.add(static_cast<double>(v));
      ++n;
    }
    most = std::max(most, n);
  }
  if (xs.empty()) return "";
  if (xs.lo == xs.hi) xs = {xs.lo - 0.5, xs.hi + 0.5};
  // The square-root rule, so that few values do not make a comb.
  const auto bins = static_cast<std::size_t>(std::clamp(std::sqrt(static_cast<double>(most)), 10.0, 40.0));
  const double width = (xs.hi - xs.lo) / static_cast<double>(bins);
  std::vector<std::vector<double>> shares;
  std::vector<std::string> names;
  Extent ys;
  ys.add(0);
  for (const HistogramSeries& s : series) {
    std::vector<double> counts(bins, 0);
    double n = 0;
    for (const float v : s.values) {
      if (!std::isfinite(v)) continue;
      const double place = std::floor((static_cast<double>(v) - xs.lo) / width);
      ++counts[std::min(bins - 1, static_cast<std::size_t>(std::max(0.0, place)))];
      ++n;
    }
    for (double& count : counts) ys.add(count = n > 0 ? count / n : 0);
    shares.push_back(std::move(counts));
    names.push_back(concat(s.name, " (", n, ")"));
  }
  const Axis x = make_axis(xs, kLeft, kWidth - kRight, false, 0);
  const Axis y{0, ys.hi, kHeight - kBottom, kTop + 24, false};
  std::string out = frame(x, y, o);
  for (std::size_t i = 0; i < series.size(); ++i) {
    out += concat("<g class=\"", colour(i), "\">");
    for (std::size_t b = 0; b < bins; ++b) {
      if (shares[i][b] == 0) continue;
      const double from = xs.lo + width * static_cast<double>(b), top = y.at(shares[i][b]);
      out += concat("<rect class=\"bar\" x=\"", fixed(x.at(from)), "\" y=\"", fixed(top), "\" width=\"",
                    fixed(x.at(from + width) - x.at(from) - 1), "\" height=\"", fixed(y.at(0) - top),
                    "\"><title>", label(from), " to ", label(from + width), ": ", fixed(100 * shares[i][b]),
                    " %</title></rect>");
    }
    out += "</g>\n";
  }
  return wrap(o, out + legend(names));
}

}  // namespace aikd
