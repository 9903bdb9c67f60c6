// Device memory for tests that run twice: in the host emulator (test_simt) and on a card (test_gpu). Which
// one is decided by what is linked: tests/simt/device_memory.cpp or tests/cuda/device_memory.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "kernels/context.h"
#include "kernels/storage.h"
#include "tests/support/test.h"

namespace aikd::test {

// Empty where kernels can be run, else the reason. In the emulator always empty. On a machine without a card:
// a sentence; with AIKD_REQUIRE_GPU=1 that is a failed check instead.
std::string gpu_missing();
#define AIKD_NEEDS_DEVICE()                                                                               \
  do {                                                                                                    \
    if (const std::string missing_ = ::aikd::test::gpu_missing(); !missing_.empty()) AIKD_SKIP(missing_); \
  } while (false)
// Whether this is the emulator: keep sizes small there.
bool emulated();

// Bytes on the device between guards that no kernel may touch. Not initialised: filled with 0xff (NaN as
// fp32, fp16, bf16), and in the emulator reading them is a violation.
class DeviceBytes {
 public:
  explicit DeviceBytes(std::size_t bytes, const void* values = nullptr);
  ~DeviceBytes();
  DeviceBytes(DeviceBytes&& other) noexcept;
  DeviceBytes& operator=(DeviceBytes&& other) noexcept;
  DeviceBytes(const DeviceBytes&) = delete;
  DeviceBytes& operator=(const DeviceBytes&) = delete;

  void* get() const noexcept { return begin_; }
  std::size_t bytes() const noexcept { return bytes_; }
  void read(void* to) const;  // waits for the device
  void write(const void* from);
  bool guards_intact() const;

 private:
  void* block_ = nullptr;
  void* begin_ = nullptr;
  std::size_t bytes_ = 0;
};

template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(std::size_t count) : bytes_(count * sizeof(T)), count_(count) {}
  explicit DeviceArray(const std::vector<T>& values)
      : bytes_(values.size() * sizeof(T), values.data()), count_(values.size()) {}
  T* data() const noexcept { return static_cast<T*>(bytes_.get()); }
  std::size_t size() const noexcept { return count_; }
  std::vector<T> download() const {
    std::vector<T> values(count_);
    bytes_.read(values.data());
    return values;
  }
  void upload(const std::vector<T>& values) { bytes_.write(values.data()); }
  bool guards_intact() const { return bytes_.guards_intact(); }

 private:
  DeviceBytes bytes_;
  std::size_t count_;
};

// Floats kept in a storage type, as activations are. Values are rounded (to nearest even) when they go in.
class DeviceFloats {
 public:
  DeviceFloats(kernels::Storage storage, std::size_t count);
  DeviceFloats(kernels::Storage storage, const std::vector<float>& values);
  void* data() const noexcept { return bytes_.get(); }
  kernels::Storage storage() const noexcept { return storage_; }
  std::vector<float> download() const;
  bool guards_intact() const { return bytes_.guards_intact(); }

 private:
  kernels::Storage storage_;
  std::size_t count_;
  DeviceBytes bytes_;
};
// `value` rounded to the storage type and back; half a unit in the last place of 1.0 there (2^-24, 2^-11,
// 2^-8).
float rounded(kernels::Storage storage, float value);
std::vector<float> rounded(kernels::Storage storage, std::vector<float> values);
double half_ulp(kernels::Storage storage);
inline constexpr kernels::Storage kStorages[] = {kernels::Storage::kF32, kernels::Storage::kF16,
                                                 kernels::Storage::kBF16};

// A context on the device with scratch memory (guarded; contents poisoned before each call of context()).
class DeviceTeam {
 public:
  explicit DeviceTeam(std::size_t workspace_bytes = 0);
  ~DeviceTeam();
  kernels::Context context();
  bool guards_intact() const { return workspace_.guards_intact(); }

 private:
  DeviceBytes workspace_;
  void* stream_ = nullptr;
  void* libraries_ = nullptr;  // kernels::cuda::Libraries, owned
};

// std::vector helpers shared by the tests: normal values and small integers from a seed.
std::vector<float> random_normal(std::int64_t count, std::uint64_t seed);
std::vector<float> random_integers(std::int64_t count, int range, std::uint64_t seed);
bool same_bits(const std::vector<float>& a, const std::vector<float>& b);
// ||a - b|| / ||b||, NaN when anything is NaN.
double relative_error(const std::vector<float>& a, const std::vector<double>& b);

}  // namespace aikd::test
