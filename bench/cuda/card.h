// The device under measurement: random data on it, and the time of launches.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "kernels/storage.h"
#include "nn/plan.h"
#include "tensor/context.h"

namespace aikd::bench {

class Card {
 public:
  // `device` as Device::parse reads it; anything but a CUDA device is Error(kDevice).
  // `trial`: time_launches() launches as little as it can.
  explicit Card(const std::string& device, bool trial = false);

  Context& context() noexcept { return context_; }
  const cuda::DeviceProperties& properties() const noexcept { return properties_; }
  bool has_cudnn();
  bool trial() const noexcept { return trial_; }
  // How many copies of a working set of `bytes` to rotate among, so that no launch finds its input in the L2
  // cache: together they are four times its size.
  int sets(double bytes) const noexcept;

  // Fills `count` elements at `to` with values N(0, 1), rounded to the storage. One block of 1,000,003 values
  // is drawn on the host and laid down again and again: its length divides no row, so that no two channels
  // see the same values. Random bits cost the card more power than zeros do, which flatter it by a tenth.
  void fill_normal(kernels::Storage storage, std::int64_t count, void* to);

 private:
  cuda::DeviceProperties properties_;
  Context context_;
  bool trial_;
  Buffer blocks_[3];  // by storage; made at first use
};

// `sets` arrays of `count` random elements each, 256-byte aligned.
class Arrays {
 public:
  Arrays(Card& card, int sets, kernels::Storage storage, std::int64_t count);
  void* operator()(int set) { return buffers_[static_cast<std::size_t>(set)].mutable_data(); }
  float* floats(int set) { return static_cast<float*>((*this)(set)); }  // of an fp32 array

 private:
  std::vector<Buffer> buffers_;
};

// Values of the host's choosing on the device.
template <class T>
class Uploaded {
 public:
  Uploaded(Card& card, std::span<const T> values) : buffer_(values.size_bytes(), card.context().device()) {
    cuda::copy_to_device(buffer_.mutable_data(), values.data(), values.size_bytes(), card.context().stream());
    card.context().synchronize();
  }
  T* data() { return static_cast<T*>(buffer_.mutable_data()); }

 private:
  Buffer buffer_;
};
// |N(0,1)| + 0.5: variances, scales.
Uploaded<float> positive(Card& card, std::int64_t count);

struct Timing {
  double us = 0;      // of one launch: the median over the replays
  double spread = 0;  // (third quartile - first quartile) / median
};
// Time of launch(set) by events around replays of a graph that holds at least 2 ms of launches, rotating
// through the sets: gaps between launches, which the host causes, stay out. Every set is launched once
// before, and the graph is replayed once untimed. `ctx` of what is launched must be a context of card.
Timing time_launches(Card& card, int sets, const std::function<void(int set)>& launch);

// The median and its spread; `values` is sorted.
Timing summary(std::vector<double>& values);

// Measurements are left out once the time is up.
class Deadline {
 public:
  explicit Deadline(double seconds);  // 0: never
  bool passed() const;
  double seconds() const;  // since the start

 private:
  std::chrono::steady_clock::time_point start_;
  double limit_;
};

// What the activations of a precision are stored as.
kernels::Storage storage_of(nn::Precision precision) noexcept;

}  // namespace aikd::bench
