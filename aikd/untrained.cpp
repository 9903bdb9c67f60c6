#include "aikd/untrained.h"

#include "aikd/model_builder.h"
#include "aikd/synth.h"
#include "nn/calibrate.h"
#include "nn/initialise.h"
#include "nn/networks.h"

namespace aikd {

std::unique_ptr<Model> make_untrained(const UntrainedOptions& options, const std::vector<io::Image>& images,
                                      Context& context) {
  require(images.size() >= 2, ErrorKind::kUsage,
          "Calibrating BatchNorm statistics needs at least 2 images, got ", images.size(), ".");
  ModelDescription d;
  d.architecture = options.architecture;
  d.head = options.head;
  d.family = options.head == "mlp" ? "ai-kd" : options.head == "linear" ? "diffiqa-r" : "backbone";
  d.embedding_size =
      options.embedding_size > 0 ? options.embedding_size : nn::default_embedding_size(options.architecture);
  d.hidden_size = options.head == "mlp" ? options.hidden_size : 0;
  const bool mlp = options.head == "mlp";
  d.provenance = {{"aikd.untrained", "1"},
                  {"aikd.source", concat("seeded weights, seed ", options.seed)},
                  {"aikd.calibration", concat("BatchNorm statistics over ", images.size(), " images")},
                  {"aikd.backbone_prefix", mlp                        ? "feature_extractor."
                                           : options.head == "linear" ? "base."
                                                                      : ""},
                  {"aikd.head_prefix", mlp                        ? "quality_head."
                                       : options.head == "linear" ? "linear."
                                                                  : ""}};
  std::unique_ptr<Model> model = ModelBuilder::make(d);
  nn::initialise(model->backbone(), options.seed);
  if (model->head() != nullptr) nn::initialise(*model->head(), options.seed + 1);

  std::vector<std::uint8_t> pixels;
  for (const io::Image& image : images) {
    const io::Image crop = resize(image, d.preprocessing.width, d.preprocessing.height);
    pixels.insert(pixels.end(), crop.pixels.begin(), crop.pixels.end());
  }
  nn::CalibrateOps ops(context);
  const Tensor batch =
      nn::normalise(context, d.preprocessing.table(), pixels, static_cast<std::int64_t>(images.size()));
  model->backbone().forward(ops, nn::Value{.tensor = batch});
  for (const nn::NamedTensor& spec : model_tensors(*model)) check_values(*spec.tensor, spec.name, spec.role);
  return model;
}

std::vector<io::Image> calibration_faces(std::uint64_t seed, int count) {
  std::vector<io::Image> faces;
  for (int i = 0; i < count; ++i) {
    SynthOptions options;
    options.identity = seed * 1000 + static_cast<std::uint64_t>(i);
    options.width = options.height = 112;
    options.aligned = true;
    // A quarter each: clean, blurred, dim, turned.
    if (i % 4 == 1) options.degradation.blur = 0.5;
    if (i % 4 == 2) options.degradation.light = 0.5;
    if (i % 4 == 3) options.degradation.pose = 0.5;
    faces.push_back(render_face(options).image);
  }
  return faces;
}

}  // namespace aikd
