// Plots as inline SVG for offline pages: curves with bands, and histograms. Pure functions; colours come from
// the page's style (classes s0..s5, band, grid), so that they follow a dark or light theme.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace aikd {

struct PlotSeries {
  std::string name;
  std::vector<double> x, y;    // x ascending; where a y is not finite the curve has a gap
  std::vector<double> lo, hi;  // a band around it, as long as y; empty: none
};

struct PlotOptions {
  std::string title = {}, x_label = {}, y_label = {};
  bool log_y = false;    // values that are not above 0 are gaps
  bool markers = false;  // a dot at every point, its numbers as a tooltip, of series up to 80 points
};

// "" when no series has a finite point. Series of more than kMaxPlotPoints points are thinned: of equal
// stretches the least and the greatest stay, so that no spike is lost. Error(kInternal) for series whose
// lists differ in length.
inline constexpr std::size_t kMaxPlotPoints = 600;
std::string line_plot(const std::vector<PlotSeries>& series, const PlotOptions& options);

struct HistogramSeries {
  std::string name;
  std::vector<float> values;  // any order; those that are not finite are left out
};
// Over one another with the same bins, as shares of each series; "" when there is no finite value.
std::string histogram_plot(const std::vector<HistogramSeries>& series, const PlotOptions& options);

// Round numbers (1, 2 or 5 times a power of ten apart) that cover [lo, hi], about `count` of them.
std::vector<double> axis_ticks(double lo, double hi, int count);

// Style for the classes above, to be put into the page once.
extern const std::string_view kPlotStyle;

}  // namespace aikd
