// Every way an image can be wrong has its sentence.
#include <sys/stat.h>

#include <fstream>

#include "io/image.h"
#include "io/image_codecs.h"
#include "tensor/error.h"
#include "tests/io/image_bytes.h"
#include "tests/support/test.h"

using namespace aikd;
using namespace aikd::test;
using Bytes = std::vector<std::uint8_t>;

namespace {

constexpr const char* kExpected = "expected JPEG, PNG, BMP, GIF, PNM, TGA, PSD or HDR.";

std::string decode_error(const Bytes& bytes, const io::DecodeOptions& options = {}) {
  try {
    io::decode_image(bytes, options);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kInput);
    return error.what();
  }
  return "no error";
}

std::string read_error(const std::filesystem::path& path, const io::DecodeOptions& options = {}) {
  try {
    io::read_image(path, options);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kInput);
    return error.what();
  }
  return "no error";
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("an unreadable path says why") {
  const TempDir dir;
  const auto quoted = [&](const char* name) { return concat("'", (dir / name).string(), "': "); };
  CHECK(read_error(dir / "none.jpg") == quoted("none.jpg") + "The file does not exist.");
  std::filesystem::create_directory(dir / "folder");
  CHECK(read_error(dir / "folder") == quoted("folder") + "The path is a folder, not an image file.");
  REQUIRE(mkfifo((dir / "pipe").c_str(), 0600) == 0);
  CHECK(read_error(dir / "pipe") == quoted("pipe") + "The path is not a regular file.");
  write_text(dir / "empty.jpg", "");
  CHECK(read_error(dir / "empty.jpg") == quoted("empty.jpg") + "The file is empty (0 bytes).");
  write_text(dir / "big.jpg", std::string(101, 'x'));
  io::DecodeOptions options;
  options.limits.max_bytes = 100;
  CHECK(read_error(dir / "big.jpg", options) ==
        quoted("big.jpg") + "The file has 101 bytes, more than the limit of 100 bytes.");
  write_text(dir / "closed.jpg", "x");
  REQUIRE(chmod((dir / "closed.jpg").c_str(), 0) == 0);
  if (std::ifstream(dir / "closed.jpg").is_open()) AIKD_SKIP("this user may read every file");
  CHECK(read_error(dir / "closed.jpg") ==
        quoted("closed.jpg") + "The file cannot be opened: Permission denied.");
}

TEST_CASE("an unknown format says what the content looks like") {
  const auto unknown = [](const std::string& what) {
    return concat("The content is not an image format this program knows (it looks like ", what, "); ",
                  kExpected);
  };
  CHECK(decode_error(bytes_of("just some words, no picture\n")) == unknown("text"));
  CHECK(decode_error(bytes_of("<!DOCTYPE html><html>404</html>")) == unknown("an XML, SVG or HTML file"));
  CHECK(decode_error(bytes_of(std::string("RIFF\x10\0\0\0WEBPVP8 ", 16))) == unknown("a WebP image"));
  CHECK(decode_error(bytes_of(std::string("\0\0\0\x1C"
                                          "ftypheic\0\0\0\0",
                                          16))) == unknown("a HEIC image"));
  CHECK(decode_error(bytes_of(std::string("\0\0\0\x1C"
                                          "ftypmif1\0\0\0\0",
                                          16))) == unknown("a HEIC image"));
  CHECK(decode_error(bytes_of(std::string("\0\0\0\x1C"
                                          "ftypavif\0\0\0\0",
                                          16))) == unknown("an AVIF image"));
  CHECK(decode_error(bytes_of(std::string("\0\0\0\x1C"
                                          "ftypisom\0\0\0\0",
                                          16))) == unknown("an MP4 or similar video file"));
  CHECK(decode_error(bytes_of(std::string("II*\0\x08\0\0\0", 8))) == unknown("a TIFF image"));
  CHECK(decode_error(bytes_of(std::string("MM\0*\0\0\0\x08", 8))) == unknown("a TIFF image"));
  CHECK(decode_error(bytes_of(std::string("\0\0\0\x0CjP  \r\n\x87\n", 12))) == unknown("a JPEG 2000 image"));
  CHECK(decode_error(bytes_of("%PDF-1.7\n")) == unknown("a PDF document"));
  CHECK(decode_error(bytes_of("PK\x03\x04zzzz")) == unknown("a zip archive"));
  CHECK(decode_error(bytes_of("P3\n1 1\n255\n1 2 3\n")) ==
        unknown("a PNM image of a kind other than binary grey (P5) or colour (P6)"));
  CHECK(decode_error({0xFF, 0xD8}) ==
        std::string("The content is not an image format this program knows; ") + kExpected);
  CHECK(decode_error(Bytes(64, 0)) ==
        std::string("The content is not an image format this program knows; ") + kExpected);
  CHECK(decode_error({}) == "The file is empty (0 bytes).");
  CHECK_THROWS_WITH_AS(io::image_size(Bytes{}), "The file is empty (0 bytes).", Error);
}

