#include "bench/cuda/scoring.h"

#include <algorithm>
#include <bit>
#include <map>
#include <memory>

#include "aikd/model.h"
#include "bench/cuda/iresnet100_shapes.h"
#include "bench/cuda/launch_count.h"
#include "tensor/error.h"
#include "tensor/random.h"

namespace aikd::bench {
namespace {

using nn::Precision;

// Batches that one plan serves: it runs powers of two as they are, and everything else only if it is its
// largest. Autotuned plans choose for one size.
struct PlanGroup {
  Precision precision;
  std::vector<int> batches;
};

std::vector<PlanGroup> plans_for(const ScoringOptions& options) {
  std::vector<PlanGroup> plans;
  // The first batch's plan for every precision, then the next one's. The first has one of its own, so that it
  // is streamed.
  std::vector<std::vector<int>> groups;
  std::size_t powers = 0;  // 1 + index of the group of powers of two
  for (const int batch : options.batches) {
    const bool power =
        std::has_single_bit(static_cast<unsigned>(batch)) && !options.autotune && !groups.empty();
    if (power && powers != 0) {
      groups[powers - 1].push_back(batch);
      continue;
    }
    groups.push_back({batch});
    if (power) powers = groups.size();
  }
  for (const std::vector<int>& group : groups) {
    for (const std::string& name : options.precisions) {
      const std::optional<Precision> precision = nn::precision_from_name(name);
      require(precision.has_value(), ErrorKind::kUsage, "--precisions: '", name,
              "' is not known; expected fp32, tf32, fp16 or bf16.");
      plans.push_back({*precision, group});
    }
  }
  return plans;
}

class ScoringBench {
 public:
  ScoringBench(Card& card, Report& report, const Ceilings& ceilings, const ScoringOptions& options)
      : card_(&card),
        report_(&report),
        ceilings_(&ceilings),
        options_(&options),
        model_(Model::load(options.model)) {
    const Preprocessing& p = model_->preprocessing();
    image_bytes_ = std::size_t{3} * static_cast<std::size_t>(p.width) * static_cast<std::size_t>(p.height);
    const int most = *std::max_element(options.batches.begin(), options.batches.end());
    images_.resize(image_bytes_ * static_cast<std::size_t>(most) * kStream);
    Random random(1);
    std::size_t drawn = std::min(images_.size(), image_bytes_ * 64);
    for (std::size_t i = 0; i < drawn; ++i) images_[i] = static_cast<std::uint8_t>(random.bits());
    for (; drawn < images_.size(); drawn *= 2)
      std::copy_n(images_.begin(), std::min(drawn, images_.size() - drawn),
                  images_.begin() + static_cast<std::ptrdiff_t>(drawn));
    scores_.resize(static_cast<std::size_t>(most) * kStream);
  }

  void run(const PlanGroup& group, const Deadline& deadline, std::vector<std::string>& left_out) {
    const int largest = *std::max_element(group.batches.begin(), group.batches.end());
    const Deadline clock(0);
    const auto plan = nn::Plan::compile(
        model_->backbone(), model_->head(), model_->preprocessing().table(), card_->context(),
        {.max_batch = largest, .precision = group.precision, .autotune = options_->autotune});
    describe(*plan, group.precision, largest, clock.seconds());
    for (const int batch : group.batches) {
      if (deadline.passed()) {
        left_out.push_back(concat(nn::name_of(group.precision), " b", batch));
        continue;
      }
      measure(*plan, group.precision, batch);
    }
  }

 private:
  static constexpr int kStream = 8;  // batches in one call

  void call(nn::Plan& plan, std::int64_t n) {
    const auto count = static_cast<std::size_t>(n);
    const std::span<const std::uint8_t> images(images_.data(), count * image_bytes_);
    if (model_->head() != nullptr) {
      plan.run(images, n, {}, std::span(scores_).first(count));
    } else {
      embeddings_.resize(count * static_cast<std::size_t>(plan.embedding_size()));
      plan.run(images, n, embeddings_, {});
    }
  }

  // Milliseconds of a call, the median of at least `least` and of about `seconds`.
  double milliseconds(nn::Plan& plan, std::int64_t n, double seconds, int least) {
    std::vector<double> ms;
    const Deadline enough(seconds);
    while (static_cast<int>(ms.size()) < least || (!enough.passed() && ms.size() < 2000)) {
      const Deadline one(0);
      call(plan, n);
      ms.push_back(one.seconds() * 1e3);
    }
    return summary(ms).us;
  }

