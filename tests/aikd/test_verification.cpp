#include "aikd/verification.h"

#include <cmath>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "io/safetensors.h"
#include "tensor/error.h"
#include "tests/support/test.h"

namespace {

using aikd::EmbeddingSet;
using aikd::ScoredPair;
using aikd::Shape;
using aikd::Tensor;

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const aikd::Error& error) {
    CHECK(error.kind() == aikd::ErrorKind::kInput);
    return error.what();
  }
  return "nothing was thrown";
}

bool near(double a, double b, double tolerance = 1e-12) {
  return std::abs(a - b) <= tolerance;
}

Tensor rows(const std::vector<float>& values, std::int64_t n) {
  return Tensor::from<float>(values, Shape{n, static_cast<std::int64_t>(values.size()) / n});
}

}  // namespace

TEST_CASE("verification: agrees with numpy's brute force") {
  const auto golden = nlohmann::json::parse(
      aikd::test::read_text(aikd::test::golden_dir() / "verification/verification.json"));
  std::vector<ScoredPair> pairs;
  for (const auto& p : golden["pairs"])
    pairs.push_back({p[0].get<double>(), p[1].get<bool>(), p[2].get<int>()});
  const aikd::Verification v = aikd::verify(pairs, 10);
  CHECK(v.genuine == golden["genuine"].get<std::size_t>());
  CHECK(v.impostor == golden["impostor"].get<std::size_t>());
  CHECK(near(v.accuracy, golden["accuracy"].get<double>()));
  CHECK(near(v.standard_error, golden["standard_error"].get<double>()));
  CHECK(near(v.auc, golden["auc"].get<double>()));
  CHECK(near(v.eer, golden["eer"].get<double>()));
  CHECK(near(v.d_prime, golden["d_prime"].get<double>()));
  REQUIRE(v.folds.size() == 10);
  for (std::size_t k = 0; k < 10; ++k) {
    CHECK(near(v.folds[k].threshold, golden["fold_thresholds"][k].get<double>()));
    CHECK(near(v.folds[k].accuracy, golden["fold_accuracies"][k].get<double>()));
    CHECK(v.folds[k].pairs == 30);
  }
  REQUIRE(v.at.size() == 3);
  for (std::size_t k = 0; k < 3; ++k) {
    const auto& at = golden["at"][k];
    CHECK(near(v.at[k].fmr, at["fmr"].get<double>()));
    CHECK(near(v.at[k].threshold, at["threshold"].get<double>()));
    CHECK(near(v.at[k].fmr_reached, at["fmr_reached"].get<double>()));
    CHECK(near(v.at[k].fnmr, at["fnmr"].get<double>()));
    CHECK(v.at[k].measurable == at["measurable"].get<bool>());
  }
}

TEST_CASE("verification: pairs that are told apart and pairs that are not") {
  std::vector<ScoredPair> apart, alike, ties;
  for (int i = 0; i < 40; ++i) {
    const bool same = i % 2 == 0;
    apart.push_back({same ? 0.8 + 0.001 * i : 0.1 + 0.001 * i, same, i / 4});
    alike.push_back({same ? 0.1 : 0.8, same, i / 4});  // the wrong way round
    ties.push_back({0.5, same, i / 4});
  }
  const aikd::Verification good = aikd::verify(apart, 10);
  CHECK(good.accuracy == 1.0);
  CHECK(good.standard_error == 0.0);
  CHECK(good.auc == 1.0);
  CHECK(good.eer == 0.0);
  CHECK(good.at[0].fnmr == 0.0);
  CHECK(!good.at[0].measurable);
  const aikd::Verification bad = aikd::verify(alike, 10);
  CHECK(bad.auc == 0.0);
  CHECK(bad.eer == 1.0);
  CHECK(bad.at[0].fnmr == 1.0);
  const aikd::Verification even = aikd::verify(ties, 10);
  CHECK(even.auc == 0.5);
  CHECK(even.eer == 0.5);
  CHECK(even.accuracy == 0.5);
}

