#include <cmath>

#include "tensor/dtype.h"
#include "tensor/random.h"
#include "tests/cuda/device_memory.h"

namespace aikd::test {

using kernels::Storage;

float rounded(Storage storage, float value) {
  switch (storage) {
    case Storage::kF16:
      return to_float(to_half(value));
    case Storage::kBF16:
      return to_float(to_bfloat16(value));
    case Storage::kF32:
      break;
  }
  return value;
}

std::vector<float> rounded(Storage storage, std::vector<float> values) {
  for (float& v : values) v = rounded(storage, v);
  return values;
}

double half_ulp(Storage storage) {
  return storage == Storage::kF32 ? 0x1p-24 : storage == Storage::kF16 ? 0x1p-11 : 0x1p-8;
}

namespace {

std::vector<unsigned char> encode(Storage storage, const std::vector<float>& values) {
  const std::size_t size = kernels::bytes_of(storage);
  std::vector<unsigned char> bytes(values.size() * size);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::uint16_t half = to_half(values[i]).bits, brain = to_bfloat16(values[i]).bits;
    const void* const from = storage == Storage::kF32   ? static_cast<const void*>(&values[i])
                             : storage == Storage::kF16 ? static_cast<const void*>(&half)
                                                        : static_cast<const void*>(&brain);
    std::memcpy(bytes.data() + i * size, from, size);
  }
  return bytes;
}

}  // namespace

DeviceFloats::DeviceFloats(Storage storage, std::size_t count)
    : storage_(storage), count_(count), bytes_(count * kernels::bytes_of(storage)) {}

DeviceFloats::DeviceFloats(Storage storage, const std::vector<float>& values)
    : storage_(storage),
      count_(values.size()),
      bytes_(values.size() * kernels::bytes_of(storage), encode(storage, values).data()) {}

std::vector<float> DeviceFloats::download() const {
  std::vector<unsigned char> bytes(bytes_.bytes());
  bytes_.read(bytes.data());
  std::vector<float> values(count_);
  const std::size_t size = kernels::bytes_of(storage_);
  for (std::size_t i = 0; i < count_; ++i) {
    std::uint16_t bits = 0;
    if (storage_ == Storage::kF32) {
      std::memcpy(&values[i], bytes.data() + i * size, size);
      continue;
    }
    std::memcpy(&bits, bytes.data() + i * size, size);
    values[i] = storage_ == Storage::kF16 ? to_float(Half{bits}) : to_float(BFloat16{bits});
  }
  return values;
}

std::vector<float> random_normal(std::int64_t count, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; ++i) values.push_back(static_cast<float>(random.normal()));
  return values;
}

std::vector<float> random_integers(std::int64_t count, int range, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; ++i)
    values.push_back(static_cast<float>(random.below(2 * static_cast<std::uint64_t>(range) + 1)) -
                     static_cast<float>(range));
  return values;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

double relative_error(const std::vector<float>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) return std::nan("");
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double d = static_cast<double>(a[i]) - b[i];
    difference += d * d;
    norm += b[i] * b[i];
  }
  return norm == 0 ? std::sqrt(difference) : std::sqrt(difference / norm);
}

}  // namespace aikd::test
