// Quality heads: embedding [N, E] -> [N, 1]. No sigmoid; the embedding is not normalised first.
#pragma once

#include <cstdint>

#include "nn/layers.h"

namespace aikd::nn {

// AI-KD and eDifFIQA: linear, exact GELU, linear. Names l1, l2.
class MlpHead final : public Module {
 public:
  explicit MlpHead(std::int64_t embedding_size = 512, std::int64_t hidden = 1024);
  void collect(const std::string& prefix, std::vector<NamedTensor>& out) override;
  Value forward(Ops& ops, const Value& x) const override;

 private:
  Linear l1_, l2_;
};

// DifFIQA(R) and CR-FIQA: one linear layer. Names weight, bias.
class LinearHead final : public Module {
 public:
  explicit LinearHead(std::int64_t embedding_size = 512);
  void collect(const std::string& prefix, std::vector<NamedTensor>& out) override;
  Value forward(Ops& ops, const Value& x) const override;

 private:
  Linear linear_;
};

}  // namespace aikd::nn