  void measure(nn::Plan& plan, Precision precision, int batch) {
    const Deadline clock(0);
    // A plan cuts a call into batches of its largest size only: a smaller one is not streamed.
    const bool streams = batch == largest_of(plan, batch);
    call(plan, batch);                                 // records the graph,
    if (streams) call(plan, std::int64_t{2} * batch);  // and that of the plan's second set of pinned memory
    const double first_s = clock.seconds();
    const LaunchCount before = launch_count();
    call(plan, batch);
    const LaunchCount after = launch_count();
    const double ms = milliseconds(plan, batch, 0.4, 5);
    const double stream_ms = streams ? milliseconds(plan, std::int64_t{kStream} * batch, 0.6, 3) : 0;

    const double flops = 2.0 * static_cast<double>(plan.macs_per_image());
    const double rate = batch / (ms * 1e-3);
    const double stream_rate = streams ? kStream * batch / (stream_ms * 1e-3) : 0;
    const double best = std::max(rate, stream_rate);
    const double ceiling = ceilings_->matrix(precision);
    nlohmann::ordered_json row = {{"kind", "scoring"},
                                  {"architecture", model_->architecture()},
                                  {"precision", nn::name_of(precision)},
                                  {"autotune", options_->autotune},
                                  {"batch", batch},
                                  {"ms", ms},
                                  {"images_per_s", rate},
                                  {"graph_launches", after.graphs - before.graphs},
                                  {"other_launches", after.kernels - before.kernels},
                                  {"first_s", first_s}};
    if (streams) row["stream_images_per_s"] = stream_rate;
    std::printf("  %-4s b%-4d %9.3f ms %10.1f images/s", nn::name_of(precision), batch, ms, rate);
    if (streams) std::printf(", streamed %10.1f", stream_rate);
    if (ceiling > 0) {
      row["of_matrix"] = best * flops / ceiling;
      std::printf(", %5.1f %% of matrix", 100 * best * flops / ceiling);
    }
    if (ceiling > 0 && model_->architecture() == "iresnet100") {
      const double floor = network_floor_seconds(
          ceiling, ceilings_->bytes_per_s, static_cast<double>(kernels::bytes_of(storage_of(precision))));
      row["floor_us"] = floor * 1e6;
      row["of_floor"] = best * floor;
      std::printf(", %5.1f %% of the floor's rate", 100 * best * floor);
    }
    std::printf(", %ld graph launch(es)%s\n", static_cast<long>(after.graphs - before.graphs),
                after.kernels == before.kernels ? "" : " AND OTHERS");
    report_->row(row);
  }

  int largest_of(const nn::Plan& plan, int batch) const {
    const auto found = largest_.find(&plan);
    return found == largest_.end() ? batch : found->second;
  }

  // What the compiler decided: how many steps went which way.
  void describe(const nn::Plan& plan, Precision precision, int largest, double seconds) {
    largest_ = {{&plan, largest}};
    int convolutions = 0, fused = 0, passes = 0, by_hand = 0;
    nlohmann::ordered_json steps = nlohmann::ordered_json::array();
    for (const nn::PlanStep& step : plan.steps()) {
      steps.push_back(step.name);
      if (!step.name.starts_with("conv ")) continue;
      ++convolutions;
      if (step.name.find("hand-written") != std::string::npos) {
        ++by_hand;
      } else if (step.name.find("+ pass") != std::string::npos) {
        ++passes;
      } else {
        ++fused;
      }
    }
    std::printf(
        "  plan %s b%d: %zu steps, %d convolutions (cuDNN fused %d, cuDNN + pass %d, hand-written %d), %.0f "
        "MiB, "
        "compiled in %.1f s\n",
        nn::name_of(precision), largest, plan.steps().size(), convolutions, fused, passes, by_hand,
        static_cast<double>(plan.memory_bytes()) / (1024.0 * 1024.0), seconds);
    report_->row({{"kind", "plan"},
                  {"precision", nn::name_of(precision)},
                  {"autotune", options_->autotune},
                  {"batch", largest},
                  {"steps", plan.steps().size()},
                  {"convolutions", convolutions},
                  {"fused", fused},
                  {"passes", passes},
                  {"by_hand", by_hand},
                  {"bytes", plan.memory_bytes()},
                  {"compile_s", seconds},
                  {"names", steps}});
  }

  Card* card_;
  Report* report_;
  const Ceilings* ceilings_;
  const ScoringOptions* options_;
  std::shared_ptr<const Model> model_;
  std::size_t image_bytes_ = 0;
  std::vector<std::uint8_t> images_;
  std::vector<float> scores_, embeddings_;
  std::map<const nn::Plan*, int> largest_;  // of the plan under measurement
};

}  // namespace

void measure_scoring(Card& card, Report& report, const Ceilings& ceilings, const Deadline& deadline,
                     const ScoringOptions& options) {
  require(!options.batches.empty() && *std::min_element(options.batches.begin(), options.batches.end()) > 0,
          ErrorKind::kUsage, "--batches: each must be at least 1.");
  ScoringBench bench(card, report, ceilings, options);
  std::printf("scoring: host bytes to host scores\n");
  std::vector<std::string> left_out;
  for (const PlanGroup& group : plans_for(options)) {
    if (deadline.passed()) {
      for (const int batch : group.batches)
        left_out.push_back(concat(nn::name_of(group.precision), " b", batch));
      continue;
    }
    bench.run(group, deadline, left_out);
  }
  if (left_out.empty()) return;
  std::string list;
  for (const std::string& name : left_out) list += (list.empty() ? "" : ", ") + name;
  report.note("scoring: not measured for want of time: " + list + ".");
}

}  // namespace aikd::bench
