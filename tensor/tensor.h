// A dense, contiguous array with a shape and an element type. Copying a Tensor shares its buffer (it is a
// handle); clone() copies the values. No copy between devices or types happens unless to() or copy_values()
// is written.
//
// What is done here without a stream (zeros, clone, to(Device)) on a CUDA device is complete when the call
// returns, and first waits for the whole device where it reads from it: for loading and looking at results,
// not for inner loops. What is given a stream is ordered on it and waits for nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "tensor/buffer.h"
#include "tensor/device.h"
#include "tensor/dtype.h"
#include "tensor/error.h"
#include "tensor/shape.h"

namespace aikd {

class Tensor {
 public:
  Tensor() = default;  // "undefined": no buffer; defined() is false
  static Tensor empty(const Shape& shape, DType dtype = DType::kF32, Device device = Device::cpu());
  static Tensor zeros(const Shape& shape, DType dtype = DType::kF32, Device device = Device::cpu());
  // Memory on the stream's device that comes and goes with its work (tensor/buffer.h).
  static Tensor empty(const Shape& shape, DType dtype, const cuda::Stream& stream);
  static Tensor zeros(const Shape& shape, DType dtype, const cuda::Stream& stream);
  static Tensor full(const Shape& shape, float value);  // fp32
  // A read-only view of memory kept alive by `owner` (a mapped model file). `data` must be aligned for dtype.
  static Tensor borrow(const void* data, const Shape& shape, DType dtype, std::shared_ptr<const void> owner);
  template <class T>
  static Tensor from(std::span<const T> values, const Shape& shape);

  bool defined() const noexcept { return buffer_ != nullptr; }
  const Shape& shape() const noexcept { return shape_; }
  DType dtype() const noexcept { return dtype_; }
  Device device() const noexcept { return buffer_ == nullptr ? Device::cpu() : buffer_->device(); }
  std::int64_t numel() const noexcept { return shape_.numel(); }
  std::size_t bytes() const noexcept { return static_cast<std::size_t>(numel()) * size_of(dtype_); }

  const void* raw() const noexcept { return buffer_ == nullptr ? nullptr : buffer_->data(); }
  void* mutable_raw();
  // Typed access; throws Error(kInternal) when T is not the element type or the memory is not the host's.
  template <class T>
  const T* data() const {
    check_access(dtype_of<T>);
    return static_cast<const T*>(raw());
  }
  template <class T>
  T* mutable_data() {
    check_access(dtype_of<T>);
    return static_cast<T*>(mutable_raw());
  }
  template <class T>
  std::span<const T> values() const {
    return {data<T>(), static_cast<std::size_t>(numel())};
  }
  template <class T>
  std::span<T> mutable_values() {
    return {mutable_data<T>(), static_cast<std::size_t>(numel())};
  }

  Tensor reshape(const Shape& shape) const;  // same buffer; throws when the number of elements differs
  Tensor clone() const;                      // on the same device
  // Converts between floating types (narrowing rounds to nearest even); the same dtype returns this handle.
  Tensor to(DType dtype) const;
  // A copy on `device`, bit for bit; this handle when it is there already. Between two CUDA devices through
  // the host.
  Tensor to(Device device) const;

 private:
  void check_access(DType asked) const;
  static Tensor on(Buffer buffer, const Shape& shape, DType dtype);

  std::shared_ptr<Buffer> buffer_;
  Shape shape_;
  DType dtype_ = DType::kF32;
};

// Copies the values of `from` into `to`, which has the same shape and type, ordered on `stream`; at least one
// of the two is on the stream's device, the other there or on the host. Host memory must stay as it is until
// the stream has got there (memory that is not pinned is read before the call returns, and written before it
// returns).
void copy_values(const Tensor& from, Tensor& to, const cuda::Stream& stream);

template <class T>
Tensor Tensor::from(std::span<const T> values, const Shape& shape) {
  require(static_cast<std::int64_t>(values.size()) == shape.numel(), ErrorKind::kInternal,
          "A tensor of shape ", shape, " was given ", values.size(), " values.");
  Tensor tensor = empty(shape, dtype_of<T>);
  T* out = tensor.mutable_data<T>();
  for (std::size_t i = 0; i < values.size(); ++i) out[i] = values[i];
  return tensor;
}

}  // namespace aikd
