// The devices of this machine, as programs tell of them.
#pragma once

#include <ostream>
#include <string>
#include <string_view>

#include "tensor/context.h"

namespace aikd::apps {

// --list-devices: one a line.
void print_devices(std::ostream& out);

// "device cpu (AMD EPYC, 2 threads), using 2 threads, avx512", or a CUDA device with its libraries and
// `precision`. Where "auto" was `asked` for also why it is not a CUDA device.
std::string device_sentence(std::string_view asked, std::string_view precision, const Context& context);

}  // namespace aikd::apps
