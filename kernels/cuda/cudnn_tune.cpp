#include "kernels/cuda/cudnn_tune.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>

namespace aikd::kernels::cuda {
namespace {

constexpr float kZeroValue = 0.0F;

const void* pointer_of(const CudnnConvPointers& p, CudnnTensor tensor) {
  switch (tensor) {
    case CudnnTensor::kX:
      return p.x;
    case CudnnTensor::kWeight:
      return p.weight;
    case CudnnTensor::kDy:
      return p.dy;
    case CudnnTensor::kBias:
      return p.bias;
    case CudnnTensor::kSlope:
      return p.slope;
    case CudnnTensor::kResidual:
      return p.residual;
    case CudnnTensor::kScale2:
      return p.scale2;
    case CudnnTensor::kShift2:
      return p.shift2;
    case CudnnTensor::kY:
      return p.y;
    case CudnnTensor::kY2:
      return p.y2;
    case CudnnTensor::kZero:
      return &kZeroValue;
    case CudnnTensor::kIntermediate:
      break;
  }
  return nullptr;
}

const char* name_of(CudnnTensor tensor) {
  constexpr std::array<const char*, 11> kNames = {"x",      "weight", "dy", "bias", "slope", "residual",
                                                  "scale2", "shift2", "y",  "y2",   "zero"};
  const auto index = static_cast<std::size_t>(tensor) - 1;
  return index < kNames.size() ? kNames[index] : "an intermediate";
}

// Device memory for the time of a tuning.
class Scratch {
 public:
  ~Scratch() {
    for (void* const memory : blocks_) cudaFree(memory);
  }
  Scratch() = default;
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  // Null where there is no memory; status() then tells.
  void* allocate(std::size_t bytes) {
    void* memory = nullptr;
    if (status_ == cudaSuccess) status_ = cudaMalloc(&memory, std::max<std::size_t>(bytes, 256));
    if (status_ == cudaSuccess) blocks_.push_back(memory);
    return memory;
  }
  // With numbers of either sign and absolute value in [1/2, 1): a pattern of 1 MiB made here, repeated there.
  void* filled(std::size_t bytes, Storage storage, cudaStream_t stream) {
    auto* const memory = static_cast<unsigned char*>(allocate(bytes));
    if (memory == nullptr) return nullptr;
    if (pattern_.empty() || pattern_storage_ != storage) make_pattern(storage);
    for (std::size_t at = 0; at < bytes && status_ == cudaSuccess; at += pattern_.size() * 2) {
      status_ = cudaMemcpyAsync(memory + at, pattern_.data(), std::min(bytes - at, pattern_.size() * 2),
                                cudaMemcpyHostToDevice, stream);
    }
    return memory;
  }
  cudaError_t status() const { return status_; }

 private:
  // The 16 upper bits of a float (bf16 has no others; the lower half of an fp32 is random as it comes), or an
  // fp16.
  void make_pattern(Storage storage) {
    pattern_.resize(std::size_t{1} << 19);
    pattern_storage_ = storage;
    std::uint64_t state = 0x9E3779B97F4A7C15U;
    for (std::size_t i = 0; i < pattern_.size(); ++i) {
      state = state * 6364136223846793005U +
              1442695040888963407U;  // Knuth's MMIX generator; the upper bits are good
      const auto random = static_cast<unsigned>(state >> 48);
      const unsigned sign = random & 0x8000U;
      const bool low_half = storage == Storage::kF32 && i % 2 == 0;
      const unsigned bits = low_half                   ? random
                            : storage == Storage::kF16 ? sign | 0x3800U | (random & 0x3FFU)
                                                       : sign | 0x3F00U | (random & 0x7FU);
      pattern_[i] = static_cast<std::uint16_t>(bits);
    }
  }

  std::vector<void*> blocks_;
  std::vector<std::uint16_t> pattern_;
  Storage pattern_storage_ = Storage::kF32;
  cudaError_t status_ = cudaSuccess;
};

// Everything the timing needs and gives back.
class Clock {
 public:
  explicit Clock(void* stream) : stream_(static_cast<cudaStream_t>(stream)), owns_stream_(stream == nullptr) {
    if (owns_stream_ && cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking) != cudaSuccess)
      stream_ = nullptr;
    if (cudaEventCreate(&start_) != cudaSuccess) start_ = nullptr;
    if (cudaEventCreate(&stop_) != cudaSuccess) stop_ = nullptr;
  }
  ~Clock() {
    if (start_ != nullptr) cudaEventDestroy(start_);
    if (stop_ != nullptr) cudaEventDestroy(stop_);
    if (owns_stream_ && stream_ != nullptr) cudaStreamDestroy(stream_);
  }
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;

  bool ready() const { return stream_ != nullptr && start_ != nullptr && stop_ != nullptr; }
  cudaStream_t stream() const { return stream_; }

  // Milliseconds of one call of `body`, infinite when anything failed.
  template <class Body>
  double time(Body&& body) {
    float milliseconds = 0;
    const bool ok = cudaEventRecord(start_, stream_) == cudaSuccess && body() &&
                    cudaEventRecord(stop_, stream_) == cudaSuccess &&
                    cudaEventSynchronize(stop_) == cudaSuccess &&
                    cudaEventElapsedTime(&milliseconds, start_, stop_) == cudaSuccess;
    return ok ? double{milliseconds} : std::numeric_limits<double>::infinity();
  }

