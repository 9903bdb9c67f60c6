// Optimisers by their definitions, one number at a time, in double.
#pragma once

#include <cmath>

namespace aikd::oracle {

struct SgdRule {
  double learning_rate, momentum, dampening, weight_decay;
  bool nesterov;
};
struct SgdState {
  double parameter = 0, buffer = 0;
};
// `step` counts from 1.
inline void sgd_step(const SgdRule& rule, int step, double gradient, SgdState& state) {
  double d = gradient + rule.weight_decay * state.parameter;
  if (rule.momentum != 0) {
    state.buffer = step == 1 ? d : rule.momentum * state.buffer + (1 - rule.dampening) * d;
    d = rule.nesterov ? d + rule.momentum * state.buffer : state.buffer;
  }
  state.parameter -= rule.learning_rate * d;
}

// Kingma, Ba: Adam, ICLR 2015, algorithm 1, with weight decay added to the gradient.
struct AdamRule {
  double learning_rate, beta1, beta2, eps, weight_decay;
};
struct AdamState {
  double parameter = 0, first = 0, second = 0;
};
inline void adam_step(const AdamRule& rule, int step, double gradient, AdamState& state) {
  const double g = gradient + rule.weight_decay * state.parameter;
  state.first = rule.beta1 * state.first + (1 - rule.beta1) * g;
  state.second = rule.beta2 * state.second + (1 - rule.beta2) * g * g;
  const double first = state.first / (1 - std::pow(rule.beta1, step));
  const double second = state.second / (1 - std::pow(rule.beta2, step));
  state.parameter -= rule.learning_rate * first / (std::sqrt(second) + rule.eps);
}

// What torch.nn.utils.clip_grad_norm_ multiplies gradients of this total norm by.
inline double clip_factor(double norm, double max_norm) {
  const double factor = max_norm / (norm + 1e-6);
  return factor < 1 ? factor : 1;
}

}  // namespace aikd::oracle
