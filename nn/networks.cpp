#include "nn/networks.h"

#include "nn/heads.h"
#include "nn/iresnet.h"
#include "nn/mobilefacenet.h"

namespace aikd::nn {

const std::vector<std::string>& backbone_names() {
  static const std::vector<std::string> names{"iresnet18",  "iresnet34",     "iresnet50",       "iresnet100",
                                              "iresnet200", "mobilefacenet", "mobilefacenet-v2"};
  return names;
}

std::int64_t default_embedding_size(std::string_view architecture) {
  return iresnet_depths(architecture) ? 512 : 128;
}

std::unique_ptr<Module> make_backbone(std::string_view architecture, std::int64_t embedding_size, float eps) {
  if (const auto depths = iresnet_depths(architecture)) {
    return std::make_unique<IResNet>(*depths, embedding_size, eps);
  }
  if (architecture == "mobilefacenet") return std::make_unique<MobileFaceNet>(embedding_size, eps);
  if (architecture == "mobilefacenet-v2") return std::make_unique<MobileFaceNetV2>(embedding_size, eps);
  std::string known;
  for (const std::string& name : backbone_names()) known += (known.empty() ? "" : ", ") + name;
  fail(ErrorKind::kModel, "There is no backbone architecture '", architecture, "'; known are ", known, ".");
}

std::unique_ptr<Module> make_head(std::string_view kind, std::int64_t embedding_size, std::int64_t hidden) {
  if (kind == "none") return nullptr;
  if (kind == "linear") return std::make_unique<LinearHead>(embedding_size);
  if (kind == "mlp") {
    require(hidden >= 1 && hidden <= 65536, ErrorKind::kModel,
            "An MLP head's hidden size must be between 1 and 65536, got ", hidden, ".");
    return std::make_unique<MlpHead>(embedding_size, hidden);
  }
  fail(ErrorKind::kModel, "There is no quality head '", kind, "'; known are none, linear, mlp.");
}

}  // namespace aikd::nn
