#include "tensor/caching_allocator.h"

#include <algorithm>
#include <cstdint>
#include <iomanip>
#include <utility>

#include "tensor/error.h"

namespace aikd {
namespace {

constexpr std::size_t kSmallStep = 512;
constexpr std::size_t kLargeStep = std::size_t{2} << 20;
constexpr std::size_t kSmallLimit = std::size_t{1} << 20;
constexpr std::size_t kLeastWaste = 4096;

std::string in_words(std::size_t bytes) {
  constexpr double kMiB = 1024.0 * 1024.0;
  const double mib = static_cast<double>(bytes) / kMiB;
  if (mib < 1) return concat(bytes, " bytes");
  if (mib < 1024) return concat(bytes, " bytes (", std::fixed, std::setprecision(1), mib, " MiB)");
  return concat(bytes, " bytes (", std::fixed, std::setprecision(1), mib / 1024, " GiB)");
}

}  // namespace

CachingAllocator::CachingAllocator(std::unique_ptr<MemorySource> source) : source_(std::move(source)) {}

CachingAllocator::~CachingAllocator() {
  try {
    give_back_everything();
  } catch (const Error&) {  // the device failed: nothing of it can be given back any more
  }
}

std::size_t CachingAllocator::block_bytes(std::size_t bytes) noexcept {
  const std::size_t step = bytes <= kSmallLimit ? kSmallStep : kLargeStep;
  if (bytes > SIZE_MAX - step) return SIZE_MAX;  // no device has it: the request fails as any too large one
  return (bytes + step - 1) / step * step;
}

std::size_t CachingAllocator::largest_acceptable(std::size_t block_bytes) noexcept {
  const std::size_t waste = std::max(block_bytes / 4, kLeastWaste);
  return block_bytes > SIZE_MAX - waste ? SIZE_MAX : block_bytes + waste;
}

CachingAllocator::Block CachingAllocator::take(FreeBlocks& blocks, std::size_t bytes) {
  const auto best = blocks.lower_bound(bytes);
  if (best == blocks.end() || best->first > largest_acceptable(bytes)) return {};
  const Block block{best->second, best->first};
  blocks.erase(best);
  return block;
}

CachingAllocator::Block CachingAllocator::take_cached(std::size_t bytes, void* stream) {
  if (const auto own = by_stream_.find(stream); own != by_stream_.end()) {
    if (const Block block = take(own->second, bytes); block.memory != nullptr) return block;
  }
  if (const Block block = take(idle_, bytes); block.memory != nullptr) return block;
  const auto best = waiting_.lower_bound(bytes);
  if (best == waiting_.end() || best->first > largest_acceptable(bytes)) return {};
  return wait_for_device() ? take(idle_, bytes) : Block{};
}

bool CachingAllocator::wait_for_device() {
  if (!source_->wait()) return false;
  ++statistics_.waits;
  idle_.merge(waiting_);
  return true;
}

void* CachingAllocator::allocate(std::size_t bytes, void* stream) {
  if (bytes == 0) return nullptr;
  const std::lock_guard lock(mutex_);
  const std::size_t wanted = block_bytes(bytes);
  Block block = take_cached(wanted, stream);
  if (block.memory != nullptr) {
    statistics_.cached -= block.bytes;
    ++statistics_.reuses;
  } else {
    block = {source_->allocate(wanted), wanted};
    if (const std::size_t cached = statistics_.cached; block.memory == nullptr) {
      if (cached != 0) {
        give_back_everything();
        block.memory = source_->allocate(wanted);
      }
      if (block.memory == nullptr) fail_without_memory(bytes, cached);
    }
    ++statistics_.source_allocations;
  }
  used_[block.memory] = {block.bytes, stream, false};
  statistics_.in_use += block.bytes;
  statistics_.peak = std::max(statistics_.peak, statistics_.in_use);
  return block.memory;
}

void CachingAllocator::fail_without_memory(std::size_t bytes, std::size_t cached) const {
  const std::string remaining = source_->remaining();
  fail(ErrorKind::kDevice, source_->name(), " has no memory left: ", in_words(bytes),
       " were asked for, this process has ", in_words(statistics_.in_use), " in use there and had ",
       in_words(cached), " cached", remaining.empty() ? "" : "; ", remaining, ".");
}

void CachingAllocator::release(void* memory, void* stream) {
  if (memory == nullptr) return;
  const std::lock_guard lock(mutex_);
  const auto found = used_.find(memory);
  require(found != used_.end(), ErrorKind::kInternal, "Memory of ", source_->name(),
          " was released that is not in use: it was released twice, or comes from somewhere else.");
  const UsedBlock block = found->second;
  used_.erase(found);
  // The handle of a stream that is gone may by now name another stream, which is not ordered after the
  // block's last use.
  const bool gone = block.stream_gone && block.stream == stream;
  (stream == nullptr || gone ? waiting_ : by_stream_[stream]).emplace(block.bytes, memory);
  statistics_.in_use -= block.bytes;
  statistics_.cached += block.bytes;
}

void CachingAllocator::forget_stream(void* stream) {
  if (stream == nullptr) return;
  const std::lock_guard lock(mutex_);
  if (const auto own = by_stream_.find(stream); own != by_stream_.end()) {
    idle_.merge(own->second);
    by_stream_.erase(own);
  }
  for (auto& [memory, block] : used_) {
    if (block.stream == stream) block.stream_gone = true;
  }
}

void CachingAllocator::release_cached() {
  const std::lock_guard lock(mutex_);
  give_back_everything();
}

void CachingAllocator::give_back_everything() {
  if (statistics_.cached == 0) return;
  if (!wait_for_device()) return;
  for (const auto& [bytes, memory] : idle_) source_->release(memory);
  idle_.clear();
  for (const auto& [stream, blocks] : by_stream_) {
    for (const auto& [bytes, memory] : blocks) source_->release(memory);
  }
  by_stream_.clear();
  statistics_.cached = 0;
}

CachingAllocator::Statistics CachingAllocator::statistics() const {
  const std::lock_guard lock(mutex_);
  return statistics_;
}

}  // namespace aikd
