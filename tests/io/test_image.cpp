#include "io/image.h"

#include <cmath>
#include <set>

#include "io/image_codecs.h"
#include "tensor/error.h"
#include "tests/io/image_bytes.h"
#include "tests/oracle/test_images.h"
#include "tests/support/test.h"

using namespace aikd;
using namespace aikd::test;
using Bytes = std::vector<std::uint8_t>;

namespace {

io::Image make_image(std::uint64_t seed, int width, int height) {
  io::Image image(width, height);
  image.pixels = make_pixels(seed, width, height);
  return image;
}

// Smooth enough that JPEG keeps it within a few levels.
io::Image gentle_image(int width, int height) {
  io::Image image(width, height);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < 3; ++c) image.at(x, y)[c] = static_cast<std::uint8_t>(40 + 2 * x + y + 20 * c);
  return image;
}

}  // namespace

TEST_CASE("every kind of image file decodes to Pillow's pixels") {
  const nlohmann::json golden = read_golden("images.json");
  REQUIRE(golden["cases"].size() >= 80);
  std::set<std::string> other_decoder;
  int compared = 0;
  for (const auto& c : golden["cases"]) {
    const std::string name = c["file"];
    INFO(name);
    const auto path = golden_dir() / "preprocess" / "images" / name;
    io::DecodeOptions as_stored;
    as_stored.apply_exif_orientation = false;
    const io::DecodedImage stored = io::read_image(path, as_stored), turned = io::read_image(path);
    std::string format = c["format"];
    if (format == "PPM") format = "PNM";
    CHECK(stored.format == format);
    CHECK(stored.image.width == c["size"][0].get<int>());
    CHECK(stored.image.height == c["size"][1].get<int>());
    CHECK(turned.image.width == c["turned_size"][0].get<int>());
    CHECK(turned.image.height == c["turned_size"][1].get<int>());
    const int orientation = c["exif"];
    CHECK(stored.exif_orientation == (orientation >= 1 && orientation <= 8 ? orientation : 1));
    CHECK(turned.exif_orientation == stored.exif_orientation);
    const io::ImageSize size = io::image_size(file_bytes(path));
    CHECK(size.width == stored.image.width);
    CHECK(size.height == stored.image.height);
    // In a build without libjpeg-turbo or libpng those formats are stb_image's: its pixels are not promised.
    if (!c.contains("stb") && stored.decoder.starts_with("stb_image")) {
      other_decoder.insert(format);
      continue;
    }
    CHECK(io::sha256_hex(stored.image.pixels) == c["sha256"].get<std::string>());
    CHECK(io::sha256_hex(turned.image.pixels) == c["turned_sha256"].get<std::string>());
    ++compared;
  }
  CHECK(compared > 0);
  if (!other_decoder.empty())
    AIKD_SKIP("this build has no libjpeg-turbo or libpng: pixels of that format not compared");
}

TEST_CASE("the decoder is named with its version") {
  const Bytes jpeg = io::encode_jpeg(gentle_image(9, 9), 90), png = io::encode_png(gentle_image(9, 9));
  const std::string by_jpeg = io::decode_image(jpeg).decoder, by_png = io::decode_image(png).decoder;
  CHECK((by_jpeg.starts_with("libjpeg-turbo 2") || by_jpeg.starts_with("libjpeg-turbo 3") ||
         by_jpeg == "stb_image 2.27"));
  CHECK((by_png.starts_with("libpng 1.6") || by_png == "stb_image 2.27"));
  CHECK(io::decode_image(bmp(3, 2)).decoder == "stb_image 2.27");
}

TEST_CASE("PNG encoding is lossless") {
  for (const auto& [w, h] : {std::pair{1, 1}, std::pair{7, 3}, std::pair{112, 112}}) {
    const io::Image image = make_image(6, w, h);
    const io::DecodedImage back = io::decode_image(io::encode_png(image));
    CHECK(back.format == "PNG");
    CHECK(back.image.width == w);
    CHECK(back.image.height == h);
    CHECK(back.image.pixels == image.pixels);
  }
}

TEST_CASE("JPEG encoding keeps the picture") {
  const io::Image image = gentle_image(37, 29);
  const io::DecodedImage back = io::decode_image(io::encode_jpeg(image, 95));
  CHECK(back.format == "JPEG");
  REQUIRE(back.image.pixels.size() == image.pixels.size());
  int worst = 0;
  for (std::size_t i = 0; i < image.pixels.size(); ++i)
    worst = std::max(worst, std::abs(int{image.pixels[i]} - int{back.image.pixels[i]}));
  CHECK(worst <= 8);
  CHECK(io::encode_jpeg(image, 10).size() < io::encode_jpeg(image, 95).size());
}

