// Forward and backward passes of the networks of tests/nn/tape_nets.h on any device, in any precision.
#pragma once

#include <map>
#include <set>
#include <string>

#include "nn/cuda/cuda_ops.h"
#include "tests/cuda/device_memory.h"
#include "tests/nn/tape_nets.h"

namespace aikd::test {

inline Tensor on_host(const Tensor& tensor) {
  return tensor.to(Device::cpu()).to(DType::kF32);
}
inline std::vector<float> host_values(const Tensor& tensor) {
  const Tensor host = on_host(tensor);
  return {host.values<float>().begin(), host.values<float>().end()};
}
inline bool same_tensor(const Tensor& a, const Tensor& b) {
  const Tensor x = a.to(Device::cpu()), y = b.to(Device::cpu());
  return x.shape() == y.shape() && x.dtype() == y.dtype() && std::memcmp(x.raw(), y.raw(), x.bytes()) == 0;
}
inline double norm_of(const Tensor& tensor) {
  double sum = 0;
  for (const float v : host_values(tensor)) sum += static_cast<double>(v) * static_cast<double>(v);
  return std::sqrt(sum);
}

// Everything one pass leaves behind, on the host.
struct TapePass {
  std::map<std::string, Tensor> gradients, statistics;
  Tensor embedding, score;
};

// One pass of a golden case ("train", "eval", "partial"). The losses are multiplied by `loss_scale` and the
// gradients divided by it. `straight`: PReLUs are bent a tenth as much (slope 0.9 + 0.1 s), see
// test_cuda_ops.cpp.
inline TapePass run_tape(const std::string& name, const std::string& which, nn::DeviceOps& ops,
                         float loss_scale = 1.0F, bool straight = false) {
  TapeNet net(name);
  for (auto& [parameter, tensor] : net.tensors) {
    if (!straight || !(parameter.ends_with("prelu.weight") || parameter.ends_with("slopes.weight"))) continue;
    for (float& slope : tensor.mutable_values<float>()) slope = 0.9F + 0.1F * slope;
  }
  for (auto& [parameter, tensor] : net.tensors) tensor = tensor.to(ops.device());
  nn::TrainedParameters trained;
  const std::set<std::string> names = net.trained_in(which);
  for (const std::string& parameter : names) trained.add(net.tensors.at(parameter));
  const auto upstream = [&](const std::string& golden) {
    Tensor scaled = net.golden(golden).clone();
    for (float& v : scaled.mutable_values<float>()) v *= loss_scale;
    return scaled.to(ops.device());
  };
  nn::TapeOps tape(ops, trained, {.batch_statistics = which != "eval"});
  const Results y =
      net.forward(tape, tape.constant(ops.cast(net.golden("x").to(ops.device()), ops.storage())));
  CHECK(y.embedding.tensor.dtype() == DType::kF32);
  tape.seed(y.embedding, upstream("dembedding"));
  tape.seed(y.score, upstream("dscore"));
  tape.backward();
  TapePass pass{{}, {}, on_host(y.embedding.tensor), on_host(y.score.tensor)};
  for (const std::string& parameter : names) {
    const Tensor gradient = trained.gradient(net.tensors.at(parameter));
    REQUIRE_MESSAGE(gradient.defined(), parameter);
    CHECK(gradient.dtype() == DType::kF32);
    CHECK(gradient.device() == ops.device());
    Tensor unscaled = on_host(gradient).clone();
    for (float& v : unscaled.mutable_values<float>()) v /= loss_scale;
    pass.gradients[parameter] = unscaled;
  }
  for (const auto& [parameter, tensor] : net.tensors)
    if (parameter.ends_with("running_mean") || parameter.ends_with("running_var"))
      pass.statistics[parameter] = on_host(tensor);
  return pass;
}

inline bool same_passes(const TapePass& a, const TapePass& b) {
  bool same = same_tensor(a.embedding, b.embedding) && same_tensor(a.score, b.score) &&
              a.gradients.size() == b.gradients.size();
  for (const auto& [name, gradient] : a.gradients) same = same && same_tensor(gradient, b.gradients.at(name));
  for (const auto& [name, value] : a.statistics) same = same && same_tensor(value, b.statistics.at(name));
  return same;
}

}  // namespace aikd::test
