// What the tests of elementwise kernels and reductions share: tensors at good and at odd addresses, sizes,
// and comparison with an oracle.
#pragma once

#include <cmath>
#include <sstream>
#include <string>
#include <vector>

#include "tests/cuda/device_memory.h"

namespace aikd::test {

// A tensor whose address allows 16-byte accesses, or, `shifted`, lies one element behind such an address.
class Placed {
 public:
  Placed(kernels::Storage storage, const std::vector<float>& values, bool shifted = false)
      : floats_(storage, in_front(values, shifted)), shifted_(shifted) {}
  Placed(kernels::Storage storage, std::size_t count, bool shifted = false)
      : floats_(storage, count + (shifted ? 1 : 0)), shifted_(shifted), empty_(true) {}

  void* data() const {
    const std::size_t skip = shifted_ ? kernels::bytes_of(floats_.storage()) : 0;
    return static_cast<unsigned char*>(floats_.data()) + skip;
  }
  std::vector<float> download() const {
    std::vector<float> values = floats_.download();
    if (shifted_) values.erase(values.begin());
    return values;
  }
  bool intact() const {
    if (!floats_.guards_intact()) return false;
    if (!shifted_) return true;
    const float front = floats_.download().front();
    return empty_ ? std::isnan(front) : front == kFront;
  }

 private:
  static constexpr float kFront = 77.0F;
  static std::vector<float> in_front(std::vector<float> values, bool shifted) {
    if (shifted) values.insert(values.begin(), kFront);
    return values;
  }
  DeviceFloats floats_;
  bool shifted_ = false, empty_ = false;
};

struct Matrix {
  std::int64_t rows, channels;
  std::int64_t size() const { return rows * channels; }
};
// One row, one channel, odd counts, whole vectors, more than a block of channels, many runs of rows.
inline constexpr Matrix kMatrices[] = {{1, 1},    {1, 13},   {17, 1},   {15, 17},   {49, 49},
                                       {300, 64}, {257, 40}, {70, 520}, {3001, 16}, {2000, 13}};

inline std::vector<double> doubles(const std::vector<float>& values) {
  return {values.begin(), values.end()};
}

// Half a unit in the last place of `value` in the storage (subnormal numbers too), with a little room.
inline double rounding(kernels::Storage storage, double value) {
  const double smallest = storage == kernels::Storage::kF32   ? 0x1p-150
                          : storage == kernels::Storage::kF16 ? 0x1p-25
                                                              : 0x1p-134;
  return 1.0001 * std::max(half_ulp(storage) * std::fabs(value), smallest);
}

// Empty, or a sentence on the first element that is further from what is expected than tolerance(i), or NaN
// where no NaN is expected, or the other way round.
template <class Tolerance>
std::string first_wrong(const std::vector<float>& got, const std::vector<double>& expected,
                        Tolerance&& tolerance) {
  std::ostringstream out;
  out.precision(9);
  if (got.size() != expected.size()) out << got.size() << " elements, not " << expected.size();
  for (std::size_t i = 0; i < got.size() && out.str().empty(); ++i) {
    const double value = static_cast<double>(got[i]), wanted = expected[i], error = std::fabs(value - wanted);
    if (std::isnan(wanted) ? std::isnan(value) : value == wanted || error <= tolerance(i)) continue;
    out << "element " << i << ": got " << value << ", expected " << wanted << " within " << tolerance(i);
  }
  return out.str();
}

// The derivative of f at x[i], by central differences.
template <class F>
double central_difference(std::vector<double>& x, std::size_t i, F&& f, double step = 1e-5) {
  const double kept = x[i];
  x[i] = kept + step;
  const double above = f();
  x[i] = kept - step;
  const double below = f();
  x[i] = kept;
  return (above - below) / (2 * step);
}

}  // namespace aikd::test
