// What the kernel tests share: guarded buffers, random values, a team of threads, every instruction set.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "kernels/context.h"
#include "kernels/isa.h"
#include "tensor/random.h"
#include "tensor/thread_pool.h"
#include "tests/support/test.h"

namespace aikd::test {

inline constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// `count` floats, 64-byte aligned or `misalign` floats beyond, between two runs of guard words that no kernel
// may touch. Filled with NaN: whatever a kernel forgets to assign stays visible.
class Guarded {
 public:
  explicit Guarded(std::size_t count, std::size_t misalign = 0) : count_(count) {
    memory_.assign(count + 2 * kGuard + 16 + misalign, std::bit_cast<float>(kWord));
    const auto address = reinterpret_cast<std::uintptr_t>(memory_.data() + kGuard);
    begin_ = kGuard + (64 - address % 64) % 64 / sizeof(float) + misalign;
    for (std::size_t i = 0; i < count; ++i) data()[i] = kNaN;
  }
  Guarded(std::size_t count, std::size_t misalign, const std::vector<float>& values)
      : Guarded(count, misalign) {
    for (std::size_t i = 0; i < values.size(); ++i) data()[i] = values[i];
  }
  float* data() { return memory_.data() + begin_; }
  const float* data() const { return memory_.data() + begin_; }
  std::size_t size() const { return count_; }
  float operator[](std::size_t i) const { return data()[i]; }
  std::vector<float> values() const { return {data(), data() + count_}; }
  bool guards_intact() const {
    for (std::size_t i = 0; i < memory_.size(); ++i) {
      if (i >= begin_ && i < begin_ + count_) continue;
      if (std::bit_cast<std::uint32_t>(memory_[i]) != kWord) return false;
    }
    return true;
  }

 private:
  static constexpr std::size_t kGuard = 64;
  static constexpr std::uint32_t kWord = 0x7fa5a5a5;  // a NaN: reading a guard shows as well
  std::vector<float> memory_;
  std::size_t begin_ = 0, count_;
};

inline std::vector<float> random_floats(std::int64_t count, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; ++i) values.push_back(static_cast<float>(random.normal()));
  return values;
}

// Integers in [-range, range]: sums of their products are exact in float.
inline std::vector<float> random_integers(std::int64_t count, std::uint64_t range, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; ++i)
    values.push_back(static_cast<float>(random.below(2 * range + 1)) - static_cast<float>(range));
  return values;
}

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Runs `body` on every instruction set of this machine, and returns to the best.
template <class Body>
void for_each_isa(Body&& body) {
  for (const std::string& isa : kernels::available_isas()) {
    CAPTURE(isa);
    REQUIRE(kernels::force_isa(isa));
    body();
  }
  REQUIRE(kernels::force_isa(""));
}

// A context with a team of `threads` and scratch memory.
class Team {
 public:
  explicit Team(int threads = 1, std::size_t workspace_bytes = 0)
      : pool_(threads), workspace_(workspace_bytes / sizeof(float)) {}
  kernels::Context context() {
    kernels::Context ctx;
    ctx.executor = &pool_;
    ctx.workspace = workspace_.data();
    ctx.workspace_bytes = workspace_.size() * sizeof(float);
    return ctx;
  }
  bool guards_intact() const { return workspace_.guards_intact(); }

 private:
  ThreadPool pool_;
  Guarded workspace_;
};

}  // namespace aikd::test
