// The last step of reading a pickle: what was built must be safe to walk, copy and free by plain recursion.
#include <algorithm>
#include <limits>
#include <string_view>

#include "io/pickle_reader.h"
#include "io/text.h"

namespace aikd::io {
namespace {

constexpr int kMaxDepth = 100;
// How often shared parts may be met when the value is walked as a tree, per byte of the pickle. Lists that
// hold each other twice double with every level ("billion laughs"); real files stay far below.
constexpr std::uint64_t kMaxVisitsPerByte = 64;
constexpr std::size_t kMaxKeyBytes = 4096;  // PATH_MAX. Longer keys could make sorting them slow.

std::size_t child_count(const PickleValue& value) {
  if (const auto* list = std::get_if<PickleList>(&value.v)) return list->items.size();
  if (const auto* tuple = std::get_if<PickleTuple>(&value.v)) return tuple->items.size();
  if (const auto* dict = std::get_if<PickleDict>(&value.v)) return 2 * dict->items.size();
  return 0;
}

const PickleRef& child(const PickleValue& value, std::size_t i) {
  if (const auto* list = std::get_if<PickleList>(&value.v)) return list->items[i];
  if (const auto* tuple = std::get_if<PickleTuple>(&value.v)) return tuple->items[i];
  const auto& item = std::get<PickleDict>(value.v).items[i / 2];
  return i % 2 == 0 ? item.first : item.second;
}

bool is_container(const PickleValue& value) {
  return std::holds_alternative<PickleList>(value.v) || std::holds_alternative<PickleTuple>(value.v) ||
         std::holds_alternative<PickleDict>(value.v);
}

void check_plain(const PickleValue& value) {
  if (std::holds_alternative<std::shared_ptr<PickleObject>>(value.v))
    fail(ErrorKind::kInput, "The pickle holds ", describe(value),
         " as a value; only plain data and tensors are read.");
}

void check_keys(const PickleValue& value) {
  const auto* dict = std::get_if<PickleDict>(&value.v);
  if (dict == nullptr) return;
  std::vector<std::string_view> texts;
  std::vector<std::int64_t> integers;
  for (const auto& item : dict->items) {
    if (const auto* text = std::get_if<std::string>(&item.first->v)) {
      require(text->size() <= kMaxKeyBytes, ErrorKind::kInput, "The pickle has a dict with a key of ",
              text->size(), " bytes; at most ", kMaxKeyBytes, " are allowed.");
      texts.push_back(*text);
    }
    if (const auto* integer = std::get_if<std::int64_t>(&item.first->v)) integers.push_back(*integer);
  }
  std::ranges::sort(texts);
  std::ranges::sort(integers);
  if (const auto twice = std::ranges::adjacent_find(texts); twice != texts.end())
    fail(ErrorKind::kInput, "The pickle has a dict with the key ", in_quotes(*twice), " twice.");
  if (const auto twice = std::ranges::adjacent_find(integers); twice != integers.end())
    fail(ErrorKind::kInput, "The pickle has a dict with the key ", *twice, " twice.");
}

}  // namespace

// A depth-first walk without recursion. Every container is visited once; what is known of it is kept in
// arrays beside the sorted list of all containers.
class PickleReader::Checker {
 public:
  explicit Checker(std::vector<PickleRef>& containers) : nodes_(containers) {
    std::ranges::sort(nodes_);
    nodes_.erase(std::unique(nodes_.begin(), nodes_.end()), nodes_.end());
    state_.assign(nodes_.size(), kNew);
    height_.assign(nodes_.size(), 0);
    visits_.assign(nodes_.size(), 1);
  }

  // `inside_result`: whether the walk starts at the result, which must hold no PickleObject.
  void walk(std::size_t start, bool inside_result) {
    if (state_[start] != kNew) return;
    path_.assign(1, {start, 0});
    state_[start] = kOpen;
    while (!path_.empty()) {
      Step& step = path_.back();
      const PickleValue& node = *nodes_[step.node];
      if (step.next == child_count(node)) {
        check_keys(node);
        close(step.node);
        continue;
      }
      const PickleRef& next = child(node, step.next++);
      if (inside_result) check_plain(*next);
      if (is_container(*next)) {
        enter(index_of(next));
      } else {
        add(step.node, 0, 1);
      }
    }
  }

  std::size_t size() const noexcept { return nodes_.size(); }
  std::size_t index_of(const PickleRef& value) const {
    const auto found = std::ranges::lower_bound(nodes_, value);
    require(found != nodes_.end() && *found == value, ErrorKind::kInternal,
            "A container of a pickle was not tracked.");
    return static_cast<std::size_t>(found - nodes_.begin());
  }
  std::uint64_t visits(std::size_t node) const { return visits_[node]; }

 private:
  enum State : std::uint8_t { kNew, kOpen, kDone };
  struct Step {
    std::size_t node, next;
  };

  void enter(std::size_t node) {
    if (state_[node] == kOpen)
      fail(ErrorKind::kInput, "The pickle holds ", describe(*nodes_[node]), " that contains itself.");
    if (state_[node] == kDone) return add(path_.back().node, height_[node] + 1, visits_[node]);
    state_[node] = kOpen;
    path_.push_back({node, 0});
  }
  void close(std::size_t node) {
    state_[node] = kDone;
    path_.pop_back();
    if (!path_.empty()) add(path_.back().node, height_[node] + 1, visits_[node]);
  }
  void add(std::size_t node, int height, std::uint64_t visits) {
    height_[node] = std::max(height_[node], height);
    if (height_[node] > kMaxDepth)
      fail(ErrorKind::kInput, "The pickle is nested more than ", kMaxDepth, " levels deep.");
    constexpr auto kMost = std::numeric_limits<std::uint64_t>::max();
    visits_[node] = visits_[node] > kMost - visits ? kMost : visits_[node] + visits;
  }

  std::vector<PickleRef>& nodes_;
  std::vector<State> state_;
  std::vector<int> height_;            // levels of containers below
  std::vector<std::uint64_t> visits_;  // values met when walked as a tree
  std::vector<Step> path_;
};

void PickleReader::finish(const PickleRef& root) {
  stack_.clear();
  memo_.clear();
  memo_beyond_.clear();
  check_plain(*root);
  Checker checker(containers_);
  if (is_container(*root)) {
    const std::size_t start = checker.index_of(root);
    checker.walk(start, true);
    require(checker.visits(start) <= 10'000 + kMaxVisitsPerByte * bytes_.size(), ErrorKind::kInput,
            "The pickle shares its parts so often that it would grow to ", checker.visits(start), " values.");
  }
  // What is not part of the result is freed below, by recursion: it too must be shallow and free of cycles.
  for (std::size_t i = 0; i < checker.size(); ++i) checker.walk(i, false);
  containers_.clear();
}

}  // namespace aikd::io
