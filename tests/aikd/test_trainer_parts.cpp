// What a run reads and how it validates, each against a plain computation from the definition.
#include <algorithm>
#include <cmath>

#include "aikd/similarity.h"
#include "aikd/train_data.h"
#include "aikd/train_step.h"
#include "aikd/validation.h"
#include "tests/aikd/model_fixtures.h"
#include "tests/aikd/training_fixtures.h"

using namespace aikd;
using aikd::test::contains;
using aikd::test::Faces;
using aikd::test::mean;
using aikd::test::message_of;
using aikd::test::Outcome;
using aikd::test::Plain;
using aikd::test::plain_cosine;
using aikd::test::plain_spearman;
using aikd::test::read_text;
using aikd::test::small_model;
using aikd::test::write_text;

TEST_CASE("similarity: norm and cosine, in double") {
  const std::vector<float> a{3, 4}, b{-4, 3}, c{30, 40}, zero{0, 0}, none;
  CHECK(norm(a) == 5);
  CHECK(norm(none) == 0);
  CHECK(norm(std::vector<float>{3e30F, 4e30F}) == doctest::Approx(5e30));  // beyond float's squares
  CHECK(cosine_similarity(a, b) == 0);
  CHECK(cosine_similarity(a, c) == doctest::Approx(1).epsilon(1e-12));
  CHECK(cosine_similarity(a, std::vector<float>{-3, -4}) == doctest::Approx(-1).epsilon(1e-12));
  CHECK(cosine_similarity(a, zero) == 0);  // not NaN
  CHECK(cosine_similarity(zero, zero) == 0);
  CHECK(cosine_similarity(none, none) == 0);
  CHECK(std::isnan(cosine_similarity(a, std::vector<float>{std::nanf(""), 1})));
  // sqrt((|a|^2 + e)(|b|^2 + e)): the convention of the loss, visible on tiny vectors.
  CHECK(cosine_similarity(std::vector<float>{1e-6F}, std::vector<float>{1e-6F}) ==
        doctest::Approx(0.5).epsilon(1e-6));
}

TEST_CASE("train data: joined, divided and mapped, and everything that is missing has a sentence") {
  const Faces faces(7);
  const TrainConfig config = faces.config();
  const TrainData data = read_train_data(config);
  CHECK(data.dataset.size() == 7);
  CHECK(data.split.validation.size() == 4);
  CHECK(data.split.training.size() == 3);
  CHECK(data.label_map.to_string() == "linear:0,4.02");  // of all, not of the training part

  const auto sentence = [&](auto change) {
    TrainConfig c = faces.config();
    change(c);
    return message_of([&] { read_train_data(c); });
  };
  CHECK(contains(sentence([](TrainConfig& c) { c.images = {}; }),
                 "No images were named: give them with --images or --list."));
  CHECK(contains(sentence([](TrainConfig& c) { c.landmarks = {}; }), "No landmarks were named: "));
  CHECK(contains(sentence([](TrainConfig& c) { c.labels = {}; }), "No quality labels were named: "));
  CHECK(contains(sentence([](TrainConfig& c) { c.batch = 4; }),
                 "There are 3 training images, fewer than one batch of 4"));
  CHECK(contains(sentence([](TrainConfig& c) { c.label_map = "cubic"; }), "cubic"));
  CHECK(contains(sentence([](TrainConfig& c) {
                   c.split = SplitKind::kIdentity;
                   c.val_fraction = 1e-9;
                 }),
                 "leaves nothing for validation"));

  // The loaders: training moves landmarks where it is asked to, validation always, by the same rule every
  // time.
  for (const bool misalign : {true, false}) {
    CAPTURE(misalign);
    TrainConfig c = config;
    c.misalign = misalign;
    c.workers = 3;
    c.prefetch = 2;
    c.seed = 99;
    const LoaderOptions options = loader_options(c, data, Preprocessing(), 5);
    CHECK(options.workers == 3);
    CHECK(options.batch == 2);
    CHECK(options.seed == 99);
    const auto training = training_loader(data, options, nullptr);
    const auto validation = validation_loader(c, data, options, nullptr);
    CHECK(training->steps_per_epoch() == 1);
    TrainBatch batch;
    training->start(0);
    REQUIRE(training->next(batch));
    CHECK((batch.aligned != batch.misaligned) == misalign);
    for (std::size_t i = 0; i < 2; ++i)
      CHECK_NEAR(static_cast<double>(batch.labels[i]), data.dataset.items()[batch.items[i]].label / 4.02,
                 1e-6);
    std::vector<std::size_t> items;
    std::vector<std::uint8_t> first;
    for (int pass = 0; pass < 2; ++pass) {
      items.clear();
      std::vector<std::uint8_t> misaligned;
      validation->start(static_cast<std::uint64_t>(pass));
      while (validation->next(batch)) {
        CHECK(batch.n <= 3);
        items.insert(items.end(), batch.items.begin(), batch.items.end());
        misaligned.insert(misaligned.end(), batch.misaligned.begin(), batch.misaligned.end());
        CHECK(batch.aligned != batch.misaligned);
      }
      CHECK(items == data.split.validation);
      if (pass == 0) first = misaligned;
      CHECK((first == misaligned));
    }
  }
  TrainConfig c = config;
  CHECK(loader_options(c, data, Preprocessing(), 5).workers == 5);
}

