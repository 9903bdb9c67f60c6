#include "aikd/families.h"

#include <algorithm>
#include <array>
#include <map>
#include <string_view>

#include "io/text.h"
#include "nn/iresnet.h"
#include "tensor/error.h"

namespace aikd {
namespace {

struct Family {
  const char* name;
  const char* head;
};
constexpr std::array<Family, 6> kFamilies{{{"ai-kd", "mlp"},
                                           {"diffiqa-r", "linear"},
                                           {"ediffiqa", "mlp"},
                                           {"cr-fiqa", "linear"},
                                           {"magface", "none"},
                                           {"backbone", "none"}}};

// One tensor name that only this kind of backbone has.
struct Anchor {
  const char* kind;
  const char* tensor;
  const char* embedding;  // the tensor whose first extent is the embedding size
};
constexpr std::array<Anchor, 3> kAnchors{{{"iresnet", "layer1.0.prelu.weight", "fc.weight"},
                                          {"mobilefacenet", "GDC_dw.weight", "features.weight"},
                                          {"mobilefacenet-v2", "gdconv.depthwise.weight", "conv3.weight"}}};
// MobileFaceNet as InsightFace_Pytorch names it, the backbone of eDifFIQA(T): ends in an L2 normalisation.
constexpr const char* kNormalisedAnchor = "conv_6_dw.conv.weight";

constexpr const char* kKnown =
    "Known are AI-KD (feature_extractor.*, quality_head.l1/l2.*), DifFIQA(R) (base.*, linear.*), eDifFIQA "
    "(base_model.*, mlp.l1/l2.*), CR-FIQA (iResNet with qs.*), MagFace (features.module.*), and plain "
    "backbones: "
    "iResNet 18, 34, 50, 100, 200 of insightface and two MobileFaceNets";

using Index = std::map<std::string, Shape>;

std::vector<std::string> prefixes_of(const Index& index, std::string_view anchor) {
  std::vector<std::string> found;
  for (const auto& [name, shape] : index) {
    if (!name.ends_with(anchor)) continue;
    const std::string prefix = name.substr(0, name.size() - anchor.size());
    if (prefix.empty() || prefix.back() == '.') found.push_back(prefix);
  }
  return found;
}

// "a.b." -> root "a.", part "b"; a trailing "module." (DataParallel) belongs to neither.
struct SplitPrefix {
  std::string root, part;
};
SplitPrefix split_prefix(std::string prefix) {
  if (prefix.ends_with(".module.") || prefix == "module.") prefix.resize(prefix.size() - 7);
  if (prefix.empty()) return {};
  prefix.pop_back();
  const std::size_t dot = prefix.rfind('.');
  if (dot == std::string::npos) return {"", prefix};
  return {prefix.substr(0, dot + 1), prefix.substr(dot + 1)};
}

struct Backbone {
  const Anchor* anchor = nullptr;
  std::string prefix;
};

Backbone find_backbone(const std::vector<io::StateDictEntry>& tensors, const Index& index,
                       const FamilyRequest& request) {
  std::vector<Backbone> found;
  std::vector<std::string> prefixes;
  for (const Anchor& anchor : kAnchors) {
    for (const std::string& prefix : prefixes_of(index, anchor.tensor)) {
      if (!request.prefix.empty() && prefix != request.prefix) continue;
      found.push_back({&anchor, prefix});
      prefixes.push_back(prefix);
    }
  }
  if (found.empty()) {
    std::vector<std::string> names;
    for (const io::StateDictEntry& entry : tensors) names.push_back(entry.name);
    require(prefixes_of(index, kNormalisedAnchor).empty(), ErrorKind::kModel,
            "The backbone is the MobileFaceNet of InsightFace_Pytorch and eDifFIQA(T) (it has '",
            kNormalisedAnchor,
            "'), whose embedding is L2-normalised inside the network; that is not supported.");
    require(request.prefix.empty(), ErrorKind::kModel, "There is no known backbone under the prefix ",
            io::in_quotes(request.prefix), "; the ", names.size(), " tensors are ", list_names(names), ".");
    fail(ErrorKind::kModel, "The model is of no known family: it holds ", names.size(),
         names.size() == 1 ? " tensor, " : " tensors, ", names.empty() ? "nothing" : list_names(names), ". ",
         kKnown, ".");
  }
  require(found.size() == 1, ErrorKind::kModel, "There are ", found.size(), " backbones, under the prefixes ",
          list_names(prefixes), "; say which one to take with --prefix.");
  return found.front();
}

std::string iresnet_architecture(const Index& index, const std::string& prefix) {
  nn::IResNet::Depths depths{};
  for (std::size_t stage = 0; stage < depths.size(); ++stage) {
    while (index.count(concat(prefix, "layer", stage + 1, ".", depths[stage], ".conv1.weight")) != 0) {
      ++depths[stage];
    }
  }
  const auto name = nn::iresnet_name(depths);
  require(name.has_value(), ErrorKind::kModel, "The backbone is an iResNet with ", depths[0], ", ", depths[1],
          ", ", depths[2], ", ", depths[3],
          " blocks in its four layers, which is none of iresnet18 (2, 2, 2, 2), iresnet34 (3, 4, 6, 3), "
          "iresnet50 "
          "(3, 4, 14, 3), iresnet100 (3, 13, 30, 3), iresnet200 (6, 26, 60, 6).");
  return std::string(*name);
}

struct Head {
  std::string kind, prefix, part;
};

std::vector<Head> find_heads(const Index& index, const std::string& backbone_prefix,
                             const SplitPrefix& split) {
  const auto has = [&](const std::string& name) { return index.count(name) != 0; };
  const auto gives_one = [&](const std::string& name) {
    const auto found = index.find(name);
    return found != index.end() && found->second.rank() == 2 && found->second[0] == 1;
  };
  std::vector<Head> heads;
  const auto consider = [&](const std::string& root, const std::string& part) {
    const std::string prefix = root + part + ".";
    for (const Head& head : heads) {
      if (head.prefix == prefix) return;
    }
    if (has(prefix + "l1.weight") && has(prefix + "l2.weight")) heads.push_back({"mlp", prefix, part});
    if (gives_one(prefix + "weight")) heads.push_back({"linear", prefix, part});
  };
  for (const char* part : {"quality_head", "mlp", "linear", "qs", "head", "quality", "regressor"}) {
    consider(split.root, part);
  }
  consider(backbone_prefix, "qs");
  if (split.part == "0") consider(split.root, "1");
  return heads;
}

std::string family_of(const SplitPrefix& split, const Head* head) {
  if (head == nullptr) return split.part == "features" ? "magface" : "backbone";
  if (head->kind == "mlp") return split.part == "base_model" || head->part == "mlp" ? "ediffiqa" : "ai-kd";
  return head->part == "qs" ? "cr-fiqa" : "diffiqa-r";
}

}  // namespace

const std::vector<std::string>& family_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const Family& family : kFamilies) all.emplace_back(family.name);
    return all;
  }();
  return names;
}

