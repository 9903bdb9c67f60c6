// Contexts on the CPU, and what a machine or build without CUDA says. With a device:
// tests/cuda/test_runtime.cpp.
#include <cstdint>
#include <string>

#include "tensor/context.h"
#include "tensor/error.h"
#include "tests/support/test.h"

namespace {

using aikd::Buffer;
using aikd::Context;
using aikd::Device;
using aikd::DType;
using aikd::Error;
using aikd::ErrorKind;
using aikd::Tensor;

template <class F>
std::string message_of(ErrorKind kind, F&& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.kind() == kind ? e.what() : std::string("another kind: ") + e.what();
  }
  return "no error";
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("the workspace of a context grows and never shrinks") {
  Context context(Device::cpu(), 2);
  CHECK(context.kernel_context().workspace == nullptr);
  const auto first = context.kernel_context(1000);
  CHECK(first.workspace_bytes >= 1000);
  CHECK(reinterpret_cast<std::uintptr_t>(first.workspace) % Buffer::kAlignment == 0);
  const auto second = context.kernel_context(10);
  CHECK(second.workspace == first.workspace);
  CHECK(second.workspace_bytes == first.workspace_bytes);
  CHECK(context.kernel_context(100000).workspace_bytes >= 100000);
  CHECK(context.kernel_context().threads() == 2);
}

TEST_CASE("scratch memory of its own is a workspace, too") {
  Context context(Device::cpu(), 1);
  Buffer mine = context.scratch(500), yours = context.scratch(500);
  const auto kernel = context.kernel_context(mine);
  CHECK(kernel.workspace == mine.data());
  CHECK(kernel.workspace_bytes == 500);
  CHECK(mine.data() != yours.data());
  Buffer none;
  CHECK(context.kernel_context(none).workspace == nullptr);
}

TEST_CASE("a context on the CPU has no stream and no libraries") {
  Context context(Device::cpu(), 1);
  CHECK_FALSE(context.on_cuda());
  CHECK(context.libraries_description() == "none");
  CHECK(message_of(ErrorKind::kInternal, [&] { (void)context.stream(); }) ==
        "The stream of a context on the CPU was asked for.");
  context.synchronize();
  const auto kernel = context.kernel_context();
  CHECK(kernel.stream == nullptr);
  CHECK(kernel.libraries == nullptr);
  CHECK(context.empty({3, 5}, DType::kI16).bytes() == 30);
  const Tensor zeros = context.zeros({13});
  for (const float value : zeros.values<float>()) CHECK(value == 0.0F);
}

TEST_CASE("without a CUDA device everything that needs one is a device error") {
  std::string why;
  if (!aikd::cuda::devices(&why).empty()) AIKD_SKIP("this machine has a CUDA device");
  const Device cuda = Device::cuda(0);
  const Tensor host = Tensor::full({3}, 1.5F);
  const auto refused = [](auto&& f) { return has(message_of(ErrorKind::kDevice, f), "CUDA"); };
  CHECK(refused([&] { Context context(cuda, 1); }));
  CHECK(refused([&] { Buffer buffer(16, cuda); }));
  CHECK(refused([&] { (void)host.to(cuda); }));
  CHECK(refused([&] { (void)Tensor::zeros({3}, DType::kF32, cuda); }));
  CHECK(refused([] { aikd::cuda::Stream stream(0); }));
  CHECK(refused([] { aikd::cuda::PinnedBuffer pinned(16); }));
  CHECK(refused([] { aikd::cuda::wait_for_device(0); }));
  // What was never made can be moved and let go.
  aikd::cuda::Stream stream, other;
  other = std::move(stream);
  aikd::cuda::Event event;
  aikd::cuda::Graph graph;
  CHECK(other.handle() == nullptr);
  CHECK_FALSE(graph);
  CHECK(message_of(ErrorKind::kInternal, [&] { Buffer buffer(16, other); }) ==
        "Memory was asked for on a CUDA stream that is null.");
  CHECK_FALSE(aikd::cuda::runtime_description().empty());
}
