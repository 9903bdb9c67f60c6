// Antialiased bilinear resize by its definition: per axis the weighted mean of the inputs under a triangle,
// in double, the first (horizontal) result rounded to 8 bits.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace aikd::oracle {

// The value at output position i of `in` samples given by value(j), for `out` outputs.
template <class Value>
double resize_axis(int in, int out, int i, Value value) {
  const double scale = static_cast<double>(in) / out;
  const double radius = scale > 1.0 ? scale : 1.0;
  const double center = (i + 0.5) * scale - 0.5;  // in sample numbers
  double sum = 0, total = 0;
  for (int j = 0; j < in; ++j) {
    const double weight = std::max(0.0, 1.0 - std::abs(j - center) / radius);
    sum += weight * value(j);
    total += weight;
  }
  return sum / total;
}

struct Interval {
  double low, high;
};

// [out_height][out_width][3], before the second rounding.
inline std::vector<Interval> resize(const std::vector<std::uint8_t>& x, int in_width, int in_height,
                                    int out_width, int out_height) {
  constexpr double kNearlyHalf = 1e-3;
  const auto at = [](int row, int column, int width, int channel) {
    return (static_cast<std::size_t>(row) * static_cast<std::size_t>(width) +
            static_cast<std::size_t>(column)) *
               3 +
           static_cast<std::size_t>(channel);
  };
  std::vector<Interval> rows(at(in_height, 0, out_width, 0)), y(at(out_height, 0, out_width, 0));
  for (int c = 0; c < 3; ++c) {
    for (int row = 0; row < in_height; ++row) {
      for (int i = 0; i < out_width; ++i) {
        const double value =
            resize_axis(in_width, out_width, i, [&](int j) { return x[at(row, j, in_width, c)]; });
        rows[at(row, i, out_width, c)] = {std::floor(0.5 + value - kNearlyHalf),
                                          std::floor(0.5 + value + kNearlyHalf)};
      }
    }
    for (int i = 0; i < out_height; ++i) {
      for (int column = 0; column < out_width; ++column) {
        const auto part = [&](double Interval::*bound) {
          return resize_axis(in_height, out_height, i,
                             [&](int j) { return rows[at(j, column, out_width, c)].*bound; });
        };
        y[at(i, column, out_width, c)] = {part(&Interval::low), part(&Interval::high)};
      }
    }
  }
  return y;
}

}  // namespace aikd::oracle
