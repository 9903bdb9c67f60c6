// Memory of the emulated CUDA runtime is the emulator's, byte for byte: tensors and buffers are checked as
// kernels use them.
#include "simt/planted.h"
#include "simt/simt.h"
#include "tensor/context.h"
#include "tests/cuda/device_memory.h"

namespace {

using namespace aikd;
using namespace aikd::test;

template <class Body>
std::string violation(Body&& body) {
  try {
    body();
  } catch (const simt::Violation& found) {
    return found.what();
  }
  return {};
}
bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("simt runtime: kernels compute on tensors and recorded graphs run them again") {
  Context context(Device::cuda(0), 1);
  Tensor x = Tensor::from<float>(random_normal(64, 1), {64}).to(Device::cuda(0)), y = context.empty({64});
  const auto* const from = static_cast<const float*>(x.raw());
  auto* const to = static_cast<float*>(y.mutable_raw());
  const auto check = [&] {
    const Tensor in = x.to(Device::cpu()), out = y.to(Device::cpu());
    for (std::size_t i = 0; i < 64; ++i) CHECK(out.values<float>()[i] == in.values<float>()[63 - i]);
  };
  const cuda::Graph graph = cuda::Graph::capture(
      context.stream(), [&] { planted::reverse(context.kernel_context(), from, to, 64); });
  graph.launch(context.stream());
  check();
  copy_values(Tensor::from<float>(random_normal(64, 2), {64}), x, context.stream());
  graph.launch(context.stream());
  check();
}

TEST_CASE("simt runtime: a kernel that leaves a tensor or reads what nobody wrote is found") {
  if (!simt::checks_accesses()) AIKD_SKIP("this build does not instrument accesses");
  Context context(Device::cuda(0), 1);
  const kernels::Context kernel = context.kernel_context();
  Tensor x = context.zeros({64}), y = context.empty({64});
  const auto* const from = static_cast<const float*>(x.raw());
  auto* const to = static_cast<float*>(y.mutable_raw());
  const auto reversed = [&](const float* in) {
    return violation([&] { planted::reverse(kernel, in, to, 64); });
  };
  const char* const outside = "outside all memory it was given";
  const std::string write = violation([&] { planted::copy_out_of_bounds(kernel, from, to, 64); });
  CAPTURE(write);
  CHECK(has(write, outside));
  const Tensor too_short = context.zeros({63});
  const std::string read = reversed(static_cast<const float*>(too_short.raw()));
  CAPTURE(read);
  CHECK(has(read, outside));
  Tensor unwritten = context.empty({64});
  const auto* const gone = static_cast<const float*>(unwritten.raw());
  const std::string fresh = reversed(gone);
  CAPTURE(fresh);
  CHECK(has(fresh, "which nobody wrote"));
  unwritten = Tensor();  // memory that was let go is nobody's
  const std::string released = reversed(gone);
  CAPTURE(released);
  CHECK(has(released, outside));
  CHECK(reversed(from).empty());
}
