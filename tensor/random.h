// Random numbers that are the same on every machine and in every language: a counter-based hash (SplitMix64,
// Steele, Lea, Flood, OOPSLA 2014). Value i of a stream is splitmix64(splitmix64(seed) ^ splitmix64(i)).
#pragma once

#include <cmath>
#include <cstdint>

namespace aikd {

constexpr std::uint64_t splitmix64(std::uint64_t x) noexcept {
  x += 0x9e3779b97f4a7c15U;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}

class Random {
 public:
  explicit constexpr Random(std::uint64_t seed) noexcept : key_(splitmix64(seed)) {}
  constexpr std::uint64_t bits() noexcept { return splitmix64(key_ ^ splitmix64(counter_++)); }
  // Uniform in [0, 1), 53 bits.
  constexpr double uniform() noexcept { return static_cast<double>(bits() >> 11) * 0x1p-53; }
  constexpr double uniform(double lo, double hi) noexcept { return lo + (hi - lo) * uniform(); }
  // Uniform integer in [0, n), n > 0 (the bias of the modulus is below 2^-32 for n < 2^32).
  constexpr std::uint64_t below(std::uint64_t n) noexcept { return bits() % n; }
  // Standard normal, Box-Muller (the cosine half only, so that one call is two draws).
  double normal() noexcept {
    const double u = 1.0 - uniform();
    return std::sqrt(-2.0 * std::log(u)) * std::cos(6.283185307179586 * uniform());
  }

 private:
  std::uint64_t key_;
  std::uint64_t counter_ = 0;
};

}  // namespace aikd
