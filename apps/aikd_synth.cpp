// aikd-synth: folders of synthetic faces with landmarks, labels and pairs.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "aikd/synth.h"
#include "apps/common/program.h"
#include "apps/common/signals.h"
#include "apps/common/terminal.h"
#include "tensor/random.h"
#include "tensor/thread_pool.h"

namespace {

namespace fs = std::filesystem;
using aikd::ErrorKind;

struct Kind {
  const char* name;
  double aikd::Degradation::*level;
};
constexpr std::array<Kind, 7> kKinds{{{"blur", &aikd::Degradation::blur},
                                      {"noise", &aikd::Degradation::noise},
                                      {"low_resolution", &aikd::Degradation::low_resolution},
                                      {"jpeg", &aikd::Degradation::jpeg},
                                      {"occlusion", &aikd::Degradation::occlusion},
                                      {"pose", &aikd::Degradation::pose},
                                      {"light", &aikd::Degradation::light}}};

struct Options {
  std::string out, size = "160x160", degrade = "none", format = "png";
  int identities = 10, per_identity = 4, threads = 0, pairs = 0;
  std::uint64_t seed = 0;
  bool aligned = false, markers = false, json = false, quiet = false, progress = false;
  aikd::Degradation fixed;
  int width = 160, height = 160;
};

struct Job {
  std::string path;                          // below the output folder
  std::int64_t identity = 0, variation = 0;  // counted from 1
  aikd::SynthOptions face;
  aikd::Landmarks landmarks;  // after rendering
};

std::string padded(std::int64_t value, int digits) {
  std::string text = std::to_string(value);
  return std::string(static_cast<std::size_t>(std::max(0, digits - static_cast<int>(text.size()))), '0') +
         text;
}

std::string fixed_point(double value, int digits) {
  std::array<char, 64> text{};
  const auto end =
      std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed, digits);
  return {text.data(), end.ptr};
}

void parse_size(Options& o) {
  const std::size_t x = o.size.find('x');
  const char* text = o.size.data();
  bool ok = x != std::string::npos;
  if (ok) {
    const auto w = std::from_chars(text, text + x, o.width);
    const auto h = std::from_chars(text + x + 1, text + o.size.size(), o.height);
    ok = w.ec == std::errc() && w.ptr == text + x && h.ec == std::errc() && h.ptr == text + o.size.size();
  }
  aikd::require(ok && o.width >= 16 && o.width <= 4096 && o.height >= 16 && o.height <= 4096,
                ErrorKind::kUsage,
                "--size must be WxH with 16..4096 pixels each way, such as 160x160; got \"", o.size, "\".");
}

// A quarter of the photographs stays as it is; the others get one to three degradations of any strength.
aikd::Degradation random_degradation(std::uint64_t seed, std::uint64_t identity, std::uint64_t variation) {
  aikd::Random random(aikd::splitmix64(seed ^ aikd::splitmix64(identity)) ^
                      aikd::splitmix64(variation + 0x64656772U));
  aikd::Degradation out;
  if (random.uniform() < 0.25) return out;
  const std::uint64_t count = 1 + random.below(3);
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::size_t kind = random.below(kKinds.size());
    out.*kKinds[kind].level = random.uniform();
  }
  return out;
}

std::vector<Job> plan_jobs(const Options& o) {
  std::vector<Job> jobs;
  for (std::int64_t i = 1; i <= o.identities; ++i) {
    const std::string folder = "id" + padded(i, 5);
    for (std::int64_t v = 1; v <= o.per_identity; ++v) {
      Job job;
      job.identity = i;
      job.variation = v;
      job.face.identity = aikd::splitmix64(o.seed) + static_cast<std::uint64_t>(i);
      job.face.variation = static_cast<std::uint64_t>(v);
      job.face.width = o.width;
      job.face.height = o.height;
      job.face.aligned = o.aligned;
      job.face.markers = o.markers;
      job.face.degradation = o.fixed;
      int number = 0;
      const auto add = [&] {
        job.path = folder + "/" + padded(v, 4) + "_" + padded(++number, 2) + "." + o.format;
        jobs.push_back(job);
      };
      if (o.degrade == "random")
        job.face.degradation = random_degradation(o.seed, job.face.identity, job.face.variation);
      add();
      if (o.degrade != "grid") continue;
      for (const Kind& kind : kKinds) {
        for (const double level : {0.25, 0.5, 0.75, 1.0}) {
          job.face.degradation = {};
          job.face.degradation.*kind.level = level;
          add();
        }
      }
    }
  }
  return jobs;
}

