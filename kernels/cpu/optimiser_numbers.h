// The options of an optimiser in the numbers that its arithmetic uses (cpu/optimiser.cpp).
#pragma once

namespace aikd::kernels::cpu {

// What gradients are multiplied by.
struct GradientScale {
  float inverse_scale, clip;
};

struct SgdNumbers {
  float learning_rate, momentum, undampened, weight_decay;  // undampened: 1 - dampening
  bool nesterov;
};

struct AdamNumbers {
  float step, second_root;                 // learning rate / (1 - beta1^t), sqrt(1 - beta2^t)
  float to_first, keep_second, to_second;  // 1 - beta1, beta2, 1 - beta2
  float eps, weight_decay;
};

}  // namespace aikd::kernels::cpu
