// bench_cuda: what a CUDA card does with our kernels and plans, beside what it can do at all.
//
//   bench_cuda ceilings | kernels | parity -m MODEL --images DIR | scoring -m MODEL      [--json FILE]
//
// Exit codes as of the programs: 0; 1 parity: an error above its bound; 2 usage; 3 no card, or it failed.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>

#include "apps/common/program.h"
#include "bench/cuda/card.h"
#include "bench/cuda/ceilings.h"
#include "bench/cuda/kernel_bench.h"
#include "bench/cuda/parity.h"
#include "bench/cuda/report.h"
#include "bench/cuda/scoring.h"

namespace {

using namespace aikd;
using namespace aikd::bench;

struct Options {
  std::string device = "cuda", json;
  double budget_s = 0;
  KernelOptions kernels;
  ParityOptions parity;
  ScoringOptions scoring;
};

Ceilings ceilings_of(Card& card, Report& report, bool trial) {
  return trial ? measure_ceilings(card, report, 64, 1 << 16) : measure_ceilings(card, report);
}

int run_kernels(const Options& o) {
  Card card(o.device, o.kernels.trial);
  Report report(o.json, "kernels", card);
  const Deadline deadline(o.budget_s);
  KernelOptions options = o.kernels;
  if (options.trial) {
    options.batch = 1;
    options.conv_batches = {1};
  }
  const Ceilings ceilings = ceilings_of(card, report, options.trial);
  KernelBench bench(card, report, ceilings, deadline, options);
  std::printf("kernels:\n");
  bench_batch_norm(bench);
  bench_optimisers(bench);
  bench_losses(bench);
  bench_images(bench);
  bench_pointwise(bench);
  bench_convolutions(bench);
  if (bench.left_out() > 0)
    report.note("kernels: " + std::to_string(bench.left_out()) + " measurements left out for want of time.");
  return apps::kExitOk;
}

int run_parity(const Options& o) {
  Card card(o.device, o.kernels.trial);
  Report report(o.json, "parity", card);
  return check_parity(card, report, o.parity) ? apps::kExitOk : apps::kExitSomeFailed;
}

int run_scoring(const Options& o) {
  Card card(o.device, o.kernels.trial);
  Report report(o.json, "scoring", card);
  const Deadline deadline(o.budget_s);
  const Ceilings ceilings = ceilings_of(card, report, o.kernels.trial);
  measure_scoring(card, report, ceilings, deadline, o.scoring);
  return apps::kExitOk;
}

int run_ceilings(const Options& o) {
  Card card(o.device, o.kernels.trial);
  Report report(o.json, "ceilings", card);
  (void)ceilings_of(card, report, o.kernels.trial);
  return apps::kExitOk;
}

}  // namespace

int main(int argc, char** argv) {
  return apps::run_program(argc, argv, [](int count, char** words) {
    Options o;
    CLI::App app("Measures a CUDA device: its ceilings, our kernels, parity with the CPU, scoring.",
                 "bench_cuda");
    app.set_version_flag("--version", apps::version_line("bench_cuda"));
    app.require_subcommand(1);
    app.fallthrough();
    app.add_option("--device", o.device, "cuda or cuda:N")->capture_default_str();
    app.add_option("--json", o.json, "Also write JSON lines to this file");
    app.add_option("--budget-s", o.budget_s,
                   "Leave out what is not reached in so many seconds; 0: measure everything")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    app.add_flag("--trial", o.kernels.trial,
                 "Tiny sizes, to see that everything runs: the rates mean nothing");

    CLI::App* const ceilings = app.add_subcommand("ceilings", "Copy bandwidth and dense matrix rate");
    CLI::App* const kernels = app.add_subcommand("kernels", "Every kernel at the shapes of iResNet-100");
    kernels->add_option("-b,--batch", o.kernels.batch, "Images per batch, and of training")
        ->check(CLI::Range(1, 1024))
        ->capture_default_str();
    kernels
        ->add_option("--conv-batches", o.kernels.conv_batches, "Batches of the convolutions, in this order")
        ->check(CLI::Range(1, 1024))
        ->capture_default_str();
    kernels->add_option("--only", o.kernels.only,
                        "Kernels whose name contains this ('conv': the convolutions)");
    CLI::App* const parity =
        app.add_subcommand("parity", "Scores and embeddings on the card against the CPU");
    parity->add_option("-m,--model", o.parity.model, "Model file (.safetensors)")->required();
    parity->add_option("--images", o.parity.images, "Folder with faces (.png, .jpg)")->required();
    parity->add_option("--limit", o.parity.limit, "At most so many faces")
        ->check(CLI::Range(3, 100000))
        ->capture_default_str();
    parity->add_option("-b,--batch", o.parity.batch, "Faces per batch")
        ->check(CLI::Range(1, 4096))
        ->capture_default_str();
    CLI::App* const scoring = app.add_subcommand("scoring", "Images per second, host bytes to host scores");
    scoring->add_option("-m,--model", o.scoring.model, "Model file (.safetensors)")->required();
    scoring->add_option("--batches", o.scoring.batches, "In the order in which they are measured")
        ->check(CLI::Range(1, 4096))
        ->capture_default_str();
    scoring->add_option("--precisions", o.scoring.precisions, "fp16, bf16, tf32, fp32")
        ->capture_default_str();
    scoring->add_flag("--autotune", o.scoring.autotune, "Time cuDNN's engines for every convolution first");
    if (!apps::parse_command_line(app, count, words)) return apps::kExitOk;
    if (ceilings->parsed()) return run_ceilings(o);
    if (kernels->parsed()) return run_kernels(o);
    return parity->parsed() ? run_parity(o) : run_scoring(o);
  });
}
