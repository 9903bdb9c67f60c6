// Networks by name, as model files name them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "nn/module.h"

namespace aikd::nn {

// "iresnet18", "iresnet34", "iresnet50", "iresnet100", "iresnet200", "mobilefacenet", "mobilefacenet-v2".
const std::vector<std::string>& backbone_names();
// The embedding size its authors use: 512 for iResNet, 128 for MobileFaceNet.
std::int64_t default_embedding_size(std::string_view architecture);
// Tensors are undefined. Error(kModel) for an unknown name or an embedding size out of 1..65536.
std::unique_ptr<Module> make_backbone(std::string_view architecture, std::int64_t embedding_size, float eps);

// "none" gives null, "linear", "mlp" (with `hidden` units). Error(kModel) for any other name.
std::unique_ptr<Module> make_head(std::string_view kind, std::int64_t embedding_size, std::int64_t hidden);

}  // namespace aikd::nn