TEST_CASE("encoders refuse what they cannot write") {
  CHECK_THROWS_WITH_AS(io::encode_jpeg(gentle_image(3, 3), 0), "The JPEG quality must be 1 to 100; got 0.",
                       Error);
  CHECK_THROWS_WITH_AS(io::encode_jpeg(gentle_image(3, 3), 101),
                       "The JPEG quality must be 1 to 100; got 101.", Error);
  CHECK_THROWS_WITH_AS(io::encode_jpeg(io::Image(65501, 1), 90),
                       doctest::Contains("at most 65500 pixels wide"), Error);
  CHECK_THROWS_WITH_AS(io::encode_png(io::Image()), doctest::Contains("sides of at least 1"), Error);
}

TEST_CASE("write_image goes by the extension") {
  const TempDir dir;
  const io::Image image = gentle_image(12, 10);
  io::write_image(dir / "a.PNG", image);
  CHECK(io::read_image(dir / "a.PNG").image.pixels == image.pixels);
  io::write_image(dir / "b.jpeg", image);
  CHECK(io::read_image(dir / "b.jpeg").format == "JPEG");
  CHECK_THROWS_WITH_AS(io::write_image(dir / "c.webp", image),
                       doctest::Contains("its extension is '.webp'; expected .png, .jpg or .jpeg"), Error);
  CHECK_THROWS_WITH_AS(io::write_image(dir / "no" / "c.png", image),
                       doctest::Contains("No such file or directory"), Error);
}

TEST_CASE("a damaged EXIF block does not make a picture unreadable") {
  const Bytes plain = io::encode_jpeg(gentle_image(16, 8), 90);
  const auto with_app1 = [&](const std::string& payload) {
    Bytes out(plain.begin(), plain.begin() + 2);
    const std::size_t length = payload.size() + 2;
    for (const std::size_t b : {std::size_t{0xFF}, std::size_t{0xE1}, length >> 8, length & 255})
      out.push_back(static_cast<std::uint8_t>(b));
    out.insert(out.end(), payload.begin(), payload.end());
    out.insert(out.end(), plain.begin() + 2, plain.end());
    return out;
  };
  const std::string head("Exif\0\0MM\0*\0\0\0\x08", 14);
  const auto entry = [](int tag, int type, int count, int value) {
    std::string text;
    for (const int v : {tag >> 8, tag, type >> 8, type, count >> 24, count >> 16, count >> 8, count,
                        value >> 8, value, 0, 0})
      text += static_cast<char>(v & 255);
    return text;
  };
  const auto orientation = [&](const std::string& payload) {
    const io::DecodedImage image = io::decode_image(with_app1(payload));
    CHECK(image.image.width == (image.exif_orientation >= 5 ? 8 : 16));
    return image.exif_orientation;
  };
  CHECK(orientation(head + std::string("\0\1", 2) + entry(0x0112, 3, 1, 6)) == 6);
  CHECK(orientation(head + std::string("\0\2", 2) + entry(0x0100, 3, 1, 5) + entry(0x0112, 3, 1, 8)) == 8);
  CHECK(orientation(head + std::string("\0\1", 2) + entry(0x0112, 3, 1, 9)) == 1);
  CHECK(orientation(head + std::string("\0\1", 2) + entry(0x0112, 3, 1, 0)) == 1);
  CHECK(orientation(head + std::string("\0\1", 2) + entry(0x0112, 3, 2, 6)) == 1);       // two values
  CHECK(orientation(head + std::string("\0\1", 2) + entry(0x0112, 2, 1, 0x3600)) == 1);  // text
  CHECK(orientation(head + std::string("\xFF\xFF", 2) + entry(0x0112, 3, 1, 6)) ==
        6);  // more entries than bytes
  CHECK(orientation(head + std::string("\xFF\xFF", 2)) == 1);
  CHECK(orientation(head + std::string("\0\1", 2) + entry(0x0112, 3, 1, 6).substr(0, 11)) == 1);
  CHECK(orientation(std::string("Exif\0\0MM\0*\xFF\xFF\xFF\xFF", 14)) == 1);  // a directory far outside
  CHECK(orientation(std::string("Exif\0\0XX\0*\0\0\0\x08\0\0", 16)) == 1);
  CHECK(orientation(std::string("Exif\0\0MM\0\x2B\0\0\0\x08", 14) + std::string("\0\1", 2) +
                    entry(0x0112, 3, 1, 6)) == 1);
  CHECK(orientation(std::string("Exif\0\0M", 7)) == 1);
  CHECK(orientation(std::string("Exif\0\0", 6)) == 1);
}

TEST_CASE("photographs of the data folder decode") {
  const auto data = data_dir();
  if (data.empty()) AIKD_SKIP("no real photographs here");
  int decoded = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(data / "vggface2-samples")) {
    if (entry.path().extension() != ".jpg") continue;
    const io::DecodedImage image = io::read_image(entry.path());
    CHECK(image.format == "JPEG");
    CHECK(image.image.width >= 50);
    ++decoded;
  }
  CHECK(decoded == 32);
}