TEST_CASE("a file cut off anywhere is an error and never a picture") {
  for (const std::string name :
       {"s2.jpg", "s0_progressive.jpg", "grey.jpg", "cmyk.jpg", "restart.jpg", "c2_8.png", "c3_4.png",
        "c6_16_interlaced.png", "RGB.bmp", "P.bmp", "RGB.gif", "RGB.ppm", "L.ppm", "RGB.tga", "rle.tga"}) {
    INFO(name);
    const Bytes whole = golden_image(name);
    CHECK(decode_error(whole) == "no error");
    const bool trailer = name.ends_with(".tga") || name.ends_with(".gif");
    int errors = 0;
    for (std::size_t length = 0; length < whole.size(); length += 1 + length / 40) {
      INFO("bytes ", length);
      const std::string error =
          decode_error(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)));
      // TGA's footer and GIF's trailer are not part of the picture.
      if (trailer && length + 32 > whole.size()) continue;
      CHECK(error != "no error");
      CHECK((has(error, "is truncated") || has(error, "is empty") || has(error, "not an image format") ||
             has(error, "is corrupt")));
      // Once the header is there, the sentence is about truncation.
      if (length > 200 && !name.ends_with(".png")) CHECK(has(error, "is truncated"));
      ++errors;
    }
    CHECK(errors > 20);
    if (!trailer) {
      const std::string error = decode_error(Bytes(whole.begin(), whole.end() - 1));
      CHECK_MESSAGE(has(error, "is truncated"), error);
    }
  }
}

TEST_CASE("a JPEG that was cut and closed again is truncated") {
  Bytes jpeg = golden_image("s2.jpg");
  jpeg.resize(jpeg.size() * 3 / 4);
  jpeg.push_back(0xFF);
  jpeg.push_back(0xD9);
  if (io::decode_image(golden_image("s2.jpg")).decoder.starts_with("stb"))
    AIKD_SKIP("stb_image accepts such files");
  CHECK(decode_error(jpeg) == "The JPEG file is truncated: its data ends before the end of the image.");
}

TEST_CASE("sizes are checked before decoding") {
  io::DecodeOptions options;
  options.limits.max_pixels = 33 * 21 - 1;
  for (const std::string name : {"s2.jpg", "c2_8.png", "RGB.bmp", "RGB.gif", "RGB.ppm", "RGB.tga"}) {
    INFO(name);
    CHECK(has(decode_error(golden_image(name), options),
              "header states an image of 33 x 21 pixels, more than the limit of 692 pixels."));
    options.limits.max_pixels = 33 * 21;
    CHECK(decode_error(golden_image(name), options) == "no error");
    options.limits.max_pixels = 33 * 21 - 1;
  }
  // Headers that promise far more than there is memory; nothing may be allocated for them.
  Bytes png = golden_image("c2_8.png");
  set_png_size(png, 0x7fffffff, 0x7fffffff);
  CHECK(decode_error(png) ==
        "The PNG header states an image of 2147483647 x 2147483647 pixels, more than the limit of 100000000 "
        "pixels.");
  Bytes jpeg = golden_image("s2.jpg");
  const std::size_t frame = find_marker(jpeg, 0xC0);
  for (std::size_t i = 0; i < 4; ++i) jpeg.at(frame + 5 + i) = 0xFF;
  const std::string error = decode_error(jpeg);
  CHECK_MESSAGE((has(error, "65535 x 65535 pixels, more than the limit") ||
                 has(error, "Maximum supported image dimension")),
                error);
  CHECK(
      has(decode_error(bmp(60000, 60000)), "60000 x 60000 pixels, more than the limit of 100000000 pixels."));
}

