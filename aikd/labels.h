// Quality labels from a face recognition backbone alone, for training (method, part 4). A generator maps
// aligned crops to one number each; generators are found by name. To add one: a file aikd/label_<name>.cpp
// that defines its LabelMethod, one line in aikd/label_methods.h and one in label_methods() (labels.cpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nn/module.h"
#include "nn/plan.h"
#include "tensor/context.h"

namespace aikd {

struct LabelOption {
  std::string name, help;
  double value = 0;       // default
  double lo = 0, hi = 0;  // allowed, both included
  bool integer = false;
};

// What a generator works with. The backbone and the context must outlive it.
struct LabelSetup {
  const nn::Module* backbone = nullptr;
  nn::InputTable input;  // size of the crops and their normalisation
  Context* context = nullptr;
  int max_batch = 8;                      // images per pass of the network
  std::map<std::string, double> options;  // by name; those that are missing have their default
  double option(const std::string& name) const { return options.at(name); }
};

class LabelGenerator {
 public:
  virtual ~LabelGenerator() = default;
  // crops: n x height x width x 3 bytes, RGB. Assigns labels [n], higher is better, and parts [n, p], the
  // numbers that the label is made of (LabelMethod::parts). NaN where the network's output is no number. An
  // image's label does not depend on what else is in the batch.
  virtual void label(std::span<const std::uint8_t> crops, std::int64_t n, std::span<double> labels,
                     std::span<double> parts) = 0;
};

struct LabelMethod {
  std::string name;
  std::string description;      // one sentence for --help
  bool needs_gradient = false;  // of the network's output by its input
  std::vector<LabelOption> options;
  std::vector<std::string> parts;  // names of their columns
  std::unique_ptr<LabelGenerator> (*make)(const LabelSetup& setup) = nullptr;
};

const std::vector<LabelMethod>& label_methods();
const LabelMethod& find_label_method(std::string_view name);  // Error(kUsage) names the known ones

// Fills in defaults. Error(kUsage): an option that the method does not have, or a value outside its range.
std::unique_ptr<LabelGenerator> make_label_generator(const LabelMethod& method, LabelSetup setup);

}  // namespace aikd
