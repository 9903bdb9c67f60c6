#include "aikd/synth.h"

#include <array>
#include <cmath>
#include <limits>
#include <string>

#include "aikd/synth_degrade.h"
#include "aikd/synth_math.h"
#include "aikd/synth_paint.h"
#include "io/sha256.h"
#include "tensor/error.h"
#include "tensor/random.h"
#include "tests/support/test.h"

namespace {

using aikd::Degradation;
using aikd::SynthFace;
using aikd::SynthOptions;
using aikd::io::Image;

SynthOptions options_of(std::uint64_t identity, std::uint64_t variation, int size = 112) {
  SynthOptions o;
  o.identity = identity;
  o.variation = variation;
  o.width = o.height = size;
  return o;
}

Image face_with(double Degradation::*kind, double level, std::uint64_t identity = 3) {
  SynthOptions o = options_of(identity, 1);
  o.degradation.*kind = level;
  return aikd::render_face(o).image;
}

double grey(const Image& image, int x, int y) {
  const std::uint8_t* p = image.at(x, y);
  return 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2];
}

// Mean squared response of the Laplacian: how much fine detail there is.
double laplacian_energy(const Image& image) {
  double sum = 0;
  for (int y = 1; y + 1 < image.height; ++y) {
    for (int x = 1; x + 1 < image.width; ++x) {
      const double l = 4 * grey(image, x, y) - grey(image, x - 1, y) - grey(image, x + 1, y) -
                       grey(image, x, y - 1) - grey(image, x, y + 1);
      sum += l * l;
    }
  }
  return sum / (image.width * image.height);
}

double mean_squared_difference(const Image& a, const Image& b) {
  REQUIRE(a.pixels.size() == b.pixels.size());
  double sum = 0;
  for (std::size_t i = 0; i < a.pixels.size(); ++i) {
    const double d = a.pixels[i] - b.pixels[i];
    sum += d * d;
  }
  return sum / static_cast<double>(a.pixels.size());
}

std::string message_of(const SynthOptions& o) {
  try {
    aikd::render_face(o);
  } catch (const aikd::Error& error) {
    CHECK(error.kind() == aikd::ErrorKind::kUsage);
    return error.what();
  }
  return "";
}

}  // namespace

// The digests were taken once; gcc and clang, -O0 to -O3, with and without AVX-512, sanitizers: all the same.
TEST_CASE("synth: the same options give the bytes of the golden on every machine") {
  const std::array<std::string, 6> golden{"a28c113b60bf605958bb5647556fc155c54c6119c26dda4a3d0371c8bede3954",
                                          "594a5011afa5fa96a97ad11b212ba6daae545cce320fcb6068ca50ac87ac2922",
                                          "b360756f01e1abb7575500aac1fd179687c597bb9227926b6dea5ad851343ef2",
                                          "af3a8b81ccb6b3162774b0b7c4ccf659a125aeb2da8c286a13913fc804c15eeb",
                                          "218731c398f06a91d624a5890b518437c1715b8dbd3812e5824321ad8689bb94",
                                          "d24f67b0360a960917cf5f6293e5273a5155542d01b5ce73341e16b8cf899f02"};
  for (std::size_t i = 0; i < golden.size(); ++i) {
    SynthOptions o = options_of(7919 * i, i);
    o.width = 96 + 7 * static_cast<int>(i);
    o.aligned = i % 3 == 0;
    if (i % 2 == 1) o.degradation = {0.3, 0.2, 0.25, 0.4, 0.3, 0.5, 0.6};
    const SynthFace a = aikd::render_face(o), b = aikd::render_face(o);
    CHECK(a.image.pixels == b.image.pixels);
    CHECK(a.landmarks == b.landmarks);
    CHECK(aikd::io::sha256_hex(a.image.pixels) == golden[i]);
  }
}

