#include "tensor/tensor.h"

#include <algorithm>
#include <cstring>

namespace aikd {
namespace {

double load(const Tensor& t, std::int64_t i) {
  switch (t.dtype()) {
    case DType::kF64:
      return t.data<double>()[i];
    case DType::kF32:
      return static_cast<double>(t.data<float>()[i]);
    case DType::kF16:
      return static_cast<double>(to_float(t.data<Half>()[i]));
    case DType::kBF16:
      return static_cast<double>(to_float(t.data<BFloat16>()[i]));
    default:
      fail(ErrorKind::kInternal, "Conversion from ", name_of(t.dtype()), " to another type is not defined.");
  }
}

}  // namespace

Tensor Tensor::empty(const Shape& shape, DType dtype, Device device) {
  Tensor t;
  t.buffer_ = std::make_shared<Buffer>(static_cast<std::size_t>(shape.numel()) * size_of(dtype), device);
  t.shape_ = shape;
  t.dtype_ = dtype;
  return t;
}

Tensor Tensor::zeros(const Shape& shape, DType dtype, Device device) {
  Tensor t = empty(shape, dtype, device);
  if (t.bytes() != 0) std::memset(t.mutable_raw(), 0, t.bytes());
  return t;
}

Tensor Tensor::full(const Shape& shape, float value) {
  Tensor t = empty(shape);
  std::ranges::fill(t.mutable_values<float>(), value);
  return t;
}

Tensor Tensor::borrow(const void* data, const Shape& shape, DType dtype, std::shared_ptr<const void> owner) {
  require(reinterpret_cast<std::uintptr_t>(data) % size_of(dtype) == 0, ErrorKind::kInternal,
          "A tensor's memory is not aligned for ", name_of(dtype), ".");
  Tensor t;
  t.buffer_ = std::make_shared<Buffer>(
      Buffer::borrow(data, static_cast<std::size_t>(shape.numel()) * size_of(dtype), std::move(owner)));
  t.shape_ = shape;
  t.dtype_ = dtype;
  return t;
}

void* Tensor::mutable_raw() {
  return buffer_ == nullptr ? nullptr : buffer_->mutable_data();
}

Tensor Tensor::reshape(const Shape& shape) const {
  require(shape.numel() == numel(), ErrorKind::kInternal, "A tensor of shape ", shape_,
          " cannot be viewed as ", shape, ".");
  Tensor t = *this;
  t.shape_ = shape;
  return t;
}

Tensor Tensor::clone() const {
  if (!defined()) return {};
  Tensor t = empty(shape_, dtype_, device());
  if (bytes() != 0) std::memcpy(t.mutable_raw(), raw(), bytes());
  return t;
}

Tensor Tensor::to(DType dtype) const {
  if (dtype == dtype_) return *this;
  Tensor t = empty(shape_, dtype, device());
  for (std::int64_t i = 0; i < numel(); ++i) {
    const double value = load(*this, i);
    switch (dtype) {
      case DType::kF64:
        t.mutable_data<double>()[i] = value;
        break;
      case DType::kF32:
        t.mutable_data<float>()[i] = static_cast<float>(value);
        break;
      case DType::kF16:
        t.mutable_data<Half>()[i] = to_half(static_cast<float>(value));
        break;
      case DType::kBF16:
        t.mutable_data<BFloat16>()[i] = to_bfloat16(static_cast<float>(value));
        break;
      default:
        fail(ErrorKind::kInternal, "Conversion from ", name_of(dtype_), " to ", name_of(dtype),
             " is not defined.");
    }
  }
  return t;
}

Tensor Tensor::to(Device device) const {
  if (device == this->device()) return *this;
  fail(ErrorKind::kDevice, "A tensor cannot be copied to ", device.to_string(),
       ": this version keeps tensors on the CPU.");
}

void Tensor::check_access(DType asked) const {
  require(defined(), ErrorKind::kInternal, "The values of an undefined tensor were asked for.");
  require(asked == dtype_, ErrorKind::kInternal, "A tensor of ", name_of(dtype_), " was read as ",
          name_of(asked), ".");
  require(device().type == Device::Type::kCpu, ErrorKind::kInternal, "A tensor on ", device().to_string(),
          " was read on the host; copy it with to(Device::cpu()).");
}

}  // namespace aikd
