// Tensors of all awkward sizes on the device, for the tests of the multi-tensor optimisers.
#pragma once

#include <cmath>
#include <optional>
#include <vector>

#include "kernels/optimiser.h"
#include "tests/cuda/device_memory.h"

namespace aikd::test::optimisers {

using kernels::Storage;
using kernels::TensorChunk;
using kernels::cuda::StepControl;
using kernels::cuda::TensorList;
using kernels::cuda::TensorSlice;

// One element, odd, none, several chunks and a part of one; the two groups take turns.
inline constexpr std::int64_t kCounts[] = {1, 13, 0, 1000, 70001, 16384};
inline constexpr std::size_t kTensors = std::size(kCounts);
inline constexpr float kLossScale = 128.0F;

inline std::size_t size_of(std::size_t tensor) {
  return static_cast<std::size_t>(kCounts[tensor]);
}

enum class First { kZeros, kUnwritten };

// The arrays of a tensor. A set of them, as bits, begins one element into its allocation, where no vector
// fits.
enum Array : unsigned {
  kParameter = 1,
  kGradient = 2,
  kFirst = 4,
  kSecond = 8,
  kAverage = 16,
  kLow = 32,
  kAllArrays = 63
};

// All tensors on the device, each array in an allocation of its own.
class Model {
 public:
  Model(unsigned shifted, First first, Storage low_precision) : shifted_(shifted) {
    for (std::size_t t = 0; t < kTensors; ++t) {
      parameter_.emplace_back(shift(kParameter, random_normal(kCounts[t], 100 + t)));
      if (first == First::kZeros) {
        first_.emplace_back(std::vector<float>(size_of(t) + offset(kFirst), 0.0F));
      } else {
        first_.emplace_back(size_of(t) + offset(kFirst));
      }
      second_.emplace_back(std::vector<float>(size_of(t) + offset(kSecond), 0.0F));
      average_.emplace_back(size_of(t) + offset(kAverage));
      low_.emplace_back(low_precision, size_of(t) + offset(kLow));
    }
    steps_.upload({0});
  }

  // With gradients, in the storage; they are kept until the next call.
  TensorList list(Storage storage, const std::vector<std::vector<float>>& gradients) {
    gradient_.clear();
    std::vector<TensorSlice> slices;
    for (std::size_t t = 0; t < kTensors; ++t) {
      gradient_.emplace_back(storage, shift(kGradient, gradients[t]));
      const std::size_t low_bytes = kernels::bytes_of(low_[t].storage());
      slices.push_back({.parameter = parameter_[t].data() + offset(kParameter),
                        .gradient = static_cast<const char*>(gradient_[t].data()) +
                                    offset(kGradient) * kernels::bytes_of(storage),
                        .first = first_[t].data() + offset(kFirst),
                        .second = second_[t].data() + offset(kSecond),
                        .average = average_[t].data() + offset(kAverage),
                        .low_precision = static_cast<char*>(low_[t].data()) + offset(kLow) * low_bytes,
                        .count = kCounts[t],
                        .group = static_cast<std::int32_t>(t % 2)});
    }
    std::vector<TensorChunk> chunks(static_cast<std::size_t>(
        kernels::tensor_chunk_count(slices.data(), static_cast<std::int64_t>(kTensors))));
    kernels::make_tensor_chunks(slices.data(), static_cast<std::int64_t>(kTensors), chunks.data());
    slices_.emplace(slices);
    chunks_.emplace(chunks);
    return {slices_->data(), chunks_->data(), static_cast<std::int64_t>(chunks.size())};
  }

  StepControl measure(Storage storage, const TensorList& tensors, float max_norm) {
    DeviceTeam team(kernels::cuda::gradient_norm_workspace_bytes(tensors.chunk_count));
    kernels::cuda::global_gradient_norm(team.context(), storage, tensors, 1.0F / kLossScale, norm_.data(),
                                        flag_.data());
    CHECK(team.guards_intact());
    CHECK(norm_.guards_intact());
    CHECK(flag_.guards_intact());
    return {.inverse_scale = 1.0F / kLossScale,
            .norm = norm_.data(),
            .max_norm = max_norm,
            .non_finite = flag_.data(),
            .steps = steps_.data(),
            .low_precision = low_.front().storage()};
  }

  std::vector<float> parameter(std::size_t t) const { return values(kParameter, parameter_[t].download()); }
  std::vector<float> first(std::size_t t) const { return values(kFirst, first_[t].download()); }
  std::vector<float> second(std::size_t t) const { return values(kSecond, second_[t].download()); }
  std::vector<float> average(std::size_t t) const { return values(kAverage, average_[t].download()); }
  std::vector<float> low(std::size_t t) const { return values(kLow, low_[t].download()); }
  float norm() const { return norm_.download()[0]; }
  std::int32_t flag() const { return flag_.download()[0]; }
  std::int32_t steps() const { return steps_.download()[0]; }
  bool guards_intact() const {
    bool intact = steps_.guards_intact();
    for (std::size_t t = 0; t < kTensors; ++t)
      intact = intact && parameter_[t].guards_intact() && first_[t].guards_intact() &&
               second_[t].guards_intact() && average_[t].guards_intact() && low_[t].guards_intact() &&
               gradient_[t].guards_intact();
    return intact;
  }
  // Everything that a step may change.
  std::vector<float> everything() const {
    std::vector<float> all;
    for (const auto* group : {&parameter_, &first_, &second_})
      for (const auto& tensor : *group)
        for (const float v : tensor.download()) all.push_back(v);
    for (const auto& tensor : low_)
      for (const float v : tensor.download()) all.push_back(v);
    all.push_back(static_cast<float>(steps()));
    return all;
  }

 private:
  std::size_t offset(Array array) const { return (shifted_ & array) != 0 ? 1 : 0; }
  std::vector<float> shift(Array array, const std::vector<float>& values) const {
    const std::size_t begin = offset(array);
    std::vector<float> all(begin + values.size(), 0.0F);
    for (std::size_t i = 0; i < values.size(); ++i) all[begin + i] = values[i];
    return all;
  }
  std::vector<float> values(Array array, std::vector<float> all) const {
    all.erase(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(offset(array)));
    return all;
  }
  unsigned shifted_;
  std::vector<DeviceArray<float>> parameter_, first_, second_, average_;
  std::vector<DeviceFloats> low_, gradient_;
  DeviceArray<float> norm_{std::size_t{1}};
  DeviceArray<std::int32_t> flag_{std::size_t{1}}, steps_{std::size_t{1}};
  std::optional<DeviceArray<TensorSlice>> slices_;
  std::optional<DeviceArray<TensorChunk>> chunks_;
};

// Gradients of a step, times the loss scale, as the storage holds them.
inline std::vector<std::vector<float>> make_gradients(Storage storage, int step) {
  std::vector<std::vector<float>> gradients;
  for (std::size_t t = 0; t < kTensors; ++t) {
    gradients.push_back(random_normal(kCounts[t], 1000 * static_cast<std::uint64_t>(step) + t));
    for (float& g : gradients.back()) g = rounded(storage, kLossScale * g);
  }
  return gradients;
}
inline double norm_of(const std::vector<std::vector<float>>& gradients) {
  double squares = 0;
  for (const auto& tensor : gradients)
    for (const float g : tensor)
      squares += std::pow(static_cast<double>(g) / static_cast<double>(kLossScale), 2);
  return std::sqrt(squares);
}

}  // namespace aikd::test::optimisers
