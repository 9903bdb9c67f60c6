// Which published kind of model a set of PyTorch tensors is, told from the tensors' names and shapes alone.
//
// Names, by family (R = anything before the model, usually nothing; B = names of a backbone, nn/iresnet.h and
// nn/mobilefacenet.h), and how they are known:
//   ai-kd      R feature_extractor.B, R quality_head.{l1,l2}.*   the authors' repository (WrapperModel)
//   ediffiqa   R base_model.B, R mlp.{l1,l2}.*                   the authors' repository (eDifFIQA)
//   diffiqa-r  R base.B, R linear.*                              the authors' repository (named Sequential)
//              R 0.B, R 1.*                                      the same with an unnamed Sequential: a guess
//   cr-fiqa    R B, R qs.*                                       the authors' repository (IResNet with qs)
//   magface    R features.module.B, R features.B                 the authors' repository (clean_dict_inf)
//   backbone   R B, R backbone.B, R arcface.B                    insightface, bubbliiiing/arcface-pytorch
// Any last part of R and B's prefix is accepted as long as exactly one backbone and at most one head are
// found. No published quality model was at hand to test with: the names come from the code that writes them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "aikd/preprocess.h"
#include "io/torch_file.h"

namespace aikd {

// "ai-kd", "diffiqa-r", "ediffiqa", "cr-fiqa", "magface", "backbone".
const std::vector<std::string>& family_names();
// "mlp", "linear" or "none": the head a family has. Error(kUsage) for an unknown family.
std::string head_of_family(const std::string& family);

// What the user says beforehand; empty: told from the names.
struct FamilyRequest {
  std::string family{}, architecture{};
  std::string prefix{};             // where the backbone is, when there are several: "student."
  std::vector<std::string> drop{};  // tensors to leave out: a whole name, or a prefix that ends in '.'
};

struct Recognition {
  std::string family, architecture;
  std::string head = "none";
  std::int64_t embedding_size = 0, hidden_size = 0;  // hidden_size: of an MLP, else 0
  float batch_norm_eps = 1e-5F;                      // 2e-5 for MagFace, whose iResNet differs in this
  std::string backbone_prefix, head_prefix;          // what stands before B, and before the head's own names
  Preprocessing preprocessing;                       // the family's own
  std::string score_map;                             // a published mapping to 0..100, or empty
};

// Error(kModel): not recognised (says which names were found and what is known), several backbones or heads,
// blocks of no known depth, a family or an architecture that contradicts the tensors. Error(kUsage): no such
// family.
Recognition recognise(const std::vector<io::StateDictEntry>& tensors, const FamilyRequest& request = {});

// Whether a tensor that is in neither backbone nor head is a leftover of training (the classifier of the
// identities, margins), which scoring does not need.
bool is_training_leftover(const std::string& name, const Recognition& recognition);

// "'a', 'b', 'c' and 12 more", escaped for printing.
std::string list_names(const std::vector<std::string>& names, std::size_t at_most = 5);

}  // namespace aikd
