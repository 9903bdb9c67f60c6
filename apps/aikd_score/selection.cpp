#include "apps/aikd_score/selection.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <utility>

namespace aikd::apps {

// Compared as printed: a score or mapped score taken from a table picks its own row.
bool passes(const ScoreRow& row, const ScoreOptions& options) {
  const auto threshold = [&options](double x) {
    return options.by_mapped ? x : static_cast<double>(static_cast<float>(x));
  };
  const double value =
      options.by_mapped ? std::round(row.mapped * 100) / 100 : static_cast<double>(row.score);
  if (options.min_score && !(value >= threshold(*options.min_score))) return false;
  return !options.below || value < threshold(*options.below);
}

bool Selection::needed(const ScoreOptions& options) {
  return options.top || options.top_per_folder || options.sort == "score" || options.sort == "path" ||
         options.reverse;
}

bool Selection::better(const Kept& a, const Kept& b) {
  if (a.row.score > b.row.score || a.row.score < b.row.score) return a.row.score > b.row.score;
  return a.order < b.order;
}

void Selection::keep_best(std::vector<Kept>& heap, Kept row, std::int64_t limit) {
  // With `better` as its order the heap's top is the worst row.
  heap.push_back(std::move(row));
  std::push_heap(heap.begin(), heap.end(), better);
  if (static_cast<std::int64_t>(heap.size()) > limit) {
    std::pop_heap(heap.begin(), heap.end(), better);
    heap.pop_back();
  }
}

void Selection::add(const ScoreRow& row) {
  constexpr std::int64_t kAll = std::numeric_limits<std::int64_t>::max();
  Kept kept{row, order_++};
  if (options_.top_per_folder) {
    const std::string folder = std::filesystem::path(row.path).parent_path().string();
    keep_best(folders_[folder], std::move(kept), *options_.top_per_folder);
  } else if (options_.top) {
    keep_best(rows_, std::move(kept), options_.top.value_or(kAll));
  } else {
    rows_.push_back(std::move(kept));
  }
}

void Selection::sort(std::vector<Kept>& rows) const {
  const bool by_score = options_.sort == "score" || (options_.sort.empty() && options_.top.has_value());
  if (by_score) {
    std::sort(rows.begin(), rows.end(), better);
  } else if (options_.sort == "path") {
    std::sort(rows.begin(), rows.end(), [](const Kept& a, const Kept& b) {
      return a.row.path != b.row.path ? a.row.path < b.row.path : a.order < b.order;
    });
  } else if (options_.sort.empty() && options_.top_per_folder) {
    std::sort(rows.begin(), rows.end(), [](const Kept& a, const Kept& b) {
      const auto folder = [](const Kept& kept) {
        return std::filesystem::path(kept.row.path).parent_path().string();
      };
      const std::string in_a = folder(a), in_b = folder(b);
      return in_a != in_b ? in_a < in_b : better(a, b);
    });
  } else {
    std::sort(rows.begin(), rows.end(), [](const Kept& a, const Kept& b) { return a.order < b.order; });
  }
  if (options_.reverse) std::reverse(rows.begin(), rows.end());
}

std::vector<ScoreRow> Selection::take() {
  for (auto& [folder, rows] : folders_) {
    for (Kept& kept : rows) {
      if (options_.top) {
        keep_best(rows_, std::move(kept), *options_.top);
      } else {
        rows_.push_back(std::move(kept));
      }
    }
  }
  folders_.clear();
  sort(rows_);
  std::vector<ScoreRow> out;
  out.reserve(rows_.size());
  for (Kept& kept : rows_) out.push_back(std::move(kept.row));
  rows_.clear();
  return out;
}

}  // namespace aikd::apps
