// FROQ's auxiliary labels (LSIbabnikz/FROQ, baselineFIQA; method, part 4): how well the embedding e of an
// image x stands three disturbances, each as a mean of cosines with e. In the network's normalised values:
//   flip       x mirrored left to right                                               1 pass
//   noise      (1 - a) x + a N_m, a = 0.001, m = 1..10: N_m are masks of N(0, 1)     10 passes
//              drawn once and shared by all images
//   occlusion  x with one cell of an 8 x 8 grid (14 x 14 pixels of 112) set to -1    64 passes
// label = (flip + noise + occlusion) / 3, in [-1, 1].
//
// The masks: element i = ((m height + y) width + x) 3 + c of all masks is normal number i of Random(seed)
// (tensor/random.h), so with uniforms u_0, u_1, ...: sqrt(-2 ln(1 - u_2i)) cos(2 pi u_2i+1), rounded to
// float32. FROQ draws them with torch.randn, other numbers of the same distribution.
#include <algorithm>
#include <cmath>
#include <vector>

#include "aikd/label_methods.h"
#include "kernels/context.h"
#include "nn/functional.h"
#include "tensor/error.h"
#include "tensor/random.h"

namespace aikd {
namespace {

double cosine(std::span<const float> a, std::span<const float> b) {
  double ab = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto x = static_cast<double>(a[i]), y = static_cast<double>(b[i]);
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  return ab / (std::sqrt(aa) * std::sqrt(bb));  // NaN for an embedding of zeros
}

class FroqLabels final : public LabelGenerator {
 public:
  explicit FroqLabels(const LabelSetup& setup)
      : context_(setup.context),
        input_(setup.input),
        max_batch_(setup.max_batch),
        noise_(setup.option("noise")),
        masks_(static_cast<std::int64_t>(setup.option("masks"))),
        grid_(static_cast<std::int64_t>(setup.option("grid"))),
        plan_(nn::Plan::compile(*setup.backbone, nullptr, setup.input, *setup.context,
                                {.max_batch = setup.max_batch})) {
    require(input_.height % grid_ == 0 && input_.width % grid_ == 0, ErrorKind::kUsage, "A grid of ", grid_,
            " x ", grid_, " cells does not divide crops of ", input_.width, " x ", input_.height,
            " pixels evenly.");
    image_floats_ = std::int64_t{3} * input_.height * input_.width;
    variants_ = 2 + masks_ + grid_ * grid_;
    Random random(static_cast<std::uint64_t>(setup.option("seed")));
    normals_.resize(static_cast<std::size_t>(masks_ * image_floats_));
    for (float& value : normals_) value = static_cast<float>(random.normal());
  }

  void label(std::span<const std::uint8_t> crops, std::int64_t n, std::span<double> labels,
             std::span<double> parts) override {
    const Tensor images = nn::normalise(*context_, input_, crops, n);
    const std::int64_t size = plan_->embedding_size(), total = n * variants_;
    const auto pass = static_cast<std::int64_t>(max_batch_);
    values_.resize(static_cast<std::size_t>(std::min(pass, total) * image_floats_));
    embeddings_.resize(static_cast<std::size_t>(total * size));
    kernels::Context threads;
    threads.executor = &context_->pool();
    for (std::int64_t begin = 0; begin < total; begin += pass) {
      const std::int64_t count = std::min(pass, total - begin);
      kernels::parallel_for(threads, count, [&](std::ptrdiff_t i, int) {
        const std::int64_t variant = begin + i;
        disturb(images.data<float>() + variant / variants_ * image_floats_, variant % variants_,
                values_.data() + i * image_floats_);
      });
      plan_->run_values(
          std::span(values_).first(static_cast<std::size_t>(count * image_floats_)), count,
          std::span(embeddings_)
              .subspan(static_cast<std::size_t>(begin * size), static_cast<std::size_t>(count * size)),
          {});
    }
    for (std::int64_t image = 0; image < n; ++image) {
      const auto mean_cosine = [&](std::int64_t first, std::int64_t count) {
        double sum = 0;
        for (std::int64_t v = first; v < first + count; ++v)
          sum += cosine(embedding(image * variants_), embedding(image * variants_ + v));
        return sum / static_cast<double>(count);
      };
      const double flip = mean_cosine(1, 1), noise = mean_cosine(2, masks_),
                   occlusion = mean_cosine(2 + masks_, grid_ * grid_);
      const auto i = static_cast<std::size_t>(image);
      labels[i] = (flip + noise + occlusion) / 3;
      parts[3 * i] = flip;
      parts[3 * i + 1] = noise;
      parts[3 * i + 2] = occlusion;
    }
  }

 private:
  std::span<const float> embedding(std::int64_t variant) const {
    const auto size = static_cast<std::size_t>(plan_->embedding_size());
    return std::span(embeddings_).subspan(static_cast<std::size_t>(variant) * size, size);
  }

  // Variant 0: x itself; 1: mirrored; then the masks; then the cells, row by row.
  void disturb(const float* x, std::int64_t variant, float* y) const {
    const std::int64_t width = input_.width, height = input_.height;
    if (variant == 1) {
      for (std::int64_t row = 0; row < height; ++row)
        for (std::int64_t column = 0; column < width; ++column)
          std::copy_n(x + (row * width + width - 1 - column) * 3, 3, y + (row * width + column) * 3);
      return;
    }
    if (variant >= 2 && variant < 2 + masks_) {
      const float* normals = normals_.data() + (variant - 2) * image_floats_;
      const auto a = static_cast<float>(noise_), rest = static_cast<float>(1 - noise_);
      for (std::int64_t i = 0; i < image_floats_; ++i) y[i] = rest * x[i] + a * normals[i];
      return;
    }
    std::copy_n(x, image_floats_, y);
    if (variant == 0) return;
    const std::int64_t cell = variant - 2 - masks_, cell_height = height / grid_, cell_width = width / grid_;
    for (std::int64_t row = 0; row < cell_height; ++row) {
      const std::int64_t pixel = (cell / grid_ * cell_height + row) * width + cell % grid_ * cell_width;
      std::fill_n(y + pixel * 3, cell_width * 3, -1.0F);
    }
  }

  Context* context_;
  nn::InputTable input_;
  int max_batch_;
  double noise_;
  std::int64_t masks_, grid_, image_floats_ = 0, variants_ = 0;
  std::unique_ptr<nn::Plan> plan_;
  std::vector<float> normals_, values_, embeddings_;
};

}  // namespace

LabelMethod froq_label_method() {
  LabelMethod method;
  method.name = "froq";
  method.description =
      "FROQ's auxiliary labels: the mean of three cosines, with the embedding of the image mirrored, under "
      "noise and partly covered (76 passes per image)";
  method.options = {
      {"noise", "Share of the noise in an image, in normalised values", 0.001, 0, 1, false},
      {"masks", "How many masks of noise, shared by all images", 10, 1, 1000, true},
      {"grid", "Cells of the occlusion along each side", 8, 1, 64, true},
      {"seed", "Of the masks", 0, 0, 9007199254740992.0, true},
  };
  method.parts = {"flip", "noise", "occlusion"};
  method.make = [](const LabelSetup& setup) -> std::unique_ptr<LabelGenerator> {
    return std::make_unique<FroqLabels>(setup);
  };
  return method;
}

}  // namespace aikd
