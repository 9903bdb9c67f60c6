// Tensors and contexts on a device: copies both ways bit for bit, order of copies, what kernels are given.
#include <cstdint>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "tensor/context.h"
#include "tensor/cuda_runtime.h"
#include "tensor/error.h"
#include "tensor/random.h"
#include "tests/cuda/device_memory.h"

namespace {

using namespace aikd;
using namespace aikd::test;
using cuda::Stream;

constexpr std::size_t kMiB = std::size_t{1} << 20;

std::vector<unsigned char> random_bytes(std::size_t count, std::uint64_t seed) {
  Random random(seed);
  std::vector<unsigned char> bytes(count);
  for (unsigned char& byte : bytes) byte = static_cast<unsigned char>(random.below(256));
  return bytes;
}

template <class F>
std::string message_of(ErrorKind kind, F&& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.kind() == kind ? e.what() : std::string("another kind: ") + e.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("device tensors: tensors of every type go to the device and back bit for bit") {
  AIKD_NEEDS_DEVICE();
  const Device device = Device::cuda(0);
  std::uint64_t seed = 0;
  for (const DType dtype : {DType::kF64, DType::kF32, DType::kF16, DType::kBF16, DType::kI64, DType::kI32,
                            DType::kI16, DType::kI8, DType::kU8, DType::kBool}) {
    CAPTURE(name_of(dtype));
    for (const std::int64_t n : {0, 1, 13, 17, 49, 12544}) {
      // Any bits: also NaNs with a payload, which a copy through the type's arithmetic could change.
      const auto bytes = random_bytes(static_cast<std::size_t>(n) * size_of(dtype), ++seed);
      Tensor host = Tensor::empty({n, 1}, dtype);
      if (!bytes.empty()) std::memcpy(host.mutable_raw(), bytes.data(), bytes.size());
      Tensor there = host.to(device);
      CHECK(there.device() == device);
      CHECK(there.shape() == host.shape());
      CHECK(there.dtype() == dtype);
      CHECK(there.to(device).raw() == there.raw());
      const Tensor copy = there.clone();
      CHECK(copy.device() == device);
      CHECK((n == 0 || copy.raw() != there.raw()));
      if (n != 0) {  // the copy is not touched by what happens to the first
        const Stream stream(0);
        cuda::fill_bytes(there.mutable_raw(), 0, there.bytes(), stream);
      }
      for (const Tensor& back :
           {copy.to(Device::cpu()), copy.reshape({n}).to(Device::cpu()).reshape({n, 1})}) {
        CHECK(back.device() == Device::cpu());
        CHECK((n == 0 || std::memcmp(back.raw(), bytes.data(), bytes.size()) == 0));
      }
      const Tensor zeros = Tensor::zeros({n}, dtype, device).to(Device::cpu());
      for (std::size_t i = 0; i < zeros.bytes(); ++i)
        REQUIRE(static_cast<const unsigned char*>(zeros.raw())[i] == 0);
    }
  }
}

TEST_CASE("device tensors: values on the device are not read on the host, nor converted there") {
  AIKD_NEEDS_DEVICE();
  Tensor there = Tensor::zeros({3}, DType::kF32, Device::cuda(0));
  const char* const sentence = "A tensor on cuda:0 was read on the host; copy it with to(Device::cpu()).";
  CHECK(message_of(ErrorKind::kInternal, [&] { (void)there.data<float>(); }) == sentence);
  CHECK(message_of(ErrorKind::kInternal, [&] { (void)there.mutable_values<float>(); }) == sentence);
  CHECK(message_of(ErrorKind::kInternal, [&] { (void)there.to(DType::kF16); }) == sentence);
}

TEST_CASE("device tensors: reading a tensor back waits for the stream that writes it") {
  AIKD_NEEDS_DEVICE();
  const std::int64_t n = static_cast<std::int64_t>(emulated() ? kMiB : 256 * kMiB);
  const Stream stream(0);
  Tensor there = Tensor::empty({n}, DType::kU8, stream);
  for (unsigned char value = 1; value <= 8; ++value)
    cuda::fill_bytes(there.mutable_raw(), value, there.bytes(), stream);
  const Tensor copy = there.clone();
  cuda::fill_bytes(there.mutable_raw(), 9, there.bytes(), stream);
  CHECK(there.to(Device::cpu()).values<std::uint8_t>().back() == 9);
  CHECK(copy.to(Device::cpu()).values<std::uint8_t>().back() == 8);
}

TEST_CASE("device tensors: values are copied in the order of the stream") {
  AIKD_NEEDS_DEVICE();
  Context context(Device::cuda(0), 1);
  const std::vector<float> values = random_normal(49, 3);
  const Tensor host = Tensor::from<float>(values, {7, 7});
  Tensor first = context.empty({7, 7}), second = context.zeros({7, 7}), back = Tensor::full({7, 7}, -1.0F);
  copy_values(second, back, context.stream());
  context.synchronize();
  for (const float value : back.values<float>()) CHECK(value == 0.0F);
  copy_values(host, first, context.stream());
  copy_values(first, second, context.stream());
  copy_values(second, back, context.stream());
  context.synchronize();
  CHECK(std::memcmp(back.raw(), host.raw(), host.bytes()) == 0);
  Tensor other = Tensor::empty({7, 7});
  CHECK(message_of(ErrorKind::kInternal, [&] { copy_values(host, other, context.stream()); }) ==
        "A stream of cuda:0 cannot copy from cpu to cpu.");
}

TEST_CASE("device tensors: a context gives kernels its stream, a workspace and a way to fail") {
  AIKD_NEEDS_DEVICE();
  Context context(Device::cuda(0), 2);
  CHECK(context.on_cuda());
  CHECK(context.stream().handle() != nullptr);
  CHECK(context.stream().device() == 0);
  CHECK((context.libraries_description() == "none") == (context.kernel_context().libraries == nullptr));
  const kernels::Context first = context.kernel_context(1000);
  CHECK(first.stream == context.stream().handle());
  CHECK(first.threads() == 2);
  CHECK(first.workspace_bytes >= 1000);
  CHECK(reinterpret_cast<std::uintptr_t>(first.workspace) % Buffer::kCudaAlignment == 0);
  CHECK(context.kernel_context(999).workspace == first.workspace);
  const kernels::Context larger = context.kernel_context(3 * kMiB);
  CHECK(larger.workspace_bytes >= 3 * kMiB);
  cuda::fill_bytes(larger.workspace, 0, larger.workspace_bytes, context.stream());
  context.synchronize();

  Buffer mine = context.scratch(500);
  CHECK(context.kernel_context(mine).workspace == mine.data());
  CHECK(context.kernel_context(mine).workspace_bytes == 500);
  Buffer host(500, Device::cpu());
  CHECK(message_of(ErrorKind::kInternal, [&] { (void)context.kernel_context(host); }) ==
        "A workspace on cpu was given to a context on cuda:0.");

  REQUIRE(bool(first.on_error));
  CHECK(message_of(ErrorKind::kDevice, [&] { first.on_error("prelu_kernel", "invalid argument"); }) ==
        "The kernel 'prelu_kernel' could not be launched: invalid argument.");
}

TEST_CASE("device tensors: a tensor outlives its context, and a context serves another thread") {
  AIKD_NEEDS_DEVICE();
  const std::vector<float> values = random_normal(1000, 5);
  Tensor kept;
  {
    Context context(Device::cuda(0), 1);
    std::thread elsewhere([&] {
      kept = context.empty({1000});
      copy_values(Tensor::from<float>(values, {1000}), kept, context.stream());
      (void)context.kernel_context(64);
      context.synchronize();
    });
    elsewhere.join();
  }
  Context next(Device::cuda(0), 1);
  Tensor other = next.zeros({1000});
  next.synchronize();
  CHECK(std::memcmp(kept.to(Device::cpu()).raw(), values.data(), values.size() * sizeof(float)) == 0);
  kept = Tensor();
  CHECK(other.to(Device::cpu()).values<float>()[999] == 0.0F);
}
