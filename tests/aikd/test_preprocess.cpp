#include "aikd/preprocess.h"

#include <bit>

#include "tensor/error.h"
#include "tests/oracle/test_images.h"
#include "tests/support/test.h"

using namespace aikd;

namespace {

std::string parse_error(const char* json) {
  try {
    Preprocessing::parse(json);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kModel);
    return error.what();
  }
  return "no error";
}

io::Image make_image(std::uint64_t seed, int width, int height) {
  io::Image image(width, height);
  image.pixels = test::make_pixels(seed, width, height);
  return image;
}

}  // namespace

TEST_CASE("normalisation tables are bit for bit those of torch") {
  const nlohmann::json golden = test::read_golden("tables.json");
  REQUIRE(golden["cases"].size() == 5);
  for (const auto& c : golden["cases"]) {
    INFO(c["name"].get<std::string>());
    const float mean = c["mean"].get<float>(), std = c["std"].get<float>();
    Preprocessing p;
    p.mean = {9.0F, mean, 9.0F};
    p.std = {9.0F, std, 9.0F};
    const nn::InputTable table = p.table();
    REQUIRE(c["bits"].size() == 256);
    for (std::size_t byte = 0; byte < 256; ++byte) {
      INFO("byte ", byte);
      REQUIRE(std::bit_cast<std::uint32_t>(table.table[1][byte]) == c["bits"][byte].get<std::uint32_t>());
    }
  }
}

TEST_CASE("the table of a BGR network reads the image's channels backwards") {
  Preprocessing p = Preprocessing::parse(
      R"({"width":96,"height":120,"order":"BGR","divide":1,"mean":[1,2,3],"std":[1,2,4]})");
  const nn::InputTable table = p.table();
  CHECK(table.width == 96);
  CHECK(table.height == 120);
  CHECK(table.source[0] == 2);
  CHECK(table.source[1] == 1);
  CHECK(table.source[2] == 0);
  CHECK(table.table[0][10] == 9.0F);
  CHECK(table.table[1][10] == 4.0F);
  CHECK(table.table[2][11] == 2.0F);
  p.bgr = false;
  CHECK(p.table().source[0] == 0);
  CHECK(p.table().source[2] == 2);
}

TEST_CASE("pre-processing goes to JSON and back") {
  Preprocessing p;
  CHECK(
      p.to_json() ==
      R"({"width":112,"height":112,"order":"RGB","divide":255.0,"mean":[0.5,0.5,0.5],"std":[0.5,0.5,0.5]})");
  p.width = 224;
  p.bgr = true;
  p.divide = 128.0F;
  p.mean = {0.485F, 0.456F, 1.0F / 3.0F};
  p.std = {0.229F, 0.224F, 1e-30F};
  CHECK(p.to_json().find("0.485,0.456,") != std::string::npos);
  CHECK(Preprocessing::parse(p.to_json()) == p);
  CHECK(Preprocessing::parse("{}") == Preprocessing{});
}