TEST_CASE("synth: aligned faces have their landmarks on the reference points") {
  for (std::uint64_t i = 0; i < 12; ++i) {
    SynthOptions o = options_of(i, i + 1, i % 2 == 0 ? 112 : 168);
    o.aligned = true;
    const double scale = o.width / 112.0;
    const SynthFace face = aikd::render_face(o);
    for (std::size_t k = 0; k < 5; ++k) {
      CHECK(!(std::abs(face.landmarks[k].x - scale * aikd::kReferenceLandmarks[k].x) > 0.01));
      CHECK(!(std::abs(face.landmarks[k].y - scale * aikd::kReferenceLandmarks[k].y) > 0.01));
    }
  }
  // A turned head is aligned by a similarity only, as real crops are.
  SynthOptions o = options_of(5, 1);
  o.aligned = true;
  o.degradation.pose = 1;
  const SynthFace turned = aikd::render_face(o);
  CHECK(std::abs(turned.landmarks[2].x - aikd::kReferenceLandmarks[2].x) > 3);
}

// The marker is painted on the surface round the landmark's place on the head, so it passes through the
// meshes and the rasteriser, of which the landmark's projection knows nothing.
TEST_CASE("synth: a marker painted on the skin appears where the landmark says") {
  int found = 0;
  for (std::uint64_t i = 0; i < 10; ++i) {
    SynthOptions o = options_of(i, i, 240);
    o.aligned = i % 3 == 0;
    const SynthFace plain = aikd::render_face(o);
    o.markers = true;
    const SynthFace marked = aikd::render_face(o);
    for (const aikd::Point& p : marked.landmarks) {
      double sum = 0, sx = 0, sy = 0;
      for (int y = 0; y < 240; ++y) {
        for (int x = 0; x < 240; ++x) {
          if (std::abs(x - p.x) > 9 || std::abs(y - p.y) > 9) continue;
          const double weight = marked.image.at(x, y)[1] > plain.image.at(x, y)[1] + 8 &&
                                        marked.image.at(x, y)[0] < plain.image.at(x, y)[0]
                                    ? 1
                                    : 0;
          sum += weight;
          sx += weight * x;
          sy += weight * y;
        }
      }
      if (sum < 12) continue;  // behind hair or a frame
      ++found;
      INFO("identity ", i, " landmark at ", p.x, " ", p.y, " marker at ", sx / sum, " ", sy / sum);
      CHECK(!(std::abs(sx / sum - p.x) > 0.9));
      CHECK(!(std::abs(sy / sum - p.y) > 0.9));
    }
  }
  CHECK(found >= 45);
}

TEST_CASE("synth: the nose landmark is the face's most forward place and the mouth's corners end the lips") {
  for (std::uint64_t i = 0; i < 20; ++i) {
    aikd::synth::Person person = aikd::synth::make_person(i);
    person.beard = person.moustache = person.stubble = 0;  // nothing but lips and skin
    const aikd::synth::Photograph photo = aikd::synth::make_photograph(i, i, {});
    const auto points = aikd::synth::landmark_points(person, photo);
    aikd::synth::Vec3 tip;
    for (double y = -0.3; y < 1.1; y += 0.01) {
      for (double x = -0.3; x < 0.3; x += 0.01) {
        const auto p = aikd::synth::face_point(person, photo, x, y);
        if (p.z > tip.z) tip = p;
      }
    }
    CHECK(!(std::abs(tip.x - points[2].x) > 0.015));
    CHECK(!(std::abs(tip.y - points[2].y) > 0.06));
    // How far the paint is from the skin's own colour: much just inside a corner, little outside.
    const auto painted = [&](double x, double y) {
      aikd::synth::Vertex v;
      v.u = x;
      v.v = y;
      v.w = 1;
      const auto paint =
          aikd::synth::paint_skin(person, photo, aikd::synth::mouth_of(person, photo), v, 0.002);
      return 1.0 - paint.albedo.y / person.skin.y;
    };
    for (const std::size_t corner : {std::size_t{3}, std::size_t{4}}) {
      const double x = points[corner].x, y = points[corner].y;
      CHECK(painted(0.96 * x, y) > 0.3);
      CHECK(painted(1.3 * x, y) < 0.3);
    }
  }
}

