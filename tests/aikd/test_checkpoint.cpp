#include "aikd/checkpoint.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <limits>

#include "aikd/run_directory.h"
#include "io/safetensors.h"
#include "tensor/error.h"
#include "tests/support/test.h"

using namespace aikd;
using nlohmann::ordered_json;

namespace {

constexpr const char* kNext = "checkpoint-next.safetensors";
constexpr const char* kLast = "checkpoint-last.safetensors";
constexpr const char* kPrevious = "checkpoint-previous.safetensors";

Tensor floats(const std::vector<float>& values, const Shape& shape) {
  return Tensor::from<float>(std::span(values), shape);
}

Checkpoint sample(std::int64_t step) {
  Checkpoint c;
  const auto f = static_cast<float>(step);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  c.tensors.emplace_back("model.weight", floats({f, -0.0F, nan, 1e-45F, 3, 4}, {2, 3}));
  c.tensors.emplace_back("optimiser.steps", Tensor::from<std::int64_t>(std::span(&step, 1), Shape()));
  c.tensors.emplace_back("empty", Tensor::zeros({0, 4}));
  c.state = {{"step", step}, {"loss_scale", 128.5}, {"best", nullptr}, {"name", "Z\xC3\xBCrich\n\""}};
  return c;
}

void check_equal(const Checkpoint& a, const Checkpoint& b) {
  CHECK(a.state == b.state);
  REQUIRE(a.tensors.size() == b.tensors.size());
  for (std::size_t i = 0; i < a.tensors.size(); ++i) {
    const auto& [name, tensor] = a.tensors[i];
    CHECK(name == b.tensors[i].first);
    CHECK(tensor.shape() == b.tensors[i].second.shape());
    CHECK(tensor.dtype() == b.tensors[i].second.dtype());
    CHECK((tensor.bytes() == 0 || std::memcmp(tensor.raw(), b.tensors[i].second.raw(), tensor.bytes()) == 0));
  }
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

template <class F>
std::string sentence_of(ErrorKind kind, F&& body) {
  try {
    body();
  } catch (const Error& error) {
    CHECK(error.kind() == kind);
    return error.what();
  }
  return "";
}

std::int64_t step_of(const CheckpointStore& store) {
  const auto loaded = store.load();
  return loaded ? loaded->checkpoint.state["step"].get<std::int64_t>() : -1;
}

// Runs `body` with files limited to `bytes`, as a full disk would.
template <class F>
void with_file_limit(std::size_t bytes, F&& body) {
  rlimit old{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &old) == 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit tight{bytes, old.rlim_max};
  REQUIRE(setrlimit(RLIMIT_FSIZE, &tight) == 0);
  body();
  setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, handler);
}

}  // namespace

TEST_CASE("a checkpoint reads back bit for bit") {
  const test::TempDir folder;
  write_checkpoint(folder / "c", sample(7));
  check_equal(read_checkpoint(folder / "c"), sample(7));
  write_checkpoint(folder / "d", sample(7));
  CHECK(test::read_text(folder / "c") == test::read_text(folder / "d"));
  write_checkpoint(folder / "e", Checkpoint());
  CHECK(read_checkpoint(folder / "e").tensors.empty());
}

TEST_CASE("a checkpoint cut off at any byte, or with any bit turned, is refused") {
  const test::TempDir folder;
  write_checkpoint(folder / "c", sample(7));
  const std::string whole = test::read_text(folder / "c");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    test::write_text(folder / "cut", whole.substr(0, size));
    const std::string sentence = sentence_of(ErrorKind::kModel, [&] { read_checkpoint(folder / "cut"); });
    CHECK_MESSAGE(has(sentence, "/cut' cannot be read: "), size);
  }
  std::size_t by_checksum = 0, harmless = 0;
  for (std::size_t at = 0; at < whole.size(); ++at) {
    CAPTURE(at);
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << (at % 7)));
    test::write_text(folder / "cut", damaged);
    Checkpoint read;
    try {
      read = read_checkpoint(folder / "cut");
    } catch (const Error& error) {
      by_checksum += has(error.what(), "is damaged: its checksum is '");
      continue;
    }
    check_equal(read, sample(7));  // a blank between two words of JSON, ...
    ++harmless;
  }
  CHECK(by_checksum > 32);  // the bytes of the tensors at least
  CHECK(harmless < 10);
  std::string last = whole;
  last.back() = static_cast<char>(last.back() ^ 0x40);
  test::write_text(folder / "cut", last);
  CHECK(has(sentence_of(ErrorKind::kModel, [&] { read_checkpoint(folder / "cut"); }),
            "is damaged: its checksum"));
}

