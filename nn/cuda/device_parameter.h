// Parameters of a CUDA plan on the device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/storage.h"
#include "tensor/buffer.h"
#include "tensor/context.h"

namespace aikd::nn {

class DeviceParameter {
 public:
  DeviceParameter() = default;
  // Rounds to `storage` and uploads. Throws Error(kModel) when a finite value becomes infinite (fp16 ends at
  // 65504).
  DeviceParameter(Context& context, std::span<const float> values, kernels::Storage storage);
  const void* data() const noexcept { return buffer_.data(); }
  const float* floats() const noexcept {
    return static_cast<const float*>(buffer_.data());
  }  // null when empty
  std::size_t bytes() const noexcept { return buffer_.bytes(); }

 private:
  Buffer buffer_;
};

// [rows][c] -> [rows][padded], zeros beyond c.
template <class T>
std::vector<float> pad_rows(std::span<const T> values, std::int64_t c, std::int64_t padded) {
  const auto from = static_cast<std::size_t>(c), to = static_cast<std::size_t>(padded);
  const std::size_t rows = from == 0 ? 0 : values.size() / from;
  std::vector<float> out(rows * to, 0.0F);
  for (std::size_t row = 0; row < rows; ++row)
    for (std::size_t i = 0; i < from; ++i) out[row * to + i] = static_cast<float>(values[row * from + i]);
  return out;
}

}  // namespace aikd::nn
