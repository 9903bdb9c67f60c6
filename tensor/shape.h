// The extents of a tensor, outermost first. At most 8 dimensions; products are checked for overflow.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <ostream>
#include <span>
#include <string>

namespace aikd {

class Shape {
 public:
  static constexpr std::size_t kMaxRank = 8;

  Shape() = default;  // rank 0: a scalar, one element
  Shape(std::initializer_list<std::int64_t> extents) : Shape(std::span(extents.begin(), extents.size())) {}
  // Throws Error(kInternal) on a negative extent, more than kMaxRank dimensions, or a product above 2^62.
  explicit Shape(std::span<const std::int64_t> extents);

  std::size_t rank() const noexcept { return rank_; }
  // Extent i; a negative i counts from the back. Throws when out of range.
  std::int64_t operator[](std::ptrdiff_t i) const;
  std::int64_t numel() const noexcept { return numel_; }
  std::span<const std::int64_t> extents() const noexcept { return {extents_.data(), rank_}; }
  std::string to_string() const;  // "[64, 3, 3, 3]"

  friend bool operator==(const Shape& a, const Shape& b) noexcept {
    return a.rank_ == b.rank_ && a.extents_ == b.extents_;
  }
  friend std::ostream& operator<<(std::ostream& out, const Shape& shape) { return out << shape.to_string(); }

 private:
  std::array<std::int64_t, kMaxRank> extents_{};
  std::size_t rank_ = 0;
  std::int64_t numel_ = 1;
};

}  // namespace aikd
