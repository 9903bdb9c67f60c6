// Where measurements go: a table for people on stdout and, if asked for, a file of JSON lines that
// scripts/gpu_check.sh puts together. A line is written as soon as it is known: what a program that is killed
// had measured is not lost.
#pragma once

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "bench/cuda/card.h"

namespace aikd::bench {

class Report {
 public:
  // Error(kOutput) when `path` cannot be written; empty: no file. `command` names the first line.
  Report(const std::string& path, std::string_view command, Card& card);
  ~Report();
  Report(const Report&) = delete;
  Report& operator=(const Report&) = delete;

  // One line; `row` has "kind".
  void row(const nlohmann::ordered_json& row);
  // A sentence in both.
  void note(const std::string& sentence);

 private:
  std::FILE* file_ = nullptr;
};

}  // namespace aikd::bench