std::string head_of_family(const std::string& name) {
  for (const Family& family : kFamilies) {
    if (family.name == name) return family.head;
  }
  fail(ErrorKind::kUsage, "There is no model family ", io::in_quotes(name),
       "; known are ai-kd, diffiqa-r, ediffiqa, cr-fiqa, magface, backbone.");
}

std::string list_names(const std::vector<std::string>& names, std::size_t at_most) {
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), at_most); ++i) {
    text += (i == 0 ? "" : ", ") + io::in_quotes(names[i]);
  }
  if (names.size() > at_most) text += concat(" and ", names.size() - at_most, " more");
  return text;
}

Recognition recognise(const std::vector<io::StateDictEntry>& tensors, const FamilyRequest& request) {
  const std::string wanted_head = request.family.empty() ? "" : head_of_family(request.family);
  Index index;
  for (const io::StateDictEntry& entry : tensors) {
    require(index.emplace(entry.name, entry.tensor.shape()).second, ErrorKind::kModel, "The tensor ",
            io::in_quotes(entry.name), " is in the file twice.");
  }
  const Backbone backbone = find_backbone(tensors, index, request);
  const SplitPrefix split = split_prefix(backbone.prefix);

  Recognition result;
  result.backbone_prefix = backbone.prefix;
  result.architecture = std::string_view(backbone.anchor->kind) == "iresnet"
                            ? iresnet_architecture(index, backbone.prefix)
                            : backbone.anchor->kind;
  require(request.architecture.empty() || request.architecture == result.architecture, ErrorKind::kModel,
          "The architecture ", io::in_quotes(request.architecture),
          " was asked for, but the tensors are those of ", result.architecture, ".");
  const std::string embedding_name = backbone.prefix + backbone.anchor->embedding;
  const auto embedding = index.find(embedding_name);
  require(embedding != index.end() && embedding->second.rank() >= 2, ErrorKind::kModel, "The ",
          result.architecture, " lacks ", io::in_quotes(embedding_name),
          ", which tells the size of its embedding.");
  result.embedding_size = embedding->second[0];

  std::vector<Head> heads = find_heads(index, backbone.prefix, split);
  if (wanted_head == "none") heads.clear();
  std::vector<std::string> head_prefixes;
  for (const Head& head : heads) head_prefixes.push_back(head.prefix + "*");
  require(heads.size() <= 1, ErrorKind::kModel, "There are ", heads.size(), " quality heads, ",
          list_names(head_prefixes), "; leave out all but one with --drop.");
  const Head* head = heads.empty() ? nullptr : &heads.front();
  if (head != nullptr) {
    result.head = head->kind;
    result.head_prefix = head->prefix;
    if (head->kind == "mlp") {
      const Shape& l1 = index.at(head->prefix + "l1.weight");
      require(l1.rank() == 2, ErrorKind::kModel, "The tensor ", io::in_quotes(head->prefix + "l1.weight"),
              " has the shape ", l1, ", expected [hidden, ", result.embedding_size, "].");
      result.hidden_size = l1[0];
    }
  }
  result.family = request.family.empty() ? family_of(split, head) : request.family;
  require(wanted_head.empty() || wanted_head == result.head, ErrorKind::kModel, "The family ", request.family,
          " has a quality head of kind '", wanted_head, "', but the tensors have ",
          head == nullptr ? std::string("no quality head") : concat("one of kind '", result.head, "'"), ".");

  // MagFace: models/iresnet.py (eps) and inference/gen_feat.py (cv2's BGR, mean 0, std 1) of its repository.
  if (result.family == "magface") {
    result.batch_norm_eps = 2e-5F;
    result.preprocessing.bgr = true;
    result.preprocessing.mean = {0.0F, 0.0F, 0.0F};
    result.preprocessing.std = {1.0F, 1.0F, 1.0F};
    // OFIQ's UnifiedQualityScore for this very network.
    if (result.architecture == "iresnet50") result.score_map = "sigmoid:23,2.6";
  } else if (result.architecture == "mobilefacenet-v2") {
    result.preprocessing.mean = {0.485F, 0.456F, 0.406F};
    result.preprocessing.std = {0.229F, 0.224F, 0.225F};
  }
  return result;
}

bool is_training_leftover(const std::string& name, const Recognition& recognition) {
  const std::string root = split_prefix(recognition.backbone_prefix).root;
  if (!name.starts_with(root)) return false;
  const std::string_view rest = std::string_view(name).substr(root.size());
  // With the backbone at the root, "fc" and "features" are its own layers.
  const bool own_fc = recognition.backbone_prefix == root;
  for (const std::string_view exact :
       {"weight", "kernel", "head.weight", "classifier.weight", "classifier.bias"}) {
    if (rest == exact) return true;
  }
  if (!own_fc && (rest == "fc.weight" || rest == "fc.bias")) return true;
  for (const std::string_view part :
       {"header.", "parallel_fc.", "margin.", "criterion.", "loss.", "arc_margin."}) {
    if (rest.starts_with(part)) return true;
  }
  return false;
}

}  // namespace aikd
