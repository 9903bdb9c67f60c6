// Which instruction set the CPU kernels run on. Chosen once, at the first use: the best one this processor
// has, or the one named by the environment variable AIKD_ISA (scalar, sse4, avx2, avx512, neon), which may
// only be lower. Results differ between instruction sets in the last digits (fused or separate multiply-add,
// vector width), never between runs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace aikd::kernels {

// The instruction set in use: "scalar", "sse4", "avx2", "avx512" or "neon".
std::string isa_name();
// Those this build and this processor can both run, lowest first.
std::vector<std::string> available_isas();
// Empty, or a sentence that says why AIKD_ISA could not be obeyed (unknown name, not on this processor); the
// best instruction set is in use then. Whoever can report errors should.
std::string isa_problem();
// For tests and benchmarks: uses `name` from now on ("" = the best). Returns false, changing nothing, when it
// is not available. A compiled plan must run on the instruction set it was compiled with. Not thread-safe.
bool force_isa(std::string_view name);
// What this processor and its operating system have of: sse4_1 avx2 fma avx512f avx512_vnni avx512_bf16
// (x86-64); asimd asimddp bf16 i8mm (Linux on aarch64). The names are those of Linux's /proc/cpuinfo.
// AIKD_ISA changes nothing here.
std::vector<std::string> cpu_features();
// Reads AIKD_ISA at the first call; every kernel's entry calls it.
void select_isa_once();

}  // namespace aikd::kernels