TEST_CASE("validation: every number against eager ops and sums in double") {
  const Faces faces(9);
  Context context(Device::cpu(), 2);
  const std::unique_ptr<Model> teacher = small_model(3, context), start = small_model(4, context);
  struct Case {
    QualityLoss loss;
    double quality_weight, cosine_weight;
  };
  for (const Case& k :
       {Case{QualityLoss::kL1, 1, 1}, Case{QualityLoss::kSmoothL1, 2, 0.25}, Case{QualityLoss::kL1, 1, 0}}) {
    CAPTURE(k.cosine_weight);
    Plain plain(context);
    TrainConfig config = faces.config();
    config.quality_loss = k.loss;
    config.quality_beta = 0.6;
    config.quality_weight = k.quality_weight;
    config.cosine_weight = k.cosine_weight;
    config.perturb = 2;
    config.seed = 5;
    const TrainData data = read_train_data(config);
    const std::unique_ptr<Model> student = make_student(*start, config),
                                 result = make_student(*start, config);
    TrainStep step(teacher.get(), *student, context, config, 1);
    step.copy_result(*result);
    Validator validator(step.teacher_plan(), context, config);
    const auto loader =
        validation_loader(config, data, loader_options(config, data, result->preprocessing(), 2), nullptr);
    const bool with_teacher = k.cosine_weight > 0;
    // Images come and go between passes; every other one keeps its own teacher.
    for (const std::size_t missing : {4U, 1U, 9U}) {
      CAPTURE(missing);
      std::vector<std::size_t> expected_items = data.split.validation;
      std::string bytes;
      if (missing < expected_items.size()) {
        bytes = read_text(faces.items[expected_items[missing]].path);
        faces.spoil(expected_items[missing]);
        expected_items.erase(expected_items.begin() + static_cast<std::ptrdiff_t>(missing));
      }
      const ValidationResult v = validator.run(*result, *loader);
      if (!bytes.empty()) write_text(faces.items[data.split.validation[missing]].path, bytes);
      std::vector<double> labels, scores[2], quality[2], cosines[2], both;
      for (const std::size_t i : expected_items) {
        const DatasetItem& item = data.dataset.items()[i];
        const Outcome t = plain(*teacher, item, {.pixels = 0}, i);
        const Outcome s[2] = {plain(*result, item, {.pixels = 0}, i),
                              plain(*result, item, {.pixels = 2, .seed = 5}, i)};
        labels.push_back(item.label / 4.07);
        for (int m = 0; m < 2; ++m) {
          scores[m].push_back(s[m].score);
          const double d = std::abs(s[m].score - labels.back());
          quality[m].push_back(k.loss == QualityLoss::kL1 ? d : d < 0.6 ? d * d / 1.2 : d - 0.3);
          cosines[m].push_back(1 - plain_cosine(t.embedding, s[m].embedding));
        }
        both.push_back(plain_cosine(s[0].embedding, s[1].embedding));
      }
      constexpr double kTolerance = 2e-5;
      CHECK(v.images == static_cast<std::int64_t>(labels.size()));
      CHECK_NEAR(v.quality_aligned, mean(quality[0]), kTolerance);
      CHECK_NEAR(v.quality_misaligned, mean(quality[1]), kTolerance);
      const double weight = k.cosine_weight;
      if (with_teacher) {
        CHECK_NEAR(v.cosine_aligned, mean(cosines[0]), kTolerance);
        CHECK_NEAR(v.cosine_misaligned, mean(cosines[1]), kTolerance);
      } else {
        CHECK(std::isnan(v.cosine_aligned));
        CHECK(std::isnan(v.cosine_misaligned));
      }
      CHECK_NEAR(v.loss_aligned, k.quality_weight * mean(quality[0]) + weight * mean(cosines[0]), kTolerance);
      CHECK_NEAR(v.loss_misaligned, k.quality_weight * mean(quality[1]) + weight * mean(cosines[1]),
                 kTolerance);
      CHECK_NEAR(v.embedding_cosine, mean(both), kTolerance);
      CHECK_NEAR(v.spearman_aligned, plain_spearman(labels, scores[0]), 1e-12);
      CHECK_NEAR(v.spearman_misaligned, plain_spearman(labels, scores[1]), 1e-12);
      CHECK_NEAR(v.spearman_invariance, plain_spearman(scores[0], scores[1]), 1e-12);
      REQUIRE(v.scores_aligned.size() == labels.size());
      for (std::size_t i = 0; i < labels.size(); ++i)
        CHECK_NEAR(static_cast<double>(v.scores_aligned[i]), scores[0][i], kTolerance);
      CHECK(v.value(KeepBest::kLoss) == v.loss_misaligned);
      CHECK(v.value(KeepBest::kQualityMisaligned) == v.quality_misaligned);
      CHECK(v.value(KeepBest::kQualityAligned) == v.quality_aligned);
    }
    if (!with_teacher) {
      for (const std::size_t i : data.split.validation) faces.spoil(i);
      CHECK(contains(message_of([&] { validator.run(*result, *loader); }), "images can be used"));
    }
  }
}
