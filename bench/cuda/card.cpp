#include "bench/cuda/card.h"

#include <algorithm>
#include <cmath>

#include "kernels/cuda/libraries.h"
#include "tensor/dtype.h"
#include "tensor/error.h"
#include "tensor/random.h"

namespace aikd::bench {
namespace {

constexpr std::int64_t kBlock = 1'000'003;  // a prime

Device cuda_device(const std::string& text) {
  const Device device = Device::parse(text);
  require(device.type == Device::Type::kCuda, ErrorKind::kDevice, "bench_cuda measures a CUDA device; '",
          text, "' is the CPU here.");
  return device;
}

// Rounds to `storage`, as bytes.
std::vector<unsigned char> narrowed(std::span<const float> values, kernels::Storage storage) {
  const std::size_t size = kernels::bytes_of(storage);
  std::vector<unsigned char> bytes(values.size() * size);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (storage == kernels::Storage::kF32) {
      std::copy_n(reinterpret_cast<const unsigned char*>(&values[i]), size, &bytes[i * size]);
      continue;
    }
    const std::uint16_t bits =
        storage == kernels::Storage::kF16 ? to_half(values[i]).bits : to_bfloat16(values[i]).bits;
    std::copy_n(reinterpret_cast<const unsigned char*>(&bits), size, &bytes[i * size]);
  }
  return bytes;
}

}  // namespace

Card::Card(const std::string& device, bool trial) : context_(cuda_device(device)), trial_(trial) {
  for (const cuda::DeviceProperties& p : cuda::devices())
    if (p.index == context_.device().index) properties_ = p;
}

bool Card::has_cudnn() {
  kernels::cuda::Libraries* const libraries = context_.kernel_context().libraries;
  return libraries != nullptr && libraries->cudnn() != nullptr;
}

int Card::sets(double bytes) const noexcept {
  if (trial_) return 2;
  const double wanted = std::ceil(4.0 * static_cast<double>(properties_.l2_bytes) / std::max(bytes, 1.0));
  return static_cast<int>(std::clamp(wanted, 1.0, 64.0));
}

void Card::fill_normal(kernels::Storage storage, std::int64_t count, void* to) {
  Buffer& block = blocks_[static_cast<int>(storage)];
  if (block.bytes() == 0) {
    std::vector<float> values(static_cast<std::size_t>(kBlock));
    Random random(7);
    for (float& v : values) v = static_cast<float>(random.normal());
    const std::vector<unsigned char> bytes = narrowed(values, storage);
    block = Buffer(bytes.size(), context_.device());
    cuda::copy_to_device(block.mutable_data(), bytes.data(), bytes.size(), context_.stream());
    context_.synchronize();
  }
  const auto size = static_cast<std::int64_t>(kernels::bytes_of(storage));
  auto* const out = static_cast<unsigned char*>(to);
  for (std::int64_t at = 0; at < count;) {
    const std::int64_t n = std::min(at == 0 ? kBlock : at, count - at);  // what is there is doubled
    cuda::copy_on_device(out + at * size, at == 0 ? block.data() : out, static_cast<std::size_t>(n * size),
                         context_.stream());
    at += n;
  }
}

Arrays::Arrays(Card& card, int sets, kernels::Storage storage, std::int64_t count) {
  for (int set = 0; set < sets; ++set) {
    buffers_.emplace_back(static_cast<std::size_t>(count) * kernels::bytes_of(storage),
                          card.context().stream());
    card.fill_normal(storage, count, buffers_.back().mutable_data());
  }
}

Uploaded<float> positive(Card& card, std::int64_t count) {
  std::vector<float> values(static_cast<std::size_t>(count));
  Random random(11);
  for (float& v : values) v = static_cast<float>(std::fabs(random.normal()) + 0.5);
  return Uploaded<float>(card, values);
}

Timing summary(std::vector<double>& values) {
  std::sort(values.begin(), values.end());
  const auto at = [&](double part) {
    return values[static_cast<std::size_t>(part * static_cast<double>(values.size() - 1) + 0.5)];
  };
  return {at(0.5), (at(0.75) - at(0.25)) / at(0.5)};
}

Timing time_launches(Card& card, int sets, const std::function<void(int set)>& launch) {
  const cuda::Stream& stream = card.context().stream();
  for (int set = 0; set < sets; ++set) launch(set);
  cuda::Event start, stop;
  start.record(stream);
  launch(0);
  stop.record(stream);
  stop.synchronize();
  if (card.trial()) sets = 1;
  const double one_ms = std::max(stop.milliseconds_since(start), 1e-3);

  constexpr double kGraphMs = 2, kTotalMs = 30;
  const int wanted = static_cast<int>(std::clamp(std::ceil(kGraphMs / one_ms), 1.0, 512.0));
  const int launches = card.trial() ? 1 : (wanted + sets - 1) / sets * sets;
  const cuda::Graph graph = cuda::Graph::capture(stream, [&launch, launches, sets] {
    for (int i = 0; i < launches; ++i) launch(i % sets);
  });
  graph.launch(stream);
  const int replays =
      card.trial() ? 1 : static_cast<int>(std::clamp(kTotalMs / (one_ms * launches), 5.0, 21.0));
  std::vector<double> us;
  for (int i = 0; i < replays; ++i) {
    start.record(stream);
    graph.launch(stream);
    stop.record(stream);
    stop.synchronize();
    us.push_back(stop.milliseconds_since(start) * 1e3 / launches);
  }
  stream.synchronize();  // reports what failed
  return summary(us);
}

Deadline::Deadline(double seconds) : start_(std::chrono::steady_clock::now()), limit_(seconds) {}

double Deadline::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

bool Deadline::passed() const {
  return limit_ > 0 && seconds() > limit_;
}

kernels::Storage storage_of(nn::Precision precision) noexcept {
  if (precision == nn::Precision::kFp16) return kernels::Storage::kF16;
  if (precision == nn::Precision::kBf16) return kernels::Storage::kBF16;
  return kernels::Storage::kF32;
}

}  // namespace aikd::bench
