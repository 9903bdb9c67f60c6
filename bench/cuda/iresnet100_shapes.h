// The convolutions of iResNet-100 on 112 x 112 images, each kind once with how often it occurs and what
// follows it in the scoring plan; and the least time a network takes at given rates.
#pragma once

#include <algorithm>
#include <cstdint>

namespace aikd::bench {

enum class After : std::uint8_t {
  kPrelu,        // first convolution of a block: bias, PReLU
  kPreluSecond,  // the stem: and its value again, after the BatchNorm of the first block
  kAddSecond,    // second convolution of a block: bias, residual, and again after the next BatchNorm
  kBias,         // the convolution beside the first block of a stage
};

struct ConvShape {
  std::int64_t c, k, extent, r, stride;
  After after;
  int count;

  constexpr std::int64_t out_extent() const { return extent / stride; }
  constexpr std::int64_t macs() const { return out_extent() * out_extent() * k * r * r * c; }  // per image
  constexpr std::int64_t in_elements() const { return extent * extent * c; }
  constexpr std::int64_t out_elements() const { return out_extent() * out_extent() * k; }
};

inline constexpr ConvShape kConvolutions[] = {
    {256, 256, 14, 3, 1, After::kPrelu, 29},    {256, 256, 14, 3, 1, After::kAddSecond, 29},
    {128, 128, 28, 3, 1, After::kPrelu, 12},    {128, 128, 28, 3, 1, After::kAddSecond, 12},
    {64, 64, 56, 3, 1, After::kPrelu, 2},       {64, 64, 56, 3, 1, After::kAddSecond, 2},
    {512, 512, 7, 3, 1, After::kPrelu, 2},      {512, 512, 7, 3, 1, After::kAddSecond, 2},
    {64, 64, 112, 3, 1, After::kPrelu, 1},      {64, 64, 112, 3, 2, After::kAddSecond, 1},
    {64, 128, 56, 3, 1, After::kPrelu, 1},      {128, 128, 56, 3, 2, After::kAddSecond, 1},
    {128, 256, 28, 3, 1, After::kPrelu, 1},     {256, 256, 28, 3, 2, After::kAddSecond, 1},
    {256, 512, 14, 3, 1, After::kPrelu, 1},     {512, 512, 14, 3, 2, After::kAddSecond, 1},
    {3, 64, 112, 3, 1, After::kPreluSecond, 1}, {64, 64, 112, 1, 2, After::kBias, 1},
    {64, 128, 56, 1, 2, After::kBias, 1},       {128, 256, 28, 1, 2, After::kBias, 1},
    {256, 512, 14, 1, 2, After::kBias, 1},
};
inline constexpr std::int64_t kLastLinearMacs = 25088 * 512;

constexpr std::int64_t network_macs() {
  std::int64_t sum = kLastLinearMacs;
  for (const ConvShape& s : kConvolutions) sum += s.count * s.macs();
  return sum;
}
static_assert(network_macs() == 12'089'606'144, "this is not iResNet-100");

// Seconds per image that no program stays below: for every convolution the larger of its arithmetic at
// `flops_per_s` and its traffic at `bytes_per_s`, each activation written once and read once, residuals read,
// everything that follows a sum fused. At 790 TFLOP/s, 4.3 TB/s and 2 bytes per element: 31.8 us.
inline double network_floor_seconds(double flops_per_s, double bytes_per_s, double element_bytes) {
  double seconds = 2.0 * static_cast<double>(kLastLinearMacs) / flops_per_s;
  for (const ConvShape& s : kConvolutions) {
    const std::int64_t residual = s.after == After::kAddSecond ? s.out_elements() : 0;
    const double bytes = element_bytes * static_cast<double>(s.in_elements() + s.out_elements() + residual);
    seconds += s.count * std::max(2.0 * static_cast<double>(s.macs()) / flops_per_s, bytes / bytes_per_s);
  }
  return seconds;
}

}  // namespace aikd::bench