TEST_CASE("a wrong pre-processing description is refused with its reason") {
  const std::string start = "The pre-processing description of the model ";
  CHECK(parse_error("{") == start + "is not valid JSON.");
  CHECK(parse_error("") == start + "is not valid JSON.");
  CHECK(parse_error("[1]") == start + "must be a JSON object.");
  CHECK(parse_error(R"({"width":0})") == start + R"(has "width": 0; expected an integer from 1 to 4096.)");
  CHECK(parse_error(R"({"width":112.5})") ==
        start + R"(has "width": 112.5; expected an integer from 1 to 4096.)");
  CHECK(parse_error(R"({"height":99999999999})").starts_with(start + R"(has "height": 99999999999;)"));
  CHECK(parse_error(R"({"order":"rgb"})") == start + R"(has "order": "rgb"; expected "RGB" or "BGR".)");
  CHECK(parse_error(R"({"order":3})") == start + R"(has "order": 3; expected "RGB" or "BGR".)");
  CHECK(parse_error(R"({"divide":0})") == start + R"(has "divide": 0; expected a finite non-zero number.)");
  CHECK(parse_error(R"({"divide":"255"})") ==
        start + R"(has "divide": "255"; expected a finite non-zero number.)");
  CHECK(parse_error(R"({"mean":0.5})") == start + R"(has "mean": 0.5; expected an array of three numbers.)");
  CHECK(parse_error(R"({"mean":[1,2]})") ==
        start + R"(has "mean": [1,2]; expected an array of three numbers.)");
  CHECK(parse_error(R"({"mean":[1,2,1e39]})") ==
        start + R"(has "mean[2]": 1e+39; expected a finite number.)");
  CHECK(parse_error(R"({"std":[1,0,1]})") ==
        start + R"(has "std[1]": 0; expected a finite non-zero number.)");
  CHECK(parse_error(R"({"std":[1,null,1]})") ==
        start + R"(has "std[1]": null; expected a finite non-zero number.)");
  CHECK(parse_error(R"({"resize":1})") ==
        start + R"(has the unknown key "resize"; expected width, height, order, divide, mean or std.)");
  CHECK(parse_error(std::string(5000, '[').c_str()) == start + "has 5000 bytes; expected at most 4096.");
}

TEST_CASE("resize of an image is the kernel's") {
  const nlohmann::json golden = test::read_golden("resize_pillow12.json");
  for (const auto& c : golden["cases"]) {
    const auto y = resize(make_image(c["seed"], c["in"][0], c["in"][1]), c["out"][0], c["out"][1]);
    CHECK(y.width == c["out"][0].get<int>());
    CHECK(y.height == c["out"][1].get<int>());
    test::check_golden_bytes(c, y.pixels);
  }
  const io::Image image = make_image(3, 30, 90);
  CHECK(resize(image, 30, 90).pixels == image.pixels);
  CHECK(resize(image, 20, 20).pixels != resize(image, 20, 20, kernels::ResizeOrder::kPillow13).pixels);
}

TEST_CASE("align_face warps by the matrix of umeyama") {
  const io::Image image = make_image(8, 120, 140);
  Landmarks points = kReferenceLandmarks;
  for (Point& p : points) p = {p.x * 1.1 + 3, p.y * 1.05};
  const io::Image face = align_face(image, points);
  CHECK(face.width == 112);
  CHECK(face.height == 112);
  CHECK(face.pixels == warp_affine(image, umeyama(points), 112, 112).pixels);
  // Landmarks at the reference points leave the picture where it is, up to rounding in the last bits.
  const io::Image same = align_face(image, kReferenceLandmarks);
  int different = 0;
  for (int y = 0; y < 112; ++y)
    for (int x = 0; x < 112; ++x)
      for (int c = 0; c < 3; ++c) different += same.at(x, y)[c] != image.at(x, y)[c] ? 1 : 0;
  CHECK(different == 0);
}

TEST_CASE("pixels of impossible sizes are refused") {
  const io::Image image = make_image(8, 12, 14);
  CHECK_THROWS_WITH_AS(resize(image, 0, 5),
                       "A resize to 0 x 5 pixels was asked for; both sides must be at least 1.", Error);
  CHECK_THROWS_WITH_AS(warp_affine(image, {}, 5, -1),
                       "A warp to 5 x -1 pixels was asked for; both sides must be at least 1.", Error);
  CHECK_THROWS_WITH_AS(resize(io::Image(), 5, 5), doctest::Contains("an image of 0 x 0 pixels in 0 bytes"),
                       Error);
  io::Image broken = image;
  broken.pixels.pop_back();
  CHECK_THROWS_WITH_AS(warp_affine(broken, {}, 5, 5), doctest::Contains("12 x 14 pixels in 503 bytes"),
                       Error);
}
