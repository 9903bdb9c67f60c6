// Ten steps of training on any device: frozen plan, tape, both losses, SGD with two groups and clipping, EMA.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "nn/cuda/cuda_multi_tensor.h"
#include "nn/cuda/cuda_ops.h"
#include "nn/cuda/cuda_plan.h"
#include "nn/ema.h"
#include "nn/optimiser.h"
#include "nn/tape.h"
#include "tests/nn/frozen_net.h"

namespace aikd::test {

// CUDA's by name: a build without CUDA has them in the host emulator only.
inline std::unique_ptr<nn::DeviceOps> device_ops(Context& context, nn::Precision precision) {
  return context.on_cuda() ? nn::make_cuda_ops(context, precision) : nn::make_cpu_ops(context);
}
inline std::unique_ptr<nn::MultiTensor> multi_tensor(Context& context) {
  return context.on_cuda() ? nn::make_cuda_multi_tensor(context) : nn::make_multi_tensor(context);
}

inline nn::NamedTensor named(const std::string& name, Tensor& tensor) {
  nn::NamedTensor entry;
  entry.name = name;
  entry.tensor = &tensor;
  return entry;
}

struct TrainingResult {
  std::vector<double> losses;
  std::map<std::string, Tensor> tensors;  // parameters, running statistics, averages, momentum; on the host
};

inline TrainingResult train(Context& context, nn::Precision precision, double loss_scale) {
  FrozenNet net;
  net.record();
  const std::vector<int> frontier{net.nodes[1]};  // the activation: stem, its BatchNorm and PReLU are frozen
  const nn::PlanOptions options{.max_batch = 3, .precision = precision};
  const auto frozen =
      context.on_cuda()
          ? nn::compile_cuda_frozen_plan(net.graph, net.nodes[0], frontier, net.table, context, options)
          : nn::FrozenPlan::compile(net.graph, net.nodes[0], frontier, net.table, context, options);
  constexpr std::int64_t kBatch = 4, kFeatures = 17;
  Parameters p(21);
  Tensor head = p.normal({1, kFeatures}, 0.2), head_bias = p.normal({1}, 0.2);
  const Tensor teacher = p.normal({kBatch, kFeatures}).to(context.device());
  const Tensor target = p.normal({kBatch, 1}).to(context.device());
  std::vector<std::pair<std::string, Tensor*>> backbone{{"w1", &net.w1},
                                                        {"shortcut", &net.shortcut},
                                                        {"deep", &net.deep},
                                                        {"fc", &net.fc},

                                                        {"bn1.weight", net.bn1.weight},
                                                        {"bn2.bias", net.bn2.bias},
                                                        {"bn3.weight", net.bn3.weight},
                                                        {"last.weight", net.last.weight},
                                                        {"features.bias", net.features.bias}};
  std::vector<nn::NamedTensor> changing;
  nn::TrainedParameters trained;
  std::vector<nn::StateTensor> groups[2];
  net.fc_bias = net.fc_bias.to(context.device());  // a shift that the next BatchNorm takes away: not trained
  for (nn::BatchNormTensors* bn : {&net.bn1, &net.bn2, &net.bn3, &net.last, &net.features})
    for (Tensor* tensor : {bn->weight, bn->bias, bn->running_mean, bn->running_var})
      *tensor = tensor->to(context.device());
  for (auto& [name, tensor] : backbone) {
    *tensor = tensor->to(context.device());
    trained.add(*tensor);
    groups[1].push_back({name, *tensor});
    changing.push_back(named(name, *tensor));
  }
  for (auto& [name, tensor] : {std::pair("head", &head), std::pair("head_bias", &head_bias)}) {
    *tensor = tensor->to(context.device());
    trained.add(*tensor);
    groups[0].push_back({name, *tensor});
    changing.push_back(named(name, *tensor));
  }
  for (auto& [name, tensor] : {std::pair("bn2.running_mean", net.bn2.running_mean),
                               std::pair("features.running_var", net.features.running_var)})
    changing.push_back(named(name, *tensor));

  const auto ops = device_ops(context, precision);
  nn::Optimiser optimiser(
      context, nn::OptimiserKind::kSgd,
      {{.name = "head", .tensors = groups[0], .learning_rate = 0.05, .weight_decay = 5e-4, .momentum = 0.9},
       {.name = "backbone", .tensors = groups[1], .learning_rate = 0.02, .momentum = 0.9}},
      multi_tensor(context));
  nn::Ema ema(context, changing, {.decay = 0.8, .warm_up = true}, multi_tensor(context));
  TrainingResult result;
  const std::vector<std::uint8_t> images = random_images(net.table, kBatch, 8);
  for (int step = 0; step < 10; ++step) {
    nn::TapeOps tape(*ops, trained);
    const nn::Value embedding = net.after(tape, tape.constant(frozen->run(images, kBatch)[0])).back();
    const nn::Value score = tape.linear(embedding, head, head_bias);
    const Tensor losses[] = {ops->cosine_loss(teacher, embedding.tensor),
                             ops->quality_loss(score.tensor, target, 0.5F)};
    const auto upstream = static_cast<float>(loss_scale);
    tape.seed(embedding, ops->cosine_loss_gradient(teacher, embedding.tensor, upstream));
    tape.seed(score, ops->quality_loss_gradient(score.tensor, target, 0.5F, upstream));
    trained.clear_gradients();
    tape.backward();
    const nn::StepReport report = optimiser.step(trained, {.max_norm = 2.0, .loss_scale = loss_scale});
    CHECK(report.finite);
    ema.update();
    double loss = 0;
    for (const Tensor& part : losses) loss += static_cast<double>(part.to(Device::cpu()).data<float>()[0]);
    result.losses.push_back(loss);
  }
  const auto keep = [&](const std::string& name, const Tensor& tensor) {
    if (tensor.dtype() == DType::kF32) result.tensors[name] = tensor.to(Device::cpu()).clone();
  };
  for (const nn::NamedTensor& entry : changing) keep(entry.name, *entry.tensor);
  for (const nn::StateTensor& entry : ema.state()) keep(entry.name, entry.tensor);
  for (const nn::StateTensor& entry : optimiser.state()) keep(entry.name, entry.tensor);
  return result;
}

}  // namespace aikd::test
