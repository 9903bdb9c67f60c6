#include "apps/common/devices.h"

#include "kernels/isa.h"
#include "tensor/device.h"
#include "tensor/error.h"

namespace aikd::apps {

void print_devices(std::ostream& out) {
  for (const DeviceInfo& info : list_devices()) {
    out << info.device.to_string() << "  " << info.description
        << (info.device.type == Device::Type::kCuda ? "" : concat(", ", kernels::isa_name())) << '\n';
  }
}

std::string device_sentence(std::string_view asked, std::string_view precision, const Context& context) {
  std::string description;
  for (const DeviceInfo& info : list_devices())
    if (info.device == context.device()) description = info.description;
  const std::string threads = concat(context.threads(), context.threads() == 1 ? " thread" : " threads");
  if (context.on_cuda())
    return concat("device ", context.device().to_string(), " (", description, "), ", precision, ", ",
                  context.libraries_description(), ", decoding with ", threads);
  const std::string taken = asked == "auto" ? describe_choice(asked, context.device()) + ": " + description
                                            : concat("device cpu (", description, ")");
  return concat(taken, ", using ", threads, ", ", kernels::isa_name());
}

}  // namespace aikd::apps
