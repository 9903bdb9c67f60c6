// PyTorch's results for optimisers and averages (tests/golden/tape/make_optimisers.py).
#pragma once

#include <array>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "io/safetensors.h"
#include "nn/optimiser.h"
#include "tests/nn/plan_test.h"

namespace aikd::test {

using nn::OptimiserKind;
using nn::StateTensor;

inline bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.bytes() == b.bytes() && std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

// What make_optimisers.py ran: tensors a, b, c; b is the head.
class OptimiserGolden {
 public:
  OptimiserGolden() : file_(io::read_safetensors(golden_dir() / "tape" / "optimisers.safetensors")) {
    for (const char* name : {"a", "b"}) parameters[name] = get(concat("start.", name)).clone();
    parameters["c"] = product("start.c", 1.0F);
  }
  const Tensor& get(const std::string& name) const {
    const Tensor* found = file_.find(name);
    REQUIRE_MESSAGE(found != nullptr, name);
    return *found;
  }
  Tensor product(const std::string& name, float scale) const {
    const Tensor &column = get(name + ".row"), &row = get(name + ".column");  // [280,1] and [1,61]
    Tensor t = Tensor::empty({column.shape()[0], row.shape()[1]});
    float* to = t.mutable_data<float>();
    for (const float u : column.values<float>())
      for (const float v : row.values<float>()) *to++ = u * v * scale;
    return t;
  }
  // Of a step, 1 to 5.
  Tensor gradient(int step, const std::string& name) const {
    if (name != "c") return get(concat("grad.", step, ".", name));
    return product(concat("grad.", step, ".c"), static_cast<float>(0.3 + 0.2 * (step - 1)));
  }
  std::vector<nn::ParameterGroup> groups(OptimiserKind kind) {
    const bool sgd = kind == OptimiserKind::kSgd;
    return {{.name = "head",
             .tensors = {{"b", parameters.at("b")}},
             .learning_rate = 0.05,
             .weight_decay = sgd ? 5e-4 : 1e-2,
             .momentum = sgd ? 0.9 : 0.0},
            {.name = "backbone",
             .tensors = {{"a", parameters.at("a")}, {"c", parameters.at("c")}},
             .learning_rate = 0.05,
             .momentum = sgd ? 0.1 : 0.0}};
  }
  std::map<std::string, Tensor> parameters;

 private:
  io::SafetensorsFile file_;
};

// Puts the gradients of a step where an optimiser looks for them.
inline void give_gradients(nn::DeviceOps& ops, nn::TrainedParameters& trained, OptimiserGolden& golden,
                           int step, float scale = 1.0F) {
  trained.clear_gradients();
  for (auto& [name, parameter] : golden.parameters) {
    Tensor gradient = golden.gradient(step, name).clone();
    for (float& v : gradient.mutable_values<float>()) v *= scale;
    trained.accumulate(ops, parameter, gradient);
  }
}
inline nn::TrainedParameters trained_of(OptimiserGolden& golden) {
  nn::TrainedParameters trained;
  for (auto& [name, parameter] : golden.parameters) trained.add(parameter);
  return trained;
}

// Every 7th value of c, all of the others.
inline std::vector<float> sampled(const std::string& name, const Tensor& tensor) {
  std::vector<float> values;
  const std::size_t step = name == "c" ? 7 : 1;
  for (std::size_t i = 0; i < tensor.values<float>().size(); i += step)
    values.push_back(tensor.values<float>()[i]);
  return values;
}

inline constexpr std::array<double, 5> kRates = {0.0, 0.01, 0.02, 0.05, 0.05};
inline constexpr double kMaxNorm = 60.0;

}  // namespace aikd::test
