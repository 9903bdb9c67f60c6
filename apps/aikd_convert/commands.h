// The commands of aikd-convert. Each prints its result on stdout and what it did on stderr.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "aikd/convert.h"
#include "aikd/untrained.h"

namespace aikd::apps {

struct ConvertCommand {
  std::string input, output;
  ConvertOptions options;
  bool force = false, to_torch_layout = false, quiet = false;
};
int run_convert(const ConvertCommand& command);

struct InfoCommand {
  std::string file;
  bool json = false;
};
int run_info(const InfoCommand& command);

struct VerifyCommand {
  std::string file, sha256;  // sha256 empty: not compared
};
int run_verify(const VerifyCommand& command);

struct InitCommand {
  std::string output;
  UntrainedOptions options;
  std::vector<std::string> calibrate;  // images and folders; empty: synthetic faces
  int images = 32;
  int threads = 0;
  DType weights = DType::kF32;
  std::optional<std::string> score_map;
  bool force = false, quiet = false;
};
int run_init(const InitCommand& command);

}  // namespace aikd::apps
