#include "aikd/invariance.h"

#include <algorithm>
#include <cmath>
#include <limits>

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
using aikd::test::small_model;

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN(),
                 kInf = std::numeric_limits<double>::infinity();

}  // namespace

TEST_CASE("invariance: against eager ops, with bad images left out of every p") {
  const Faces faces(6);
  Context context(Device::cpu(), 2);
  Plain plain(context);
  faces.spoil(2);
  const Dataset dataset = Dataset::make(faces.items);
  const std::vector<std::size_t> indices{5, 0, 1, 2, 4}, good{5, 0, 1, 4};
  for (const char* head : {"mlp", "none"}) {
    CAPTURE(head);
    const std::unique_ptr<Model> model = small_model(6, context, head);
    for (const bool relative : {false, true}) {
      InvarianceOptions options;
      options.pixels = relative ? std::vector<double>{0, 10, 0} : std::vector<double>{0, 6, 0};
      options.relative = relative;
      options.seed = 21;
      options.batch = 2;  // the second one has one good image
      const InvarianceResult r = measure_invariance(*model, dataset, indices, context, options);
      CHECK(r.images == 4);
      CHECK(r.pixels == options.pixels);
      std::vector<double> labels, base_scores;
      std::vector<std::vector<double>> base;
      for (const std::size_t i : good) labels.push_back(faces.items[i].label);
      for (std::size_t p = 0; p < options.pixels.size(); ++p) {
        CAPTURE(options.pixels[p]);
        Perturbation moved{.pixels = options.pixels[p], .seed = 21};
        if (relative) moved = {.pixels = 0, .relative = options.pixels[p] / 100, .seed = 21};
        std::vector<double> scores, cosines, change;
        REQUIRE(r.scores[p].size() == 4);
        for (std::size_t at = 0; at < good.size(); ++at) {
          const Outcome o = plain(*model, faces.items[good[at]], moved, good[at]);
          if (p == 0) {
            base.push_back(o.embedding);
            base_scores.push_back(o.score);
          }
          scores.push_back(o.score);
          cosines.push_back(plain_cosine(base[at], o.embedding));
          change.push_back(std::abs(o.score - base_scores[at]));
          CHECK_NEAR(static_cast<double>(r.scores[p][at]), o.score, 1e-4 * std::max(1.0, std::abs(o.score)));
          CHECK_NEAR(static_cast<double>(r.cosines[p][at]), cosines.back(), 1e-5);
        }
        CHECK_NEAR(r.spearman[p], plain_spearman(base_scores, scores), 1e-12);
        CHECK_NEAR(r.label_spearman[p], plain_spearman(labels, scores), 1e-12);
        CHECK_NEAR(r.mean_cosine[p], mean(cosines), 1e-5);
        CHECK_NEAR(r.score_change[p], mean(change), 1e-4);
        if (options.pixels[p] == 0) {
          CHECK(r.spearman[p] == doctest::Approx(1).epsilon(1e-12));
          CHECK(r.score_change[p] == 0);
          CHECK(r.mean_cosine[p] == doctest::Approx(1).epsilon(1e-7));
        } else {
          CHECK(r.mean_cosine[p] < 1 - 1e-4);
          CHECK(r.score_change[p] > 0);
        }
      }
    }
    plain.forget(*model);
  }

  const std::unique_ptr<Model> model = small_model(6, context);
  InvarianceOptions options;
  options.pixels = {0, 2};
  const auto run = [&](std::span<const std::size_t> which) {
    return measure_invariance(*model, dataset, which, context, options);
  };
  // Of 5 images 2, evenly: the places 0 and 2.
  options.max_images = 2;
  const std::vector<std::size_t> chosen{5, 1};
  const InvarianceResult few = run(indices);
  options.max_images = 0;
  CHECK(few.scores == run(chosen).scores);
  options.batch = 1;
  CHECK(few.scores == run(chosen).scores);

  const auto sentence = [&](const std::vector<double>& pixels, const std::vector<std::size_t>& which,
                            int batch = 4) {
    options.pixels = pixels;
    options.batch = batch;
    return message_of([&] { run(which); });
  };
  CHECK(contains(sentence({0}, good), "at least two and begin with 0"));
  CHECK(contains(sentence({}, good), "at least two and begin with 0"));
  CHECK(contains(sentence({1, 2}, good), "at least two and begin with 0"));
  CHECK(contains(sentence({0, -1}, good), "A jitter must be a number of at least 0, got -1."));
  CHECK(contains(sentence({0, kNaN}, good), "A jitter must be a number"));
  CHECK(contains(sentence({0, kInf}, good), "A jitter must be a number"));
  CHECK(contains(sentence({0, 1}, good, 0), "A batch must hold at least 1 image, got 0."));
  CHECK(contains(sentence({0, 1}, {2, 0}), "Fewer than two of the 2 images can be used"));
  CHECK(contains(sentence({0, 1}, {}), "Fewer than two of the 0 images can be used"));
}

