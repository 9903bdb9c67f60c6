#include "aikd/labels.h"

#include <algorithm>
#include <cmath>

#include "aikd/label_methods.h"
#include "io/table.h"
#include "io/text.h"
#include "tensor/error.h"

namespace aikd {

const std::vector<LabelMethod>& label_methods() {
  static const std::vector<LabelMethod> methods{norm_label_method(), froq_label_method()};
  return methods;
}

const LabelMethod& find_label_method(std::string_view name) {
  std::string known;
  for (const LabelMethod& method : label_methods()) {
    if (method.name == name) return method;
    known += (known.empty() ? "" : ", ") + method.name;
  }
  fail(ErrorKind::kUsage, "The label method ", io::in_quotes(name), " is not known; expected one of ", known,
       ".");
}

std::unique_ptr<LabelGenerator> make_label_generator(const LabelMethod& method, LabelSetup setup) {
  require(setup.backbone != nullptr && setup.context != nullptr && setup.max_batch >= 1, ErrorKind::kInternal,
          "A label generator needs a backbone, a context and a batch of at least 1.");
  for (const auto& [name, value] : setup.options) {
    const auto option = std::find_if(method.options.begin(), method.options.end(),
                                     [&name = name](const LabelOption& o) { return o.name == name; });
    require(option != method.options.end(), ErrorKind::kUsage, "The label method ", method.name,
            " has no option ", io::in_quotes(name), ".");
    require(value >= option->lo && value <= option->hi && (!option->integer || std::trunc(value) == value),
            ErrorKind::kUsage, "The option ", name, " of the label method ", method.name, " must be ",
            option->integer ? "an integer" : "a number", " from ", io::format_number(option->lo), " to ",
            io::format_number(option->hi), ", got ", io::format_number(value), ".");
  }
  for (const LabelOption& option : method.options) setup.options.try_emplace(option.name, option.value);
  return method.make(setup);
}

}  // namespace aikd
