#include "aikd/invariance.h"

#include <algorithm>
#include <cmath>

#include "aikd/linear_probe.h"
#include "aikd/perturbation.h"
#include "aikd/preprocess.h"
#include "aikd/similarity.h"
#include "io/table.h"
#include "tensor/error.h"

namespace aikd {
namespace {

// Every crop of one image, or false when it cannot be used.
bool crops_of(const DatasetItem& item, std::size_t index, const InvarianceOptions& options, int width,
              int height, std::vector<std::vector<std::uint8_t>>& crops) {
  try {
    const io::DecodedImage decoded = io::read_image(item.path, options.decode);
    for (std::size_t i = 0; i < options.pixels.size(); ++i) {
      Perturbation perturbation;
      perturbation.seed = options.seed;
      if (options.relative) {
        perturbation.relative = options.pixels[i] / 100;
        perturbation.pixels = 0;
      } else {
        perturbation.pixels = options.pixels[i];
      }
      // The same directions for every p: the image moves further along one line.
      const io::Image crop = align_face(
          decoded.image, perturb(item.landmarks, perturbation, kValidationEpoch, index), width, height);
      crops[i] = crop.pixels;
    }
    return true;
  } catch (const Error&) {
    return false;
  }
}

void check(const InvarianceOptions& options) {
  require(options.pixels.size() >= 2 && options.pixels.front() == 0, ErrorKind::kUsage,
          "The jitters must be at least two and begin with 0.");
  for (const double p : options.pixels)
    require(std::isfinite(p) && p >= 0, ErrorKind::kUsage, "A jitter must be a number of at least 0, got ", p,
            ".");
  require(options.batch >= 1, ErrorKind::kUsage, "A batch must hold at least 1 image, got ", options.batch,
          ".");
}

std::vector<std::size_t> spread(std::span<const std::size_t> indices, std::int64_t most) {
  const auto n = static_cast<std::int64_t>(indices.size());
  if (most <= 0 || n <= most) return {indices.begin(), indices.end()};
  std::vector<std::size_t> chosen;
  for (std::int64_t i = 0; i < most; ++i) chosen.push_back(indices[static_cast<std::size_t>(i * n / most)]);
  return chosen;
}

std::vector<double> drawn(const std::vector<double>& values, std::span<const std::size_t> draw) {
  std::vector<double> out;
  out.reserve(draw.size());
  for (const std::size_t i : draw) out.push_back(values[i]);
  return out;
}

}  // namespace

InvarianceResult measure_invariance(const Model& model, const Dataset& dataset,
                                    std::span<const std::size_t> indices, Context& context,
                                    const InvarianceOptions& options) {
  check(options);
  const std::vector<std::size_t> chosen = spread(indices, options.max_images);
  const Preprocessing& input = model.preprocessing();
  const std::unique_ptr<nn::Plan> plan =
      nn::Plan::compile(model.backbone(), model.head(), input.table(), context,
                        {.max_batch = options.batch, .precision = options.precision});
  const auto features = static_cast<std::size_t>(plan->embedding_size());
  const std::size_t steps = options.pixels.size();
  InvarianceResult result;
  result.pixels = options.pixels;
  result.scores.resize(steps);
  result.cosines.resize(steps);
  std::vector<double> labels;
  std::vector<std::string> people;

  for (std::size_t begin = 0; begin < chosen.size(); begin += static_cast<std::size_t>(options.batch)) {
    const std::size_t count = std::min(static_cast<std::size_t>(options.batch), chosen.size() - begin);
    std::vector<std::vector<std::vector<std::uint8_t>>> crops(count,
                                                              std::vector<std::vector<std::uint8_t>>(steps));
    std::vector<char> usable(count, 0);
    kernels::parallel_for(
        context.kernel_context(), static_cast<std::ptrdiff_t>(count), [&](std::ptrdiff_t i, int) {
          const std::size_t index = chosen[begin + static_cast<std::size_t>(i)];
          usable[static_cast<std::size_t>(i)] = crops_of(dataset.items()[index], index, options, input.width,
                                                         input.height, crops[static_cast<std::size_t>(i)])
                                                    ? 1
                                                    : 0;
        });
    std::int64_t n = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (usable[i] == 0) continue;
      labels.push_back(dataset.items()[chosen[begin + i]].label);
      people.push_back(dataset.items()[chosen[begin + i]].identity);
      ++n;
    }
    if (n == 0) continue;
    std::vector<float> base(static_cast<std::size_t>(n) * features), moved(base.size()),
        head(static_cast<std::size_t>(n));
    for (std::size_t p = 0; p < steps; ++p) {
      std::vector<std::uint8_t> images;
      for (std::size_t i = 0; i < count; ++i)
        if (usable[i] != 0) images.insert(images.end(), crops[i][p].begin(), crops[i][p].end());
      const bool has_head = model.head() != nullptr;
      plan->run(images, n, moved, has_head ? std::span<float>(head) : std::span<float>());
      if (p == 0) base = moved;
      for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
        const std::span<const float> e(moved.data() + i * features, features);
        if (!has_head) head[i] = static_cast<float>(norm(e));
        result.scores[p].push_back(head[i]);
        result.cosines[p].push_back(
            static_cast<float>(cosine_similarity({base.data() + i * features, features}, e)));
      }
    }
    result.images += n;
  }
  require(result.images >= 2, ErrorKind::kInput, "Fewer than two of the ", chosen.size(),
          " images can be used to measure what landmark jitter does.");
  const std::vector<std::vector<std::size_t>> groups = groups_of(people);
  const auto interval = [&](const std::function<double(std::span<const std::size_t>)>& statistic) {
    return bootstrap_interval(groups, statistic, kInvarianceDraws, 0.95, options.seed);
  };
  const std::vector<double> first(result.scores[0].begin(), result.scores[0].end());
  for (std::size_t p = 0; p < steps; ++p) {
    const std::vector<double> scores(result.scores[p].begin(), result.scores[p].end());
    double change = 0, mean = 0;
    for (std::size_t i = 0; i < scores.size(); ++i) {
      change += std::abs(scores[i] - first[i]);
      mean += static_cast<double>(result.cosines[p][i]);
    }
    const auto n = static_cast<double>(scores.size());
    result.spearman.push_back(spearman(first, scores));
    result.score_change.push_back(change / n);
    result.mean_cosine.push_back(mean / n);
    result.label_spearman.push_back(spearman(labels, scores));
    result.spearman_interval.push_back(interval([&](std::span<const std::size_t> draw) {
      return spearman(drawn(first, draw), drawn(scores, draw));
    }));
    result.cosine_interval.push_back(interval([&](std::span<const std::size_t> draw) {
      double sum = 0;
      for (const std::size_t i : draw) sum += static_cast<double>(result.cosines[p][i]);
      return sum / static_cast<double>(draw.size());
    }));
  }
  return result;
}

std::string invariance_header() {
  return "model,pixels,images,spearman,spearman_low,spearman_high,score_change,"
         "mean_cosine,cosine_low,cosine_high,label_spearman\n";
}

std::string invariance_rows(const std::string& name, const InvarianceResult& result) {
  std::string out;
  for (std::size_t p = 0; p < result.pixels.size(); ++p) {
    out += concat(name, ",", io::format_number(result.pixels[p]), ",", result.images);
    for (const double value :
         {result.spearman[p], result.spearman_interval[p].low, result.spearman_interval[p].high,
          result.score_change[p], result.mean_cosine[p], result.cosine_interval[p].low,
          result.cosine_interval[p].high, result.label_spearman[p]})
      out += "," + io::format_number(value);
    out += "\n";
  }
  return out;
}

}  // namespace aikd
