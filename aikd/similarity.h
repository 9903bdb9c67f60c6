// How alike two embeddings are.
#pragma once

#include <cmath>
#include <cstddef>
#include <span>

namespace aikd {

// The Euclidean norm, in double.
inline double norm(std::span<const float> x) noexcept {
  double sum = 0;
  for (const float v : x) sum += static_cast<double>(v) * static_cast<double>(v);
  return std::sqrt(sum);
}

// (a . b) / sqrt((|a|^2 + e) (|b|^2 + e)), e = 1e-12: the convention of the cosine loss (kernels/loss.h). In
// double; spans of one size.
inline double cosine_similarity(std::span<const float> a, std::span<const float> b) noexcept {
  double ab = 0, aa = 1e-12, bb = 1e-12;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto x = static_cast<double>(a[i]), y = static_cast<double>(b[i]);
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  return ab / std::sqrt(aa * bb);
}

}  // namespace aikd
