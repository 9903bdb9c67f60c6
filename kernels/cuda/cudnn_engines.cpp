#include "kernels/cuda/cudnn_engines.h"

#include <algorithm>
#include <array>
#include <utility>

namespace aikd::kernels::cuda {
namespace {

// Came after cuDNN 9.0: by number, so that older headers compile too.
constexpr std::size_t kFirstWithDevices = 90800;
constexpr auto kDeviceDescriptor = static_cast<cudnnBackendDescriptorType_t>(38);
constexpr auto kDeviceJson = static_cast<cudnnBackendAttributeName_t>(2702);
constexpr auto kHeuristicDevice = static_cast<cudnnBackendAttributeName_t>(204);
constexpr auto kPlanDevice = static_cast<cudnnBackendAttributeName_t>(407);
constexpr auto kStrictNan = static_cast<cudnnBackendNumericalNote_t>(9);

const char* name_of(cudnnBackendNumericalNote_t note) {
  switch (note) {
    case CUDNN_NUMERICAL_NOTE_TENSOR_CORE:
      return "tensor cores";
    case CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS:
      return "narrowed inputs";
    case CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION:
      return "sums in less than fp32";
    case CUDNN_NUMERICAL_NOTE_FFT:
      return "Fourier transform";
    case CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC:
      return "not deterministic";
    case CUDNN_NUMERICAL_NOTE_WINOGRAD:
      return "Winograd";
    case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4:
      return "Winograd 4x4";
    case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6:
      return "Winograd 6x6";
    case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13:
      return "Winograd 13x13";
    default:
      return note == kStrictNan ? "keeps NaN" : "a note not known to this program";
  }
}

// What each note costs, and so who may have it:
//   sums in less than fp32   nobody: storage.h promises fp32 arithmetic
//   not deterministic        who does not ask for the same bits
//   tensor cores, narrowed   with 16-bit storage they are exact products with fp32 sums: everybody. With fp32
//   storage
//                            they cut the inputs to TF32: who asks for it
//   Fourier transform,       transforms lose digits: the relative error of F(4x4,3x3), the 6x6 tile, is about
//   ten times Winograd                 that of the direct sum in fp32, and with 16-bit storage of the
//   transformed values worse. Only
//                            the 4x4 tile, F(2x2,3x3), stays within about twice the direct error: allowed, in
//                            fp32
bool allows(const CudnnConvSpec& spec, const std::vector<cudnnBackendNumericalNote_t>& notes,
            cudnnBackendNumericalNote_t note) {
  const bool exact = spec.storage == Storage::kF32 && !spec.tf32;
  const auto has = [&](cudnnBackendNumericalNote_t which) {
    return std::find(notes.begin(), notes.end(), which) != notes.end();
  };
  switch (note) {
    case CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC:
      return !spec.deterministic;
    case CUDNN_NUMERICAL_NOTE_TENSOR_CORE:
    case CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS:
      return !exact;
    case CUDNN_NUMERICAL_NOTE_WINOGRAD:
    case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4:
      return spec.storage == Storage::kF32 && has(CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4);
    case CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION:
    case CUDNN_NUMERICAL_NOTE_FFT:
    case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6:
    case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13:
      return false;
    default:
      return note == kStrictNan;  // what is newer than this list may cost anything
  }
}

bool has_epilogue(const CudnnConvSpec& spec) {
  return spec.bias || spec.prelu || spec.clamps || spec.residual || spec.second_output;
}

std::string refuse(const CudnnConvSpec& spec, const std::vector<cudnnBackendNumericalNote_t>& notes) {
  std::vector<cudnnBackendNumericalNote_t> unwanted;
  for (const cudnnBackendNumericalNote_t note : notes)
    if (!allows(spec, notes, note)) unwanted.push_back(note);
  return text_of(unwanted);
}

// Appends what one mode of the heuristics proposes.
void query(const CudnnTarget& target, const CudnnConvSpec& spec, const CudnnConvGraph& graph,
           cudnnBackendHeurMode_t mode, std::vector<CudnnCandidate>& candidates, std::string* why) {
  CudnnCalls calls(*target.api);
  const CudnnDescriptor heuristic = calls.create(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  calls.set(heuristic, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph.graph);
  calls.set(heuristic, CUDNN_ATTR_ENGINEHEUR_MODE, mode);
  if (target.handle == nullptr) calls.set(heuristic, kHeuristicDevice, *target.device);
  calls.finalize(heuristic, "the heuristics");

  std::vector<CudnnDescriptor> configs;
  std::vector<cudnnBackendDescriptor_t> handles;
  const std::int64_t offered =
      calls.get<cudnnBackendDescriptor_t>(heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS, nullptr, 0);
  for (std::int64_t i = 0; i < offered; ++i) {
    configs.push_back(calls.create(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR));
    handles.push_back(configs.back().get());
  }
  const std::int64_t got =
      offered == 0 ? 0 : calls.get(heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS, handles.data(), offered);
  if (!calls.ok()) {
    if (why->empty()) *why = calls.why();
    return;
  }
  for (std::int64_t i = 0; i < got; ++i) {
    CudnnCandidate candidate;
    candidate.config = std::move(configs[static_cast<std::size_t>(i)]);
    CudnnCalls reading(*target.api);
    const CudnnDescriptor engine = reading.create(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    cudnnBackendDescriptor_t handle = engine.get();
    reading.get(candidate.config, CUDNN_ATTR_ENGINECFG_ENGINE, &handle, 1);
    reading.get(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, &candidate.engine, 1);
    std::array<cudnnBackendNumericalNote_t, 32> notes{};  // 10 kinds in cuDNN 9.19
    const std::int64_t count = reading.get(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, notes.data(),
                                           static_cast<std::int64_t>(notes.size()));
    // An engine of whose arithmetic nothing is known is not used.
    candidate.notes.assign(notes.begin(), notes.begin() + std::min<std::int64_t>(count, notes.size()));
    candidate.refusal = reading.ok() ? refuse(spec, candidate.notes) : reading.why();
    candidate.fallback = mode == CUDNN_HEUR_MODE_FALLBACK;
    if (candidate.fallback && has_epilogue(spec) && candidate.refusal.empty()) candidate.refusal = "slow";
    candidates.push_back(std::move(candidate));
  }
}

}  // namespace

std::string text_of(const std::vector<cudnnBackendNumericalNote_t>& notes) {
  std::string text;
  for (const cudnnBackendNumericalNote_t note : notes)
    text += (text.empty() ? "" : ", ") + std::string(name_of(note));
  return text;
}

std::vector<CudnnCandidate> list_candidates(const CudnnTarget& target, const CudnnConvSpec& spec,
                                            const CudnnConvGraph& graph, std::string* why) {
  std::vector<CudnnCandidate> candidates;
  why->clear();
  query(target, spec, graph, CUDNN_HEUR_MODE_A, candidates, why);
  query(target, spec, graph, CUDNN_HEUR_MODE_FALLBACK, candidates, why);
  if (!candidates.empty()) why->clear();
  if (candidates.empty() && why->empty()) *why = "cuDNN offers no engine";
  return candidates;
}

std::string build_plan(const CudnnTarget& target, const CudnnCandidate& candidate,
                       std::size_t workspace_limit, CudnnPlan& plan) {
  CudnnCalls calls(*target.api);
  plan.plan = calls.create(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
  if (target.handle != nullptr) {
    calls.set(plan.plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, target.handle);
  } else {
    calls.set(plan.plan, kPlanDevice, *target.device);
  }
  calls.set(plan.plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, candidate.config);
  calls.finalize(plan.plan, "the plan");
  std::int64_t bytes = 0;
  calls.get(plan.plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, &bytes, 1);
  if (!calls.ok()) return calls.why();
  plan.workspace_bytes = static_cast<std::size_t>(bytes);
  if (plan.workspace_bytes > workspace_limit)
    return "it needs " + std::to_string(bytes) + " bytes of workspace, more than the limit of " +
           std::to_string(workspace_limit);
  return {};
}

CudnnDescriptor describe_device(const CudnnApi& api, const std::string& json, std::string* why) {
  if (api.version < kFirstWithDevices) {
    *why = "cuDNN " + api.version_text() +
           " plans only for a device that is there; 9.8 was the first to do without";
    return {};
  }
  CudnnCalls calls(api);
  CudnnDescriptor device = calls.create(kDeviceDescriptor);
  calls.set(device, kDeviceJson, json.data(), static_cast<std::int64_t>(json.size()));
  calls.finalize(device, "the description of the device");
  *why = calls.why();
  return calls.ok() ? std::move(device) : CudnnDescriptor();
}

}  // namespace aikd::kernels::cuda