TEST_CASE("an image without pixels is an error") {
  Bytes png = golden_image("c2_8.png");
  set_png_size(png, 0, 21);
  CHECK(decode_error(png) ==
        "The PNG header states an image of 0 x 21 pixels; both sides must be at least 1.");
  Bytes jpeg = golden_image("s2.jpg");
  const std::size_t frame = find_marker(jpeg, 0xC0);
  jpeg.at(frame + 5) = jpeg.at(frame + 6) = 0;
  CHECK(has(decode_error(jpeg), "The JPEG file is corrupt: "));
  CHECK(decode_error(bytes_of("P6\n0 5\n255\n")) ==
        "The PNM header states an image of 0 x 5 pixels; both sides must be at least 1.");
}

TEST_CASE("corrupt data names what the decoder met") {
  Bytes png = golden_image("c2_8.png");
  png[png.size() - 14] ^= 1;  // in the checksum of IDAT
  const bool libpng = io::decode_image(golden_image("c2_8.png")).decoder.starts_with("libpng");
  if (libpng) CHECK(decode_error(png) == "The PNG file is corrupt: IDAT: CRC error.");
  Bytes jpeg = golden_image("s2.jpg");
  const std::size_t tables = find_marker(jpeg, 0xC4);
  jpeg.at(tables + 5) = 0xFF;  // 255 codes of one bit
  CHECK(has(decode_error(jpeg), "The JPEG file is corrupt: "));
  Bytes two_components = golden_image("s2.jpg");
  two_components.at(find_marker(two_components, 0xC0) + 9) = 2;
  CHECK(has(decode_error(two_components), "The JPEG file is corrupt: "));
  CHECK(decode_error(bytes_of("P5\n2 x\n255\n")) ==
        "The PNM file is corrupt: its header does not hold three numbers.");
  CHECK(decode_error(bytes_of("P5\n2 2\n65536\nabcd")) ==
        "The PNM file is corrupt: its largest sample value is not 1 to 65535.");
  CHECK(decode_error(bytes_of("P5\n99999999999 2\n255\n")) ==
        "The PNM file is corrupt: a number of its header is larger than 2^31 - 1.");
  CHECK(decode_error(bytes_of("P5\n2 2")) == "The PNM file is truncated: it ends within its header.");
  // 16-bit samples, at which stb_image wrote outside of its buffer.
  CHECK(decode_error(bytes_of("P5\n25\n2 3315\n" + std::string(100, 'x'))) == "no error");
  Bytes gif = golden_image("RGB.gif");
  for (std::size_t i = gif.size() / 2; i < gif.size(); ++i) gif[i] ^= 0x5A;
  CHECK((has(decode_error(gif), "The GIF file is ")));
}

TEST_CASE("a progressive JPEG with thousands of scans is refused") {
  // The first scan of a small progressive file again and again before the rest.
  const Bytes whole = golden_image("s0_progressive.jpg");
  const std::size_t begin = find_marker(whole, 0xDA);
  std::size_t end = begin + 2;
  while (end + 1 < whole.size() && !(whole[end] == 0xFF && whole[end + 1] != 0)) ++end;
  const auto at = [&](std::size_t offset) { return whole.begin() + static_cast<std::ptrdiff_t>(offset); };
  Bytes bomb(whole.begin(), at(begin));
  for (int i = 0; i < 600; ++i) bomb.insert(bomb.end(), at(begin), at(end));
  bomb.insert(bomb.end(), at(begin), whole.end());
  if (io::decode_image(whole).decoder.starts_with("stb")) AIKD_SKIP("stb_image has no scan limit");
  CHECK(decode_error(bomb) ==
        "The JPEG file has more than 500 progressive scans, the limit against hostile files.");
  io::DecodeOptions strict;
  strict.limits.max_jpeg_scans = 3;
  CHECK(decode_error(whole, strict) ==
        "The JPEG file has more than 3 progressive scans, the limit against hostile files.");
  CHECK(decode_error(whole) == "no error");
}
