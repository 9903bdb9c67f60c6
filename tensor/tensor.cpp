#include "tensor/tensor.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "tensor/cuda_runtime.h"

namespace aikd {
namespace {

double widen(double x) {
  return x;
}
double widen(float x) {
  return static_cast<double>(x);
}
double widen(Half x) {
  return static_cast<double>(to_float(x));
}
double widen(BFloat16 x) {
  return static_cast<double>(to_float(x));
}

// Through float for the 16-bit types: double to float to half may round twice; PyTorch does the same.
void narrow(double x, double& out) {
  out = x;
}
void narrow(double x, float& out) {
  out = static_cast<float>(x);
}
void narrow(double x, Half& out) {
  out = to_half(static_cast<float>(x));
}
void narrow(double x, BFloat16& out) {
  out = to_bfloat16(static_cast<float>(x));
}

// Calls f with a value of the C++ type of a floating dtype.
template <class F>
void for_floating(DType dtype, F&& f) {
  switch (dtype) {
    case DType::kF64:
      f(double{});
      return;
    case DType::kF32:
      f(float{});
      return;
    case DType::kF16:
      f(Half{});
      return;
    case DType::kBF16:
      f(BFloat16{});
      return;
    default:
      return;
  }
}

// A copy that is complete on return, within the host, within a device, or between a device and the host.
void copy_now(const Tensor& from, Tensor& to) {
  if (from.bytes() == 0) return;
  const bool from_device = from.device().type == Device::Type::kCuda;
  if (!from_device && to.device().type == Device::Type::kCpu) {
    std::memcpy(to.mutable_raw(), from.raw(), from.bytes());
    return;
  }
  const int device = from_device ? from.device().index : to.device().index;
  if (from_device) cuda::wait_for_device(device);  // whichever stream it is written on
  const cuda::Stream stream(device);
  copy_values(from, to, stream);
  stream.synchronize();
}

}  // namespace

Tensor Tensor::on(Buffer buffer, const Shape& shape, DType dtype) {
  Tensor t;
  t.buffer_ = std::make_shared<Buffer>(std::move(buffer));
  t.shape_ = shape;
  t.dtype_ = dtype;
  return t;
}

Tensor Tensor::empty(const Shape& shape, DType dtype, Device device) {
  return on(Buffer(static_cast<std::size_t>(shape.numel()) * size_of(dtype), device), shape, dtype);
}

Tensor Tensor::empty(const Shape& shape, DType dtype, const cuda::Stream& stream) {
  return on(Buffer(static_cast<std::size_t>(shape.numel()) * size_of(dtype), stream), shape, dtype);
}

Tensor Tensor::zeros(const Shape& shape, DType dtype, Device device) {
  Tensor t = empty(shape, dtype, device);
  if (t.bytes() == 0) return t;
  if (device.type == Device::Type::kCuda) {
    const cuda::Stream stream(device.index);
    cuda::fill_bytes(t.mutable_raw(), 0, t.bytes(), stream);
    stream.synchronize();
  } else {
    std::memset(t.mutable_raw(), 0, t.bytes());
  }
  return t;
}

Tensor Tensor::zeros(const Shape& shape, DType dtype, const cuda::Stream& stream) {
  Tensor t = empty(shape, dtype, stream);
  cuda::fill_bytes(t.mutable_raw(), 0, t.bytes(), stream);
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
  return on(Buffer::borrow(data, static_cast<std::size_t>(shape.numel()) * size_of(dtype), std::move(owner)),
            shape, dtype);
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
  copy_now(*this, t);
  return t;
}

Tensor Tensor::to(DType dtype) const {
  if (dtype == dtype_) return *this;
  require(is_floating(dtype_) && is_floating(dtype), ErrorKind::kInternal, "Conversion from ",
          name_of(dtype_), " to ", name_of(dtype), " is not defined.");
  Tensor t = empty(shape_, dtype, device());
  for_floating(dtype_, [&](auto from) {
    for_floating(dtype, [&](auto to) {
      const auto* in = data<decltype(from)>();
      auto* out = t.mutable_data<decltype(to)>();
      for (std::int64_t i = 0; i < numel(); ++i) narrow(widen(in[i]), out[i]);
    });
  });
  return t;
}

Tensor Tensor::to(Device device) const {
  if (!defined() || device == this->device()) return *this;
  if (this->device().type == Device::Type::kCuda && device.type == Device::Type::kCuda)
    return to(Device::cpu()).to(device);
  Tensor t = empty(shape_, dtype_, device);
  copy_now(*this, t);
  return t;
}

void copy_values(const Tensor& from, Tensor& to, const cuda::Stream& stream) {
  require(from.defined() && to.defined(), ErrorKind::kInternal,
          "Values were to be copied from or to an undefined tensor.");
  require(from.shape() == to.shape() && from.dtype() == to.dtype(), ErrorKind::kInternal, "A tensor of ",
          name_of(from.dtype()), ' ', from.shape(), " cannot be copied into one of ", name_of(to.dtype()),
          ' ', to.shape(), ".");
  const Device cpu = Device::cpu(), here = Device::cuda(stream.device());
  const bool from_here = from.device() == here, to_here = to.device() == here;
  require((from_here || from.device() == cpu) && (to_here || to.device() == cpu) && (from_here || to_here),
          ErrorKind::kInternal, "A stream of ", here.to_string(), " cannot copy from ",
          from.device().to_string(), " to ", to.device().to_string(), ".");
  void* const target = to.mutable_raw();
  if (from_here && to_here)
    cuda::copy_on_device(target, from.raw(), from.bytes(), stream);
  else if (to_here)
    cuda::copy_to_device(target, from.raw(), from.bytes(), stream);
  else
    cuda::copy_to_host(target, from.raw(), from.bytes(), stream);
}

void Tensor::check_access(DType asked) const {
  require(defined(), ErrorKind::kInternal, "The values of an undefined tensor were asked for.");
  require(asked == dtype_, ErrorKind::kInternal, "A tensor of ", name_of(dtype_), " was read as ",
          name_of(asked), ".");
  require(device().type == Device::Type::kCpu, ErrorKind::kInternal, "A tensor on ", device().to_string(),
          " was read on the host; copy it with to(Device::cpu()).");
}

}  // namespace aikd
