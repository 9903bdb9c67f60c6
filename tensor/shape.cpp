#include "tensor/shape.h"

#include "tensor/error.h"

namespace aikd {

Shape::Shape(std::span<const std::int64_t> extents) : rank_(extents.size()) {
  require(extents.size() <= kMaxRank, ErrorKind::kInternal, "A tensor has at most ", kMaxRank,
          " dimensions, got ", extents.size(), ".");
  constexpr std::int64_t kLimit = std::int64_t{1} << 62;
  for (std::size_t i = 0; i < rank_; ++i) {
    const std::int64_t n = extents[i];
    require(n >= 0, ErrorKind::kInternal, "Dimension ", i, " of a tensor is negative: ", n, ".");
    require(n == 0 || numel_ <= kLimit / n, ErrorKind::kInternal,
            "The number of elements of a tensor overflows.");
    extents_[i] = n;
    numel_ *= n;
  }
}

std::int64_t Shape::operator[](std::ptrdiff_t i) const {
  const auto rank = static_cast<std::ptrdiff_t>(rank_);
  const std::ptrdiff_t at = i < 0 ? i + rank : i;
  require(at >= 0 && at < rank, ErrorKind::kInternal, "Dimension ", i, " asked of a tensor of shape ",
          to_string(), ".");
  return extents_[static_cast<std::size_t>(at)];
}

std::string Shape::to_string() const {
  std::string text = "[";
  for (std::size_t i = 0; i < rank_; ++i) text += (i == 0 ? "" : ", ") + std::to_string(extents_[i]);
  return text + "]";
}

}  // namespace aikd