TEST_CASE("invariance: the intervals draw people, and images where people are not known") {
  const Faces faces(6);
  Context context(Device::cpu(), 1);
  const std::unique_ptr<Model> model = small_model(6, context);
  const std::vector<std::size_t> indices{4, 0, 1, 2, 3, 5};
  InvarianceOptions options;
  options.pixels = {0, 6};
  options.seed = 5;
  const std::vector<std::string> three{"b", "a", "a", "b", "c", "c"}, unknown(6);  // in the order of indices
  std::vector<Interval> found;
  for (const std::vector<std::string>& people : {three, unknown}) {
    std::vector<DatasetItem> items = faces.items;
    for (std::size_t i = 0; i < 6; ++i) items[indices[i]].identity = people[i];
    const InvarianceResult r = measure_invariance(*model, Dataset::make(items), indices, context, options);
    const auto interval = [&](const auto& statistic) {
      return bootstrap_interval(groups_of(people), statistic, kInvarianceDraws, 0.95, 5);
    };
    const Interval ranks = interval([&](std::span<const std::size_t> draw) {
      std::vector<double> a, b;
      for (const std::size_t i : draw) {
        a.push_back(static_cast<double>(r.scores[0][i]));
        b.push_back(static_cast<double>(r.scores[1][i]));
      }
      return plain_spearman(a, b);
    });
    const Interval cosines = interval([&](std::span<const std::size_t> draw) {
      std::vector<double> values;
      for (const std::size_t i : draw) values.push_back(static_cast<double>(r.cosines[1][i]));
      return mean(values);
    });
    CHECK_NEAR(r.spearman_interval[1].low, ranks.low, 1e-12);
    CHECK_NEAR(r.spearman_interval[1].high, ranks.high, 1e-12);
    CHECK_NEAR(r.cosine_interval[1].low, cosines.low, 1e-12);
    CHECK_NEAR(r.cosine_interval[1].high, cosines.high, 1e-12);
    CHECK(r.cosine_interval[1].low < r.mean_cosine[1]);
    CHECK(r.cosine_interval[1].high > r.mean_cosine[1]);
    found.push_back(r.cosine_interval[1]);
  }
  CHECK(found[0].low != found[1].low);
}

TEST_CASE("invariance: a table by hand") {
  InvarianceResult r;
  r.pixels = {0, 1.5};
  r.images = 3;
  r.spearman = {1, 0.5};
  r.score_change = {0, 0.25};
  r.mean_cosine = {1, 0.75};
  r.label_spearman = {-0.5, kNaN};
  r.spearman_interval = {{1, 1}, {0.25, 0.625}};
  r.cosine_interval = {{1, 1}, {0.5, 0.875}};
  CHECK(invariance_header() + invariance_rows("after", r) ==
        "model,pixels,images,spearman,spearman_low,spearman_high,score_change,"
        "mean_cosine,cosine_low,cosine_high,label_spearman\n"
        "after,0,3,1,1,1,0,1,1,1,-0.5\nafter,1.5,3,0.5,0.25,0.625,0.25,0.75,0.5,0.875,nan\n");
}
