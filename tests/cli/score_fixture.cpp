#include "tests/cli/score_fixture.h"

#include <algorithm>
#include <sstream>
#include <stdexcept>

#include "aikd/model_builder.h"
#include "aikd/synth.h"
#include "aikd/untrained.h"
#include "io/image.h"
#include "io/table.h"
#include "tensor/context.h"

namespace aikd::test {
namespace fs = std::filesystem;
namespace {

fs::path make_model(std::uint64_t seed) {
  const fs::path path =
      program("aikd-score").parent_path().parent_path() / concat("score-test-model-", seed, ".safetensors");
  if (fs::is_regular_file(path)) return path;
  Context context(Device::cpu(), 1);
  UntrainedOptions options;
  options.architecture = "mobilefacenet";
  options.embedding_size = 16;
  options.hidden_size = 8;
  options.seed = seed;
  std::unique_ptr<Model> model = make_untrained(options, calibration_faces(seed, 4), context);
  save_model(*model, path);  // written to a temporary name and renamed: tests may run at once
  return path;
}

}  // namespace

fs::path score_model() {
  return make_model(11);
}
fs::path other_score_model() {
  return make_model(12);
}

std::string quote(const fs::path& text) {
  std::string out = "'";
  for (const char c : text.string()) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

FaceFolder::FaceFolder(int faces) {
  for (int i = 0; i < faces; ++i) {
    SynthOptions options;
    options.identity = static_cast<std::uint64_t>(i);
    options.width = 120 + i % 3 * 10;
    options.height = 140;
    const std::string name = concat(i % 2 == 0 ? "a" : "b", "/face", i, i % 2 == 0 ? ".png" : ".jpg");
    fs::create_directories((dir_ / name).parent_path());
    io::write_image(dir_ / name, render_face(options).image);
    names_.push_back(name);
  }
  std::sort(names_.begin(), names_.end());
}

// On the CPU: with a card in sight --device auto would take it, and these tests compare the CPU's bytes.
RunResult FaceFolder::raw(const std::string& arguments) const {
  return run(concat("cd ", quote(dir_.path()), " && unset AIKD_MODEL && CUDA_VISIBLE_DEVICES= ",
                    quote(program("aikd-score")), " ", arguments));
}

RunResult FaceFolder::score(const std::string& arguments) const {
  return raw(concat("-m ", quote(score_model()), " --score-map linear:-8,8 --quiet --no-time ", arguments));
}

std::vector<std::vector<std::string>> csv(const std::string& text) {
  std::istringstream in(text);
  io::DelimitedReader reader(in, ',');
  io::DelimitedRecord record;
  std::vector<std::vector<std::string>> records;
  while (reader.next(record)) records.push_back(record.fields);
  return records;
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace aikd::test