TEST_CASE("files that are no checkpoints are refused with a sentence") {
  const test::TempDir folder;
  const auto refused = [&] { return sentence_of(ErrorKind::kModel, [&] { read_checkpoint(folder / "c"); }); };
  CHECK(has(refused(), "cannot be read: "));
  io::SafetensorsFile model;
  model.tensors.push_back({"a", Tensor::zeros({1})});
  io::write_safetensors(folder / "c", model);
  CHECK(has(refused(), "is a safetensors file, but not a checkpoint: it has no aikd.checkpoint"));
  model.metadata["aikd.checkpoint"] = "2";
  io::write_safetensors(folder / "c", model);
  CHECK(has(refused(), "is of version '2'; this program reads 1."));
  model.metadata["aikd.checkpoint"] = "1";
  io::write_safetensors(folder / "c", model);
  CHECK(has(refused(), "is damaged: its checksum is ''"));
  Checkpoint list;
  list.state = ordered_json::array();
  write_checkpoint(folder / "c", list);
  CHECK(has(refused(), "has a state that is not a JSON object."));
}

TEST_CASE("a checkpoint that cannot be written says why") {
  const test::TempDir folder;
  Checkpoint large;
  large.state["text"] = std::string(70'000, 'x');
  CHECK(has(sentence_of(ErrorKind::kOutput, [&] { write_checkpoint(folder / "c", large); }), "too long"));
  Checkpoint undefined;
  undefined.tensors.emplace_back("a", Tensor());
  CHECK(has(sentence_of(ErrorKind::kInternal, [&] { write_checkpoint(folder / "c", undefined); }),
            "The tensor 'a' of a checkpoint must be on the CPU and have values."));
  CHECK(has(sentence_of(ErrorKind::kOutput, [&] { write_checkpoint(folder / "none" / "c", sample(1)); }),
            "cannot be written"));
  CHECK_FALSE(std::filesystem::exists(folder / "c"));
}

TEST_CASE("tensors are copied back by name, whole or not at all") {
  const Checkpoint saved = sample(3);
  Tensor weight = Tensor::zeros({2, 3}), empty = Tensor::zeros({0, 4});
  Tensor steps = Tensor::zeros(Shape(), DType::kI64);
  using Into = std::vector<std::pair<std::string, Tensor*>>;
  copy_tensors(saved.tensors, "",
               Into{{"model.weight", &weight}, {"optimiser.steps", &steps}, {"empty", &empty}});
  CHECK(weight.values<float>()[0] == 3);
  CHECK(steps.values<std::int64_t>()[0] == 3);
  const auto refused = [&](const std::string& name, Tensor& to) {
    Tensor other = Tensor::full({2, 3}, 9);
    const std::string sentence = sentence_of(ErrorKind::kModel, [&] {
      copy_tensors(saved.tensors, "model.", Into{{"weight", &other}, {name, &to}});
    });
    CHECK(other.values<float>()[0] == 9);  // nothing was copied
    return sentence;
  };
  Tensor turned = Tensor::zeros({3, 2}), flat = Tensor::zeros({6}),
         whole = Tensor::zeros({2, 3}, DType::kI32);
  CHECK(refused("bias", weight) == "The checkpoint has no tensor 'model.bias'.");
  CHECK(refused("weight", turned) ==
        "The checkpoint's tensor 'model.weight' is F32 [2, 3]; expected F32 [3, 2].");
  CHECK(has(refused("weight", flat), "expected F32 [6]."));
  CHECK(has(refused("weight", whole), "expected I32 [2, 3]."));
}

TEST_CASE("the store keeps the last two and the best") {
  const test::TempDir folder;
  CheckpointStore store(folder.path());
  CHECK_FALSE(store.load().has_value());
  CHECK_FALSE(store.load_best().has_value());
  for (std::int64_t step = 1; step <= 4; ++step) {
    store.save(sample(step));
    CHECK(step_of(store) == step);
    if (step == 2) store.save_best(sample(step));
  }
  CHECK(store.load()->note.empty());
  CHECK(read_checkpoint(folder / kPrevious).state["step"] == 3);
  CHECK(store.load_best()->state["step"] == 2);
  CHECK_FALSE(std::filesystem::exists(folder / kNext));
  // What is loaded stays readable while newer ones are saved over it.
  const auto loaded = store.load();
  store.save(sample(5));
  store.save(sample(6));
  check_equal(loaded->checkpoint, sample(4));
}

TEST_CASE("an unreadable last checkpoint falls back to the one before, with a note") {
  const test::TempDir folder;
  CheckpointStore store(folder.path());
  store.save(sample(1));
  store.save(sample(2));
  const std::string last = test::read_text(folder / kLast);
  test::write_text(folder / kLast, last.substr(0, last.size() - 1));
  const auto loaded = store.load();
  REQUIRE(loaded.has_value());
  check_equal(loaded->checkpoint, sample(1));
  CHECK(loaded->path == folder / kPrevious);
  CHECK_MESSAGE(has(loaded->note, "checkpoint-last.safetensors' cannot be read: "), loaded->note);
  CHECK(has(loaded->note, "checkpoint-previous.safetensors', which is older."));
  // Saving goes on from there.
  store.save(sample(2));
  CHECK(step_of(store) == 2);
  CHECK(store.load()->note.empty());
  test::write_text(folder / kLast, "");
  test::write_text(folder / kPrevious, "nonsense, and long enough to be a header");
  const std::string sentence = sentence_of(ErrorKind::kModel, [&] { store.load(); });
  CHECK(has(sentence, "checkpoint-last.safetensors' cannot be read"));
  CHECK(has(sentence, "checkpoint-previous.safetensors' cannot be read"));
  CHECK(has(sentence, "--overwrite begins anew."));
}

TEST_CASE("killed between any two steps of saving, a whole checkpoint is found") {
  const test::TempDir folder;
  const auto put = [&](const char* name, std::int64_t step) {
    std::filesystem::remove(folder / name);
    if (step > 0) write_checkpoint(folder / name, sample(step));
  };
  // The files as each step leaves them: next, last, previous; and the newest.
  const std::int64_t states[][4] = {{1, 0, 0, 1}, {2, 1, 0, 2}, {2, 0, 1, 2},
                                    {3, 2, 1, 3}, {3, 0, 2, 3}, {0, 3, 2, 3}};
  for (const auto& [next, last, previous, newest] : states) {
    CAPTURE(next);
    CAPTURE(last);
    put(kNext, next);
    put(kLast, last);
    put(kPrevious, previous);
    CheckpointStore store(folder.path());
    CHECK(step_of(store) == newest);
    // And when the disk is full just then, nothing is lost.
    with_file_limit(64, [&] {
      CHECK(has(sentence_of(ErrorKind::kOutput, [&] { store.save(sample(9)); }),
                "writing failed (File too large)"));
    });
    CHECK(step_of(store) == newest);
    store.save(sample(10));
    CHECK(step_of(store) == 10);
    CHECK(read_checkpoint(folder / kPrevious).state["step"] == newest);
    CHECK_FALSE(std::filesystem::exists(folder / kNext));
  }
}

TEST_CASE("a process killed while it saves leaves checkpoints that can be gone on with") {
  const test::TempDir folder;
  for (int round = 0; round < 20; ++round) {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      RunDirectory run(folder / "run", false);
      CheckpointStore store(run.path());
      for (std::int64_t step = std::max<std::int64_t>(0, step_of(store)) + 1;; ++step)
        store.save(sample(step));
    }
    usleep(static_cast<useconds_t>(3000 + 1700 * round));
    kill(child, SIGKILL);
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    RunDirectory run(folder / "run", false);
    const auto loaded = CheckpointStore(run.path()).load();
    if (!loaded) continue;  // it had no time
    CHECK(loaded->note.empty());
    check_equal(loaded->checkpoint, sample(loaded->checkpoint.state["step"].get<std::int64_t>()));
  }
  CHECK(step_of(CheckpointStore(folder / "run")) > 0);
  RunDirectory run(folder / "run", false);
  for (const auto& entry : std::filesystem::directory_iterator(folder / "run"))
    CHECK_FALSE(has(entry.path().filename().string(), ".tmp-"));
}

TEST_CASE("a full disk leaves the checkpoints that are there") {
  const test::TempDir folder;
  CheckpointStore store(folder.path());
  store.save(sample(1));
  store.save(sample(2));
  store.save_best(sample(1));
  Checkpoint large = sample(3);
  large.tensors.emplace_back("large", Tensor::zeros({100'000}));
  with_file_limit(100'000, [&] {
    const std::string sentence = sentence_of(ErrorKind::kOutput, [&] { store.save(large); });
    CHECK_MESSAGE(has(sentence, "cannot be written: writing failed (File too large)."), sentence);
    CHECK(has(sentence_of(ErrorKind::kOutput, [&] { store.save_best(large); }), "File too large"));
  });
  CHECK(step_of(store) == 2);
  CHECK(read_checkpoint(folder / kPrevious).state["step"] == 1);
  CHECK(store.load_best()->state["step"] == 1);
  std::size_t files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder.path())) ++files;
  CHECK(files == 3);
}