TEST_CASE("synth: the pupils are the darkest places of the eyes") {
  int darker = 0;
  for (std::uint64_t i = 0; i < 20; ++i) {
    const SynthFace face = aikd::render_face(options_of(i, i, 224));
    for (const std::size_t eye : {std::size_t{0}, std::size_t{1}}) {
      const aikd::Point p = face.landmarks[eye];
      const double unit = 0.1 * std::abs(face.landmarks[1].x - face.landmarks[0].x);
      double inner = 255, ring = 0;
      for (int y = static_cast<int>(p.y - unit); y <= static_cast<int>(p.y + unit) + 1; ++y) {
        for (int x = static_cast<int>(p.x - unit); x <= static_cast<int>(p.x + unit) + 1; ++x) {
          inner = std::min(inner, grey(face.image, x, y));
        }
      }
      for (const double side : {-1.6, 1.6}) {  // the white of the eye on either side
        ring = std::max(
            ring, grey(face.image, static_cast<int>(p.x + side * unit + 0.5), static_cast<int>(p.y + 0.5)));
      }
      darker += inner + 15 < ring ? 1 : 0;
    }
  }
  CHECK(darker >= 38);
}

TEST_CASE("synth: blur and low resolution take detail away step by step") {
  for (const auto kind : {&Degradation::blur, &Degradation::low_resolution}) {
    double before = laplacian_energy(face_with(kind, 0));
    for (const double level : {0.2, 0.4, 0.6, 0.8, 1.0}) {
      const double now = laplacian_energy(face_with(kind, level));
      CHECK(now < before);
      before = now;
    }
  }
}

TEST_CASE("synth: noise and jpeg and occlusion move the picture further from the clean one step by step") {
  for (const auto kind : {&Degradation::noise, &Degradation::jpeg, &Degradation::occlusion}) {
    for (std::uint64_t identity = 3; identity < 9; ++identity) {
      const Image clean = face_with(kind, 0, identity);
      double before = 0;
      for (const double level : {0.25, 0.5, 0.75, 1.0}) {
        const double now = mean_squared_difference(face_with(kind, level, identity), clean);
        CHECK(now > before);
        before = now;
      }
    }
  }
}

TEST_CASE("synth: pose turns the head and light drains the shadow side step by step") {
  for (std::uint64_t identity = 0; identity < 6; ++identity) {
    double before = 1e9, dark = 1e9;
    for (const double level : {0.0, 0.35, 0.7, 1.0}) {
      SynthOptions o = options_of(identity, 2);
      o.degradation.pose = level;
      const aikd::Landmarks p = aikd::render_face(o).landmarks;
      // Turned sideways, the eyes come together while the mouth stays as far below.
      const double eyes = std::hypot(p[1].x - p[0].x, p[1].y - p[0].y);
      const double height =
          std::hypot(0.5 * (p[3].x + p[4].x - p[0].x - p[1].x), 0.5 * (p[3].y + p[4].y - p[0].y - p[1].y));
      CHECK(eyes / height < before);
      before = eyes / height;
      if (level > 0.9) CHECK(eyes / height < 0.65);
    }
    for (const double level : {0.0, 0.5, 1.0}) {
      SynthOptions o = options_of(identity, 2);
      o.aligned = true;
      o.degradation.light = level;
      const Image image = aikd::render_face(o).image;
      double left = 0, right = 0;
      for (int y = 45; y < 100; ++y) {
        for (int x = 25; x < 50; ++x) {
          left += grey(image, x, y);
          right += grey(image, 111 - x, y);
        }
      }
      const double ratio = std::min(left, right) / std::max(left, right);
      if (level > 0.9) CHECK(ratio < 0.92 * dark);
      if (level < 0.1) dark = ratio;
    }
  }
}

