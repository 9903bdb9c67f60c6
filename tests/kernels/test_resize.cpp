#include "kernels/resize.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "kernels/isa.h"
#include "tensor/thread_pool.h"
#include "tests/oracle/resize.h"
#include "tests/oracle/test_images.h"
#include "tests/support/test.h"

using namespace aikd;
using kernels::ResizeDims;
using kernels::ResizeOrder;

namespace {

// Runs the kernel with guard bytes around the output and around a workspace of exactly the stated size.
std::vector<std::uint8_t> run_resize(const ResizeDims& dims, const std::vector<std::uint8_t>& x,
                                     kernels::Executor* executor = nullptr) {
  constexpr std::size_t kGuard = 64;
  constexpr std::uint8_t kMark = 0xA5;
  const std::size_t bytes =
      static_cast<std::size_t>(dims.out_width) * static_cast<std::size_t>(dims.out_height) * 3;
  const std::size_t scratch = kernels::resize_workspace_bytes(dims);
  std::vector<std::uint8_t> y(bytes + 2 * kGuard, kMark), workspace(scratch + kGuard + 64, kMark);
  auto* aligned = workspace.data() + (64 - reinterpret_cast<std::uintptr_t>(workspace.data()) % 64) % 64;
  // The input in memory of its own size, so that AddressSanitizer sees a read past its end.
  const std::vector<std::uint8_t> exact(x.begin(), x.end());
  kernels::Context context;
  context.executor = executor;
  context.workspace = aligned;
  context.workspace_bytes = scratch;
  kernels::resize_bilinear(context, dims, exact.data(), y.data() + kGuard);
  const auto is_mark = [](std::uint8_t b) { return b == kMark; };
  CHECK(std::all_of(y.begin(), y.begin() + kGuard, is_mark));
  CHECK(std::all_of(y.end() - kGuard, y.end(), is_mark));
  CHECK(std::all_of(aligned + scratch, workspace.data() + workspace.size(), is_mark));
  return {y.begin() + kGuard, y.end() - kGuard};
}

void check_golden(const char* name, ResizeOrder order) {
  const nlohmann::json golden = test::read_golden(name);
  REQUIRE(golden["cases"].size() >= 120);
  for (const std::string& isa : kernels::available_isas()) {
    INFO("instruction set ", isa);
    REQUIRE(kernels::force_isa(isa));
    for (const auto& c : golden["cases"]) {
      const ResizeDims dims{c["in"][0], c["in"][1], c["out"][0], c["out"][1], order};
      test::check_golden_bytes(c,
                               run_resize(dims, test::make_pixels(c["seed"], dims.in_width, dims.in_height)));
    }
  }
  REQUIRE(kernels::force_isa(""));
}

}  // namespace

TEST_CASE("resize is byte for byte that of Pillow before 13") {
  check_golden("resize_pillow12.json", ResizeOrder::kHorizontalFirst);
}

TEST_CASE("resize is byte for byte that of Pillow 13 where its order is asked for") {
  check_golden("resize_pillow13.json", ResizeOrder::kPillow13);
}

TEST_CASE("resize agrees with the definition") {
  for (const auto& [iw, ih, ow, oh] :
       {std::array{9, 7, 4, 3}, std::array{4, 3, 9, 7}, std::array{60, 5, 11, 5}, std::array{5, 60, 5, 11},
        std::array{1, 1, 3, 2}, std::array{33, 47, 16, 64}}) {
    const auto x = test::make_pixels(12, iw, ih);
    const auto y = run_resize({iw, ih, ow, oh}, x);
    const auto exact = oracle::resize(x, iw, ih, ow, oh);
    REQUIRE(exact.size() == y.size());
    std::size_t wide = 0;
    for (std::size_t i = 0; i < y.size(); ++i) {
      // Half a level by rounding; the weights' 22 bits move a sum by at most 255 taps 2^-23.
      CHECK_MESSAGE(!(y[i] < exact[i].low - 0.502), "byte ", i);
      CHECK_MESSAGE(!(y[i] > exact[i].high + 0.502), "byte ", i);
      wide += exact[i].high - exact[i].low > 0.5 ? 1U : 0U;
    }
    CHECK(wide < y.size() / 4);  // the comparison means something
  }
}

TEST_CASE("resize to the same size copies") {
  const auto x = test::make_pixels(3, 17, 9);
  CHECK(kernels::resize_workspace_bytes({17, 9, 17, 9}) == 0);
  CHECK(run_resize({17, 9, 17, 9}, x) == x);
}

TEST_CASE("resize keeps a flat image flat") {
  for (const int level : {0, 1, 127, 254, 255}) {
    const std::vector<std::uint8_t> x(150 * 97 * 3, static_cast<std::uint8_t>(level));
    const auto y = run_resize({150, 97, 112, 113}, x);
    CHECK(std::all_of(y.begin(), y.end(), [&](std::uint8_t v) { return v == level; }));
  }
}

TEST_CASE("resize does not depend on the number of threads") {
  ThreadPool pool(3);
  const auto x = test::make_pixels(6, 250, 231);
  for (const auto order : {ResizeOrder::kHorizontalFirst, ResizeOrder::kPillow13}) {
    const ResizeDims dims{250, 231, 112, 40, order};
    CHECK(run_resize(dims, x, &pool) == run_resize(dims, x));
  }
}