 private:
  cudaStream_t stream_ = nullptr;
  bool owns_stream_;
  cudaEvent_t start_ = nullptr, stop_ = nullptr;
};

// Memory for every tensor of the graph.
CudnnConvPointers scratch_pointers(const CudnnConvSpec& spec, const CudnnConvGraph& graph,
                                   cudaStream_t stream, Scratch& scratch) {
  const Conv2dDims& d = spec.dims;
  const auto bytes = [&](std::int64_t elements) {
    return static_cast<std::size_t>(elements) * bytes_of(spec.storage);
  };
  const std::size_t image = bytes(d.n * d.h * d.w * d.c), filter = bytes(d.k * d.r * d.s * d.c),
                    result = bytes(d.n * d.p() * d.q() * d.k), channels = static_cast<std::size_t>(d.k) * 4;
  const auto floats = [&] {
    return static_cast<const float*>(scratch.filled(channels, Storage::kF32, stream));
  };
  CudnnConvPointers p;
  for (const CudnnTensor tensor : graph.tensors) {
    switch (tensor) {
      case CudnnTensor::kX:
        p.x = scratch.filled(image, spec.storage, stream);
        break;
      case CudnnTensor::kWeight:
        p.weight = scratch.filled(filter, spec.storage, stream);
        break;
      case CudnnTensor::kDy:
        p.dy = scratch.filled(result, spec.storage, stream);
        break;
      case CudnnTensor::kResidual:
        p.residual = scratch.filled(result, spec.storage, stream);
        break;
      case CudnnTensor::kBias:
        p.bias = floats();
        break;
      case CudnnTensor::kSlope:
        p.slope = floats();
        break;
      case CudnnTensor::kScale2:
        p.scale2 = floats();
        break;
      case CudnnTensor::kShift2:
        p.shift2 = floats();
        break;
      case CudnnTensor::kY:
        p.y = scratch.allocate(std::max({image, filter, result}));
        break;
      case CudnnTensor::kY2:
        p.y2 = scratch.allocate(result);
        break;
      case CudnnTensor::kZero:
      case CudnnTensor::kIntermediate:
        break;
    }
  }
  return p;
}

}  // namespace

std::string run_plan(const CudnnTarget& target, const CudnnConvGraph& graph, const CudnnPlan& plan,
                     const CudnnConvPointers& pointers, void* workspace, void* stream) {
  std::vector<std::int64_t> names;
  std::vector<void*> addresses;
  for (const CudnnTensor tensor : graph.tensors) {
    const void* const pointer = pointer_of(pointers, tensor);
    if (pointer == nullptr) return std::string("no memory was given for ") + name_of(tensor);
    if (tensor != CudnnTensor::kZero && reinterpret_cast<std::uintptr_t>(pointer) % kCudnnAlignment != 0)
      return std::string(name_of(tensor)) + " is not aligned to " + std::to_string(kCudnnAlignment) +
             " bytes";
    names.push_back(static_cast<std::int64_t>(tensor));
    addresses.push_back(const_cast<void*>(pointer));
  }
  // A pack of pointers is closed by finalize(), so each run makes its own: host work of a microsecond or two,
  // and none at all where launches are replayed from a captured graph.
  CudnnCalls calls(*target.api);
  const CudnnDescriptor pack = calls.create(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  calls.set(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, names);
  calls.set_addresses(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, addresses.data(),
                      static_cast<std::int64_t>(addresses.size()));
  calls.set_addresses(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, &workspace, 1);
  calls.finalize(pack, "the pack of pointers");
  if (!calls.ok()) return calls.why();
  cudnnStatus_t status = target.api->set_stream(target.handle, static_cast<cudaStream_t>(stream));
  if (status == CUDNN_STATUS_SUCCESS)
    status = target.api->execute(target.handle, plan.plan.get(), pack.get());
  return status == CUDNN_STATUS_SUCCESS ? std::string() : target.api->explain(status);
}

CudnnTiming fastest_plan(const CudnnTarget& target, const CudnnConvSpec& spec, const CudnnConvGraph& graph,
                         const std::vector<const CudnnPlan*>& plans, void* stream) {
  constexpr int kTrials = 5;
  constexpr double kHopeless =
      3;  // a plan whose first run takes this many times the best median is not timed further
  CudnnTiming best;
  best.milliseconds = std::numeric_limits<double>::infinity();
  Clock clock(stream);
  Scratch scratch;
  const CudnnConvPointers pointers = scratch_pointers(spec, graph, clock.stream(), scratch);
  std::size_t workspace_bytes = 0;
  for (const CudnnPlan* const plan : plans)
    workspace_bytes = std::max(workspace_bytes, plan->workspace_bytes);
  void* const workspace = scratch.allocate(workspace_bytes);
  if (!clock.ready() || scratch.status() != cudaSuccess) {
    best.why =
        scratch.status() != cudaSuccess ? cudaGetErrorString(scratch.status()) : "no stream or no events";
    return best;
  }
  for (std::size_t i = 0; i < plans.size(); ++i) {
    const auto once = [&] {
      const std::string why = run_plan(target, graph, *plans[i], pointers, workspace, clock.stream());
      if (!why.empty() && best.why.empty()) best.why = why;
      return why.empty();
    };
    clock.time(once);  // loads the kernel
    if (!(clock.time(once) < kHopeless * best.milliseconds)) continue;
    std::array<double, kTrials> times{};
    for (double& time : times) time = clock.time(once);
    std::sort(times.begin(), times.end());
    if (times[kTrials / 2] < best.milliseconds) {
      best.ran = true;
      best.index = i;
      best.milliseconds = times[kTrials / 2];
    }
  }
  return best;
}

}  // namespace aikd::kernels::cuda
