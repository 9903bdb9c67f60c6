#include "tests/cli/train_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <stdexcept>
#include <thread>

#include "aikd/run_directory.h"
#include "aikd/synth.h"
#include "io/image.h"
#include "io/safetensors.h"
#include "io/table.h"
#include "io/tensorboard.h"

namespace aikd::test {
namespace fs = std::filesystem;
namespace {

constexpr const char* kOfTime[] = {"images_per_second", "loader_wait_share", "memory_mb", "eta_seconds"};

bool of_time(const std::string& name) {
  for (const char* column : kOfTime)
    if (name.ends_with(column)) return true;
  return false;
}

}  // namespace

Child::Child(const fs::path& folder, const std::vector<std::string>& words, const fs::path& output,
             std::uint64_t file_limit)
    : output_(output) {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const std::string where = folder.string(), out = output.string();
  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error("cannot fork");
  if (pid_ == 0) {
    if (::chdir(where.c_str()) != 0) ::_exit(121);
    const int fd = ::open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
    ::dup2(fd, STDOUT_FILENO);
    ::dup2(fd, STDERR_FILENO);
    ::dup2(::open("/dev/null", O_RDONLY), STDIN_FILENO);
    if (file_limit > 0) {
      rlimit limit{};
      limit.rlim_cur = limit.rlim_max = file_limit;
      ::setrlimit(RLIMIT_FSIZE, &limit);
    }
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
}

Child::~Child() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    wait();
  }
}

void Child::signal(int number) {
  if (pid_ > 0) ::kill(pid_, number);
}

bool Child::running() {
  if (pid_ <= 0) return false;
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) == 0) return true;
  pid_ = -1;
  code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return false;
}

int Child::wait() {
  if (pid_ > 0) {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  return code_;
}

namespace {

// Rendered once per process.
struct Files {
  std::map<std::string, std::string> bytes;  // "faces/p0/f00.png", "labels.csv", ...
  std::vector<std::string> names;
};

Files make_files() {
  Files files;
  const TempDir dir;
  std::string landmarks = "path,lx,ly,rx,ry,nx,ny,mlx,mly,mrx,mry\n", labels = "path,label\n";
  for (int i = 0; i < 24; ++i) {
    SynthOptions options;
    options.identity = static_cast<std::uint64_t>(i % 6);
    options.variation = static_cast<std::uint64_t>(i / 6);
    options.width = 64 + i % 3 * 9;
    options.height = 72;
    options.degradation.blur = i % 5 * 0.2;
    const SynthFace face = render_face(options);
    const std::string extension = i % 2 == 0 ? ".png" : ".jpg";
    const std::string name = concat("p", i % 6, "/f", i < 10 ? "0" : "", i, extension);
    io::write_image(dir / ("face" + extension), face.image);
    files.bytes["faces/" + name] = read_text(dir / ("face" + extension));
    landmarks += name;
    for (const Point& point : face.landmarks)
      landmarks += concat(",", io::format_number(point.x), ",", io::format_number(point.y));
    landmarks += "\n";
    labels += concat(name, ",", io::format_number(5 - i % 5 + i * 0.01), "\n");
    files.names.push_back(name);
  }
  files.bytes["landmarks.csv"] = landmarks;
  files.bytes["labels.csv"] = labels;
  files.bytes["base.yaml"] =
      concat("teacher: '", score_model().string(), "'\n",
             "images: faces\nlandmarks: landmarks.csv\nlabels: labels.csv\nval-stride: 4\nbatch: 4\n"
             "val-batch: 5\nhead-width: 16\nlimit: 12\nthreads: 1\nworkers: 1\ndevice: cpu\n"
             "validate-every: 0.5\nlog-every: 1\nreport: false\nrun: run\n");
  return files;
}

const Files& files() {
  static const Files made = make_files();
  return made;
}

}  // namespace

TrainFolder::TrainFolder() : names_(files().names) {
  for (const auto& [name, bytes] : files().bytes) {
    fs::create_directories((dir_ / name).parent_path());
    write_text(dir_ / name, bytes);
  }
}

RunResult TrainFolder::train(const std::string& arguments) const {
  return run(
      concat("cd ", quote(path()), " && ", quote(program("aikd-train")), " -c base.yaml -q ", arguments));
}

std::vector<std::string> TrainFolder::words(std::vector<std::string> more) const {
  std::vector<std::string> all{program("aikd-train").string(), "-c", "base.yaml", "-q"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

std::vector<nlohmann::ordered_json> rows_of(const fs::path& log) {
  RunRows found = read_rows(log);
  CHECK(found.unreadable == 0);
  CHECK_FALSE(found.torn);
  return found.rows;
}

std::vector<std::string> timeless(const fs::path& log) {
  std::vector<std::string> out;
  for (nlohmann::ordered_json row : rows_of(log)) {
    for (const char* column : kOfTime) row.erase(column);
    out.push_back(row.dump());
  }
  return out;
}

std::map<std::string, std::string> tensors_of(const fs::path& file) {
  std::map<std::string, std::string> out;
  const io::SafetensorsFile read = io::read_safetensors(file);
  for (const io::SafetensorsEntry& entry : read.tensors)
    out[entry.name] = concat(name_of(entry.tensor.dtype()), entry.tensor.shape(), ": ") +
                      std::string(static_cast<const char*>(entry.tensor.raw()), entry.tensor.bytes());
  return out;
}

std::map<std::string, std::string> metadata_of(const fs::path& file) {
  const io::SafetensorsFile read = io::read_safetensors(file);
  return {read.metadata.begin(), read.metadata.end()};
}

std::map<std::string, std::string> contents(const fs::path& folder) {
  std::map<std::string, std::string> out;
  if (!fs::exists(folder)) return out;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder))
    out[fs::relative(entry.path(), folder).string()] = entry.is_regular_file() ? read_text(entry.path()) : "";
  return out;
}

std::vector<std::string> timeless_events(const fs::path& file) {
  std::vector<std::string> out;
  for (const io::TensorboardEvent& event : io::read_tensorboard(file).events)
    for (const io::TensorboardScalar& scalar : event.scalars)
      if (!of_time(scalar.tag))
        out.push_back(concat(scalar.tag, " ", event.step, " ", io::format_number(scalar.value)));
  return out;
}

bool wait_for_rows(Child& child, const fs::path& log, std::size_t rows) {
  while (true) {
    const bool running = child.running();
    if (fs::exists(log) && read_rows(log).rows.size() >= rows) return running;
    if (!running) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

void check_same_run(const fs::path& run, const fs::path& whole) {
  CHECK(timeless(run / "metrics.jsonl") == timeless(whole / "metrics.jsonl"));
  CHECK(read_text(run / "validation.jsonl") == read_text(whole / "validation.jsonl"));
  // Not CHECK(a == b): megabytes would be printed.
  for (const char* name : {"last.safetensors", "best.safetensors", "config.yaml"}) {
    CAPTURE(name);
    REQUIRE(fs::exists(run / name));
    CHECK((read_text(run / name) == read_text(whole / name)));
  }
  CHECK(
      (tensors_of(run / "checkpoint-last.safetensors") == tensors_of(whole / "checkpoint-last.safetensors")));
  if (fs::exists(whole / "events.out.tfevents.aikd"))
    CHECK(timeless_events(run / "events.out.tfevents.aikd") ==
          timeless_events(whole / "events.out.tfevents.aikd"));
  for (const auto& [name, bytes] : contents(run)) CHECK_MESSAGE(!has(name, ".tmp-"), name);
}

}  // namespace aikd::test
