#include "kernels/isa.h"

namespace aikd::kernels {

// Another processor, or another operating system on Arm: nothing is asked, nothing is claimed.
std::vector<std::string> cpu_features() {
  return {};
}

}  // namespace aikd::kernels