class TextFile {
 public:
  explicit TextFile(const fs::path& path) : path_(path), out_(path, std::ios::binary) {
    aikd::require(static_cast<bool>(out_), ErrorKind::kOutput, "Cannot create ", path, ".");
  }
  void line(const std::string& text) { out_ << text << '\n'; }
  void close() {
    out_.close();
    aikd::require(!out_.fail(), ErrorKind::kOutput, "Cannot write ", path_, ".");
  }

 private:
  fs::path path_;
  std::ofstream out_;
};

void write_tables(const Options& o, const std::vector<Job>& jobs) {
  TextFile landmarks(fs::path(o.out) / "landmarks.csv"), labels(fs::path(o.out) / "labels.csv");
  landmarks.line("path,lx,ly,rx,ry,nx,ny,mlx,mly,mrx,mry");
  labels.line("path,identity,variation,blur,noise,low_resolution,jpeg,occlusion,pose,light,utility");
  nlohmann::json json = nlohmann::json::object();
  for (const Job& job : jobs) {
    std::string row = job.path,
                label = job.path + "," + std::to_string(job.identity) + "," + std::to_string(job.variation);
    nlohmann::json points = nlohmann::json::array();
    for (const aikd::Point& p : job.landmarks) {
      row += "," + fixed_point(p.x, 4) + "," + fixed_point(p.y, 4);
      points.push_back({p.x, p.y});
    }
    for (const Kind& kind : kKinds) label += "," + fixed_point(job.face.degradation.*kind.level, 4);
    label += "," + fixed_point(aikd::synth_utility(job.face.degradation), 6);
    landmarks.line(row);
    labels.line(label);
    json[job.path] = points;
  }
  landmarks.close();
  labels.close();
  if (o.json) {
    TextFile file(fs::path(o.out) / "landmarks.json");
    file.line(json.dump(1));
    file.close();
  }
}

// `a b 1` for two pictures of one person, `a b 0` for two people, o.pairs of each.
void write_pairs(const Options& o, const std::vector<Job>& jobs) {
  const std::size_t per = jobs.size() / static_cast<std::size_t>(o.identities);
  aikd::Random random(o.seed ^ 0x7061697273U);
  TextFile file(fs::path(o.out) / "pairs.txt");
  for (int i = 0; i < o.pairs; ++i) {
    const std::size_t person = random.below(static_cast<std::uint64_t>(o.identities));
    const std::size_t a = random.below(per), b = (a + 1 + random.below(per - 1)) % per;
    file.line(jobs[person * per + a].path + " " + jobs[person * per + b].path + " 1");
    const auto n = static_cast<std::size_t>(o.identities);
    const std::size_t other = (person + 1 + random.below(n - 1)) % n;
    const std::size_t c = random.below(per), d = random.below(per);
    file.line(jobs[person * per + c].path + " " + jobs[other * per + d].path + " 0");
  }
  file.close();
}

int generate(const Options& o) {
  std::vector<Job> jobs = plan_jobs(o);
  std::error_code error;
  for (const Job& job : jobs) {
    fs::create_directories((fs::path(o.out) / job.path).parent_path(), error);
    aikd::require(!error, ErrorKind::kOutput, "Cannot create the folder ",
                  (fs::path(o.out) / job.path).parent_path(), ": ", error.message(), ".");
  }
  aikd::apps::watch_stop_signals();
  aikd::apps::Console console("aikd-synth", o.quiet,
                              !o.quiet && (o.progress || aikd::apps::is_terminal(STDERR_FILENO)));
  aikd::ThreadPool pool(o.threads);
  std::mutex mutex;
  std::exception_ptr failure;
  std::int64_t done = 0;
  aikd::kernels::Context context;
  context.executor = &pool;
  aikd::kernels::parallel_for(context, static_cast<std::ptrdiff_t>(jobs.size()),
                              [&](std::ptrdiff_t task, int) {
                                if (aikd::apps::stop_signal() != 0) return;
                                Job& job = jobs[static_cast<std::size_t>(task)];
                                std::exception_ptr mine;
                                try {
                                  const aikd::SynthFace face = aikd::render_face(job.face);
                                  job.landmarks = face.landmarks;
                                  aikd::io::write_image(fs::path(o.out) / job.path, face.image);
                                } catch (...) {
                                  mine = std::current_exception();
                                }
                                const std::lock_guard lock(mutex);
                                if (mine && !failure) failure = mine;
                                console.progress(++done, static_cast<std::int64_t>(jobs.size()), 0);
                              });
  console.finish_progress();
  if (failure) std::rethrow_exception(failure);
  if (const int signal = aikd::apps::stop_signal(); signal != 0) return 128 + signal;
  write_tables(o, jobs);
  if (o.pairs > 0) write_pairs(o, jobs);
  console.note(aikd::concat(jobs.size(), " images of ", o.identities, " people written to ", o.out, "."));
  return aikd::apps::kExitOk;
}

