#include <sys/auxv.h>

#include "kernels/isa.h"

namespace aikd::kernels {

// The bits the kernel hands every program, for the names it prints: asimd is NEON, asimddp the dot product of
// bytes.
std::vector<std::string> cpu_features() {
  std::vector<std::string> names;
  const unsigned long first = getauxval(AT_HWCAP), second = getauxval(AT_HWCAP2);
  if ((first & HWCAP_ASIMD) != 0) names.emplace_back("asimd");
  if ((first & HWCAP_ASIMDDP) != 0) names.emplace_back("asimddp");
  if ((second & HWCAP2_BF16) != 0) names.emplace_back("bf16");
  if ((second & HWCAP2_I8MM) != 0) names.emplace_back("i8mm");
  return names;
}

}  // namespace aikd::kernels