TEST_CASE("synth: people differ more than the photographs of one person") {
  // The mean grey of 6 x 6 cells of aligned crops, exposure taken out by dividing by their mean.
  const auto describe = [](std::uint64_t identity, std::uint64_t variation) {
    SynthOptions o = options_of(identity, variation);
    o.aligned = true;
    const Image image = aikd::render_face(o).image;
    std::array<double, 36> mean{};
    for (int y = 8; y < 104; ++y) {
      for (int x = 8; x < 104; ++x)
        mean[static_cast<std::size_t>((y - 8) / 16 * 6 + (x - 8) / 16)] += grey(image, x, y) / 256;
    }
    double total = 0;
    for (const double m : mean) total += m / 36;
    for (double& m : mean) m /= total;
    return mean;
  };
  const auto apart = [](const std::array<double, 36>& a, const std::array<double, 36>& b) {
    double sum = 0;
    for (std::size_t i = 0; i < 36; ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sum;
  };
  int right = 0, total = 0;
  for (std::uint64_t person = 0; person < 16; ++person) {
    const auto anchor = describe(person, 1), same = describe(person, 2);
    const auto other = describe(person + 100, 1), another = describe(person + 200, 2);
    right += (apart(anchor, same) < apart(anchor, other) ? 1 : 0) +
             (apart(anchor, same) < apart(anchor, another) ? 1 : 0);
    total += 2;
  }
  CHECK(total == 32);
  CHECK(right >= 24);  // chance is 16
}

TEST_CASE("synth: our JPEG artefacts are those of a JPEG codec") {
  const Image clean = aikd::render_face(options_of(4, 1, 128)).image;
  for (const int quality : {10, 30, 60, 90}) {
    Image ours = clean;
    aikd::synth::jpeg_artefacts(ours, quality);
    const Image codec = aikd::io::decode_image(aikd::io::encode_jpeg(clean, quality)).image;
    const double loss = mean_squared_difference(codec, clean);
    CHECK(mean_squared_difference(ours, codec) < 0.12 * loss + 1.0);
  }
}

TEST_CASE("synth: a level of zero changes no byte and odd sizes work") {
  Image image = aikd::render_face(options_of(1, 1, 33)).image;
  const Image before = image;
  aikd::synth::degrade(image, aikd::kReferenceLandmarks, Degradation{}, 9);
  CHECK(image.pixels == before.pixels);
  SynthOptions o = options_of(1, 1);
  o.width = 17;
  o.height = 131;
  o.degradation = {1, 1, 1, 1, 1, 1, 1};
  CHECK(aikd::render_face(o).image.pixels.size() == 17 * 131 * 3);
}

TEST_CASE("synth: sizes and levels outside their range are named") {
  SynthOptions o = options_of(0, 0);
  o.width = 15;
  CHECK(message_of(o) == "The size of a synthetic face must be 16..4096 pixels each way, got 15x112.");
  o = options_of(0, 0);
  o.height = 5000;
  CHECK(message_of(o) == "The size of a synthetic face must be 16..4096 pixels each way, got 112x5000.");
  o = options_of(0, 0);
  o.degradation.low_resolution = 1.5;
  CHECK(message_of(o) == "The degradation low_resolution of a synthetic face must be in 0..1, got 1.5.");
  o = options_of(0, 0);
  o.degradation.pose = std::numeric_limits<double>::quiet_NaN();
  CHECK(message_of(o).find("The degradation pose of a synthetic face must be in 0..1, got") == 0);
}

TEST_CASE("synth: utility is one without degradations and falls with each") {
  CHECK(aikd::synth_utility({}) == 1.0);
  CHECK(aikd::synth_utility({1, 0, 0, 0, 0, 0, 0}) == 0.25);
  const std::array<double Degradation::*, 7> kinds{
      &Degradation::blur,      &Degradation::noise, &Degradation::low_resolution, &Degradation::jpeg,
      &Degradation::occlusion, &Degradation::pose,  &Degradation::light};
  for (const auto kind : kinds) {
    Degradation half, full;
    half.*kind = 0.5;
    full.*kind = 1;
    CHECK(aikd::synth_utility(half) < 1);
    CHECK(aikd::synth_utility(full) < aikd::synth_utility(half));
    CHECK(aikd::synth_utility(full) > 0);
  }
}

TEST_CASE("synth: sine and exponential agree with the library's") {
  for (double x = -40; x < 40; x += 0.0371) CHECK(!(std::abs(aikd::synth::sine(x) - std::sin(x)) > 1e-12));
  for (double x = -16; x <= 0; x += 0.0173) {
    CHECK(!(std::abs(aikd::synth::exp_negative(x) / std::exp(x) - 1) > 1e-8));
  }
}