int body(int argc, char** argv) {
  Options o;
  CLI::App app(
      "Renders synthetic faces with exactly known landmarks and controlled degradations. The same options "
      "give "
      "the same pixels on every machine.");
  app.set_version_flag("--version", aikd::apps::version_line("aikd-synth"));
  app.add_option("--out,-o", o.out, "Folder to write id00001/0001_01.png, landmarks.csv, labels.csv into")
      ->required()
      ->group("Output");
  app.add_option("--format", o.format, "png or jpg (quality 95)")
      ->check(CLI::IsMember({"png", "jpg"}))
      ->capture_default_str()
      ->group("Output");
  app.add_flag("--landmarks-json", o.json, "Also write landmarks.json")->group("Output");
  app.add_option("--pairs", o.pairs,
                 "Also write pairs.txt: this many pairs of one person and of two people (`a b 1|0`)")
      ->check(CLI::Range(0, 10000000))
      ->group("Output");
  app.add_option("--identities,-n", o.identities, "Number of people")
      ->check(CLI::Range(1, 99999))
      ->capture_default_str()
      ->group("Faces");
  app.add_option("--per-identity,-m", o.per_identity, "Photographs of each")
      ->check(CLI::Range(1, 9999))
      ->capture_default_str()
      ->group("Faces");
  app.add_option("--seed", o.seed, "Chooses the people")->capture_default_str()->group("Faces");
  app.add_option("--size", o.size, "Width x height in pixels")->capture_default_str()->group("Faces");
  app.add_flag("--aligned", o.aligned, "Landmarks at the reference points of an aligned crop")
      ->group("Faces");
  app.add_flag("--markers", o.markers, "Mark the landmarks with green discs")->group("Faces");
  app.add_option(
         "--degrade", o.degrade,
         "none; random: each photograph by up to three; grid: each photograph 29 times, clean and by each "
         "degradation at 0.25, 0.5, 0.75, 1")
      ->check(CLI::IsMember({"none", "random", "grid"}))
      ->capture_default_str()
      ->group("Degradations");
  std::vector<CLI::Option*> levels;
  for (const Kind& kind : kKinds) {
    std::string flag = kind.name;
    std::replace(flag.begin(), flag.end(), '_', '-');
    levels.push_back(app.add_option("--" + flag, o.fixed.*kind.level, "Every image by this much, 0..1")
                         ->check(CLI::Range(0.0, 1.0))
                         ->capture_default_str()
                         ->group("Degradations"));
  }
  app.add_option("--threads", o.threads, "0: all processors")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str()
      ->group("Running");
  app.add_flag("--quiet,-q", o.quiet, "Only errors on stderr")->group("Running");
  app.add_flag("--progress", o.progress, "Show progress also where stderr is no terminal")->group("Running");
  if (!aikd::apps::parse_command_line(app, argc, argv)) return aikd::apps::kExitOk;
  parse_size(o);
  const bool any = std::any_of(levels.begin(), levels.end(),
                               [](const CLI::Option* option) { return option->count() > 0; });
  aikd::require(o.degrade == "none" || !any, ErrorKind::kUsage, "--degrade ", o.degrade,
                " chooses the degradations itself; leave out --blur, --noise and the other levels.");
  aikd::require(o.pairs == 0 || (o.identities >= 2 && (o.per_identity >= 2 || o.degrade == "grid")),
                ErrorKind::kUsage, "--pairs needs at least two people and two photographs of each, got ",
                o.identities, " and ", o.per_identity, ".");
  return generate(o);
}

}  // namespace

int main(int argc, char** argv) {
  return aikd::apps::run_program(argc, argv, body);
}
