// The yardstick of the benchmarks: how many multiply-adds in float this core does when nothing else limits
// it.
#pragma once

#include <cstdint>

namespace aikd::bench {

// Does `rounds` rounds of independent multiply-adds in registers on the instruction set in use
// (kernels/isa.h) and returns how many there were in all. `sink` keeps the compiler honest.
std::int64_t multiply_adds(std::int64_t rounds, float* sink);

}  // namespace aikd::bench
