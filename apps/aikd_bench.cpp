// aikd-bench: how fast a model runs here, without decoding or output: random pixels through the compiled
// plan.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "aikd/model.h"
#include "aikd/scorer.h"
#include "apps/common/program.h"
#include "tensor/config.h"
#include "tensor/context.h"
#include "tensor/random.h"

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

struct Options {
  std::string model, device = "cpu", precision = "fp32";
  bool autotune = false;
  int batch = 1, threads = 0, repetitions = 10, warmup = 2;
  bool json = false, steps = false;
};

int bench(const Options& o) {
  const auto load_start = Clock::now();
  const std::shared_ptr<const aikd::Model> model = aikd::Model::load(o.model);
  aikd::Context context(aikd::Device::parse(o.device), o.threads);
  const std::optional<aikd::nn::Precision> precision = aikd::nn::precision_from_name(o.precision);
  aikd::require(precision.has_value(), aikd::ErrorKind::kUsage, "The precision '", o.precision,
                "' is not known; expected fp32, tf32, fp16 or bf16.");
  aikd::Scorer scorer(model, context,
                      {.max_batch = o.batch, .precision = *precision, .autotune = o.autotune});
  const double load_s = seconds_since(load_start);

  const aikd::Preprocessing& p = model->preprocessing();
  std::vector<std::uint8_t> images(static_cast<std::size_t>(o.batch) * static_cast<std::size_t>(p.width) *
                                   static_cast<std::size_t>(p.height) * 3);
  aikd::Random random(1);
  for (auto& byte : images) byte = static_cast<std::uint8_t>(random.bits());

  std::vector<double> ms;  // per image
  for (int i = -o.warmup; i < o.repetitions; ++i) {
    const auto start = Clock::now();
    (void)scorer.score(images, o.batch);
    if (i >= 0) ms.push_back(seconds_since(start) * 1e3 / o.batch);
  }
  std::ranges::sort(ms);
  const double median = ms[ms.size() / 2], minimum = ms.front();
  const double gflops = 2e-9 * static_cast<double>(scorer.plan().macs_per_image()) / (median * 1e-3);
  if (o.json) {
    const nlohmann::json out = {{"version", aikd::kVersion},
                                {"architecture", model->architecture()},
                                {"device", context.device().to_string()},
                                {"precision", o.precision},
                                {"batch", o.batch},
                                {"threads", context.threads()},
                                {"ms_per_image", ms},
                                {"median_ms", median},
                                {"min_ms", minimum},
                                {"images_per_s", 1e3 / median},
                                {"gflops", gflops},
                                {"load_s", load_s},
                                {"plan_bytes", scorer.plan().memory_bytes()}};
    std::printf("%s\n", out.dump().c_str());
    return 0;
  }
  if (o.steps) {
    for (const aikd::nn::PlanStep& step : scorer.plan().steps()) {
      std::printf("%12.3f MMAC  %s\n", static_cast<double>(step.macs) * 1e-6, step.name.c_str());
    }
  }
  std::printf(
      "%s, %s, %s, batch %d, %d threads: median %.4g ms per image (min %.4g), %.2f images/s, %.1f GFLOP/s\n",
      model->architecture().c_str(), context.device().to_string().c_str(), o.precision.c_str(), o.batch,
      context.threads(), median, minimum, 1e3 / median, gflops);
  std::printf("loaded and compiled in %.2f s; plan holds %.1f MiB\n", load_s,
              static_cast<double>(scorer.plan().memory_bytes()) / (1024.0 * 1024.0));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return aikd::apps::run_program(argc, argv, [](int count, char** words) {
    Options o;
    CLI::App app("Measures how fast a model scores on this machine: random pixels through the compiled plan.",
                 "aikd-bench");
    app.set_version_flag("--version", aikd::apps::version_line("aikd-bench"));
    app.add_option("-m,--model", o.model, "Model file (.safetensors)")->required();
    app.add_option("--device", o.device, "auto, cpu or cuda:N")->capture_default_str();
    app.add_option("--precision", o.precision, "fp32, or on CUDA tf32, fp16, bf16")->capture_default_str();
    app.add_flag("--autotune", o.autotune, "On CUDA: time cuDNN's engines for every layer first");
    app.add_option("-b,--batch", o.batch, "Images per run")
        ->check(CLI::Range(1, 4096))
        ->capture_default_str();
    app.add_option("-t,--threads", o.threads, "Threads; 0 takes all this process may use")
        ->check(CLI::Range(0, 1024))
        ->capture_default_str();
    app.add_option("-r,--repetitions", o.repetitions, "Timed runs")
        ->check(CLI::Range(1, 100000))
        ->capture_default_str();
    app.add_option("--warmup", o.warmup, "Untimed runs first")
        ->check(CLI::Range(0, 1000))
        ->capture_default_str();
    app.add_flag("--json", o.json, "One JSON object on stdout");
    app.add_flag("--steps", o.steps, "List the plan's steps with their multiply-adds per image");
    if (!aikd::apps::parse_command_line(app, count, words)) return 0;
    return bench(o);
  });
}
