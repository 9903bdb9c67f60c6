#include "nn/heads.h"

namespace aikd::nn {

MlpHead::MlpHead(std::int64_t embedding_size, std::int64_t hidden)
    : l1_(embedding_size, hidden), l2_(hidden, 1) {}

void MlpHead::collect(const std::string& prefix, std::vector<NamedTensor>& out) {
  l1_.collect(prefix + "l1.", out);
  l2_.collect(prefix + "l2.", out);
}

Value MlpHead::forward(Ops& ops, const Value& x) const {
  return l2_.forward(ops, ops.gelu(l1_.forward(ops, x)));
}

LinearHead::LinearHead(std::int64_t embedding_size) : linear_(embedding_size, 1) {}

void LinearHead::collect(const std::string& prefix, std::vector<NamedTensor>& out) {
  linear_.collect(prefix, out);
}

Value LinearHead::forward(Ops& ops, const Value& x) const {
  return linear_.forward(ops, x);
}

}  // namespace aikd::nn