TEST_CASE("verification: folds without pairs are left out and too few are refused") {
  std::vector<ScoredPair> pairs{{0.9, true, 0}, {0.1, false, 0}, {0.8, true, 7}, {0.2, false, 7}};
  CHECK(aikd::verify(pairs, 10).folds.size() == 2);
  for (ScoredPair& p : pairs) p.fold = 3;
  CHECK(message_of([&] { aikd::verify(pairs, 10); }) ==
        "Thresholds are chosen on the other folds, so at least two folds with pairs are needed, got 1.");
  CHECK(message_of([&] {
          aikd::verify({{0.9, true, 0}, {0.5, true, 1}}, 10);
        }) == "Verification needs pairs of one person and pairs of two people, got 2 and 0.");
  pairs[1].similarity = std::numeric_limits<double>::quiet_NaN();
  CHECK(message_of([&] { aikd::verify(pairs, 10); }) ==
        "The similarity of a pair is nan; a finite number is needed.");
}

TEST_CASE("verification: LFW pair lists") {
  const aikd::PairList list = aikd::parse_pairs(
      "2\t1\nAnn_B\t1\t12\nAnn_B\t3\tCy\t10000\r\nCy\t2\t3\nDi\t1\tAnn_B\t2\n", "pairs.txt", ".png");
  CHECK(list.folds == 2);
  REQUIRE(list.pairs.size() == 4);
  CHECK(list.pairs[0].a == "Ann_B/Ann_B_0001.png");
  CHECK(list.pairs[0].b == "Ann_B/Ann_B_0012.png");
  CHECK(list.pairs[0].same);
  CHECK(list.pairs[1].b == "Cy/Cy_10000.png");
  CHECK(!list.pairs[1].same);
  CHECK(list.pairs[1].fold == 0);
  CHECK(list.pairs[3].fold == 1);
  CHECK(list.pairs[3].a == "Di/Di_0001.png");
  CHECK(aikd::parse_pairs("1\nA 1 2\nA 1 B 1\n", "p").folds == 1);
}

TEST_CASE("verification: labelled pair lists") {
  std::string text = "# a comment\n";
  for (int i = 0; i < 23; ++i)
    text += "a/" + std::to_string(i) + ".png b.png " + std::to_string(i % 2) + "\n";
  const aikd::PairList list = aikd::parse_pairs(text, "p");
  REQUIRE(list.pairs.size() == 23);
  CHECK(list.folds == 10);
  CHECK(list.pairs[5].a == "a/5.png");
  CHECK(list.pairs[5].same);
  std::vector<int> counts(10);
  for (const auto& p : list.pairs) ++counts.at(static_cast<std::size_t>(p.fold));
  CHECK(counts == std::vector<int>{3, 3, 3, 2, 2, 2, 2, 2, 2, 2});
  CHECK(list.pairs[8].fold == 2);
  CHECK(list.pairs[9].fold == 3);
  CHECK(aikd::parse_pairs("with space.png\tb.png\t1\n", "p").pairs[0].a == "with space.png");
}

TEST_CASE("verification: every wrong pair list is told with its line") {
  const auto wrong = [](const std::string& text) {
    return message_of([&] { aikd::parse_pairs(text, "p.txt"); });
  };
  CHECK(wrong("") == "The pair list 'p.txt' is empty.");
  CHECK(wrong("ten 300\n") ==
        "Line 1 of the pair list 'p.txt' must be LFW's head (number of folds and of pairs, \"10 300\") or a "
        "pair \"a "
        "b 1\"; got 'ten' '300'.");
  CHECK(wrong("0 300\n").find("must be LFW's head") != std::string::npos);
  CHECK(wrong("1 1\nA 1 2\n") ==
        "The pair list 'p.txt' must have 1 x 2 x 1 = 2 pairs by its first line, got 1.");
  CHECK(wrong("1 1\nA 1 2\nA 1 2\n") ==
        "Line 3 of the pair list 'p.txt' must have 4 fields (name, image, name, image), got 3.");
  CHECK(wrong("1 1\nA 1 B 2\nA 1 B 2\n") ==
        "Line 2 of the pair list 'p.txt' must have 3 fields (name, image, image), got 4.");
  CHECK(wrong("1 1\nA x 2\nA 1 B 2\n") ==
        "Line 2 of the pair list 'p.txt' must have the number of an image after the name 'A', got 'x'.");
  CHECK(wrong("a b 1\na b\n") ==
        "Line 2 of the pair list 'p.txt' must have 3 fields (path, path, 0 or 1), got 2.");
  CHECK(wrong("a b 1\n\na b 2\n") == "Line 3 of the pair list 'p.txt' must end in 0 or 1, got '2'.");
  CHECK(message_of([] { aikd::read_pairs("/nonexistent/pairs.txt"); }) ==
        "The pair list '/nonexistent/pairs.txt' cannot be read.");
}

