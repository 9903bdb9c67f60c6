#include "kernels/cuda/cudnn_survey.h"

#include <filesystem>
#include <memory>

#include "kernels/cuda/cudnn_engines.h"
#include "kernels/cuda/cudnn_spec.h"
#include "kernels/cuda/dynamic_library.h"

namespace aikd::kernels::cuda {
namespace {

// The engines that fuse are compiled at run time, and cuDNN offers them only where it finds the library of
// the driver, although nothing is launched here. Where there is no driver, the stand-in that the toolkit has
// for linking will do.
void need_driver_library() {
  if (DynamicLibrary::open("libcuda.so.1", {}, {}, nullptr).is_open()) return;
  std::vector<std::filesystem::path> folders;
  for (const std::filesystem::path& folder : folders_after_loader()) folders.push_back(folder / "stubs");
  DynamicLibrary::open("libcuda.so", folders, {}, nullptr);
}

}  // namespace

CudnnSurvey survey_cudnn(const std::string& device_json, const CudnnConvSpec& spec, int build) {
  CudnnSurvey survey;
  survey.why = check(spec);
  if (!survey.why.empty()) return survey;
  need_driver_library();
  const std::unique_ptr<CudnnApi> api = load_cudnn_api(&survey.why);
  survey.absent = api == nullptr;
  if (survey.absent) return survey;
  const CudnnDescriptor device = describe_device(*api, device_json, &survey.why);
  survey.absent = !device;
  if (survey.absent) return survey;
  const CudnnTarget target{api.get(), nullptr, &device};
  CudnnConvGraph graph;
  survey.why = build_conv_graph(target, spec, graph);
  if (!survey.why.empty()) return survey;
  survey.graph_is_sound = true;
  for (const CudnnCandidate& candidate : list_candidates(target, spec, graph, &survey.why)) {
    CudnnOffer offer;
    offer.engine = candidate.engine;
    offer.notes = text_of(candidate.notes);
    offer.fallback = candidate.fallback;
    offer.refusal = candidate.refusal;
    if (build > 0 && candidate.refusal.empty()) {
      --build;
      CudnnPlan plan;
      offer.failure = build_plan(target, candidate, std::size_t{1} << 30, plan);
      offer.built = offer.failure.empty();
      offer.workspace_bytes = plan.workspace_bytes;
    }
    survey.offers.push_back(offer);
  }
  return survey;
}

}  // namespace aikd::kernels::cuda
