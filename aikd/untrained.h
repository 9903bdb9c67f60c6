// Models that nobody trained: seeded weights (nn/initialise) with BatchNorm statistics calibrated over
// images, so that activations keep the natural scale of a trained network. For tests, benchmarks and the
// demo; their scores mean nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "aikd/model.h"
#include "io/image.h"
#include "tensor/context.h"

namespace aikd {

struct UntrainedOptions {
  std::string architecture = "iresnet18";
  std::string head = "mlp";         // none, linear or mlp
  std::int64_t embedding_size = 0;  // 0: the architecture's own
  std::int64_t hidden_size = 1024;  // of an MLP head
  std::uint64_t seed = 0;           // of the backbone; the head takes seed + 1
};

// `images`: at least two (a variance needs them), of any size; resized to the network's. The metadata says
// "aikd.untrained". Error(kModel) for an unknown name or size, Error(kUsage) for fewer than two images.
std::unique_ptr<Model> make_untrained(const UntrainedOptions& options, const std::vector<io::Image>& images,
                                      Context& context);

// Synthetic faces (aikd/synth.h) to calibrate with, all different, by seed.
std::vector<io::Image> calibration_faces(std::uint64_t seed, int count);

}  // namespace aikd