TEST_CASE("verification: embeddings are found by path or by its end and compared by cosine") {
  const EmbeddingSet set(rows({3, 4, 4, -3, -6, -8, 1, 0}, 4),
                         {"x/A/1.jpg", "x/B/1.jpg", "y/B/1.jpg", "1.jpg"}, "e");
  CHECK(set.dimensions() == 2);
  CHECK(near(set.cosine(0, 1), 0.0));
  CHECK(near(set.cosine(0, 2), -1.0));
  CHECK(near(set.cosine(3, 0), 0.6));
  CHECK(set.find("x/A/1.jpg") == 0);
  CHECK(set.find("A/1.jpg") == 0);
  CHECK(set.find("1.jpg") == 3);  // exactly, though others end so
  CHECK(set.find("/1.jpg") == EmbeddingSet::kNone);
  CHECK(set.find("11.jpg") == EmbeddingSet::kNone);
  CHECK(set.find("C/1.jpg") == EmbeddingSet::kNone);
  CHECK(message_of([&] { (void)set.find("B/1.jpg"); }) ==
        "The name 'B/1.jpg' could be 'x/B/1.jpg' or 'y/B/1.jpg'; say which by --root.");
}

TEST_CASE("verification: every wrong file of embeddings is told") {
  CHECK(message_of([] {
          EmbeddingSet(rows({1, 2}, 2), {"a"}, "e");
        }) == "The embeddings 'e' have 2 rows and 1 paths.");
  CHECK(message_of([] {
          EmbeddingSet(rows({1, 2}, 2), {"a", "a"}, "e");
        }) == "The path 'a' is in the embeddings 'e' twice.");
  CHECK(message_of([] {
          EmbeddingSet(rows({1, 0}, 2), {"a", "b"}, "e");
        }) == "The embedding of 'b' in 'e' has the norm 0; a positive, finite one is needed.");
  CHECK(message_of([] {
          EmbeddingSet(rows({std::numeric_limits<float>::infinity()}, 1), {"a"}, "e");
        }).find("has the norm inf") != std::string::npos);

  const aikd::test::TempDir dir;
  const auto path = dir / "e.safetensors";
  const auto read = [&](const aikd::io::SafetensorsFile& file) {
    aikd::io::write_safetensors(path, file);
    std::string message = message_of([&] { EmbeddingSet::read(path); });
    if (const auto at = message.find(path.string()); at != std::string::npos)
      message.replace(at, path.string().size(), "F");
    return message;
  };
  const std::vector<std::uint8_t> two{'a', 0, 'b', 0}, open{'a', 0, 'b'};
  const Tensor paths = Tensor::from<std::uint8_t>(two, Shape{4});
  CHECK(read({{{"paths", paths}}, {}}) ==
        "The embeddings 'F' have no tensor \"embeddings\"; aikd-score --embeddings writes it.");
  CHECK(read({{{"embeddings", rows({1, 2}, 2)}}, {}}) ==
        "The embeddings 'F' have no tensor \"paths\"; aikd-score --embeddings writes it.");
  CHECK(read({{{"embeddings", rows({1, 2}, 2).reshape(Shape{2})}, {"paths", paths}}, {}}) ==
        "The tensor \"embeddings\" of 'F' must be F32 with 2 dimensions, got F32 [2].");
  CHECK(read({{{"embeddings", rows({1, 2}, 2)}, {"paths", Tensor::from<std::uint8_t>(open, Shape{3})}},
              {}}) == "The paths in 'F' do not end in a NUL byte.");
  aikd::io::write_safetensors(path, {{{"embeddings", rows({1, 2}, 2)}, {"paths", paths}}, {}});
  CHECK(EmbeddingSet::read(path).paths() == std::vector<std::string>{"a", "b"});
}
