#include "kernels/isa.h"

namespace aikd::kernels {

// The compiler's CPUID: it counts a feature only when the operating system saves the registers it needs.
std::vector<std::string> cpu_features() {
  std::vector<std::string> names;
  __builtin_cpu_init();
  if (__builtin_cpu_supports("sse4.1")) names.emplace_back("sse4_1");
  if (__builtin_cpu_supports("avx2")) names.emplace_back("avx2");
  if (__builtin_cpu_supports("fma")) names.emplace_back("fma");
  if (__builtin_cpu_supports("avx512f")) names.emplace_back("avx512f");
  if (__builtin_cpu_supports("avx512vnni")) names.emplace_back("avx512_vnni");
  if (__builtin_cpu_supports("avx512bf16")) names.emplace_back("avx512_bf16");
  return names;
}

}  // namespace aikd::kernels
