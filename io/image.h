// Decoding and encoding of images. Formats are known by content, never by file extension.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace aikd::io {

// 8-bit RGB, rows top to bottom, 3 interleaved bytes per pixel, no padding.
struct Image {
  int width = 0;
  int height = 0;
  std::vector<std::uint8_t> pixels;  // height * width * 3

  Image() = default;
  Image(int w, int h)
      : width(w), height(h), pixels(static_cast<std::size_t>(w) * static_cast<std::size_t>(h) * 3) {}
  std::uint8_t* at(int x, int y) {
    return &pixels[(static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
                    static_cast<std::size_t>(x)) *
                   3];
  }
  const std::uint8_t* at(int x, int y) const {
    return &pixels[(static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
                    static_cast<std::size_t>(x)) *
                   3];
  }
};

struct DecodeLimits {
  std::int64_t max_pixels = 100'000'000;         // width x height, checked from the header before decoding
  std::int64_t max_bytes = 512LL * 1024 * 1024;  // size of the encoded file
  int max_jpeg_scans = 500;                      // progressive scans; hostile files have thousands
};

struct DecodeOptions {
  DecodeLimits limits;
  bool apply_exif_orientation = true;  // false: parity with the original, which ignores it
};

struct DecodedImage {
  Image image;          // after orientation
  std::string format;   // "JPEG", "PNG", "BMP", "GIF", "PNM", "TGA", "PSD", "HDR"
  std::string decoder;  // "libjpeg-turbo 2.1.5", "libpng 1.6.39", "stb_image 2.27", "built-in PNM": pixels
                        // may differ between decoders
  int exif_orientation = 1;  // as found in the file (1..8), whether applied or not
};

// Throw Error(kInput) with one sentence per way to be wrong: cannot be opened, empty, not an image this
// program knows, too large (pixels, bytes, scans), truncated, corrupt. Grey, palette, alpha, 16-bit and CMYK
// become RGB as Pillow's convert("RGB") does it. A truncated file is an error, never a half-grey picture; so
// is data damaged within (Pillow shows such JPEGs). Bytes behind the end and before a marker are tolerated,
// as by Pillow. The words of these sentences are relied on (aikd/score_prepare.cpp).
DecodedImage decode_image(std::span<const std::uint8_t> encoded, const DecodeOptions& options = {});
DecodedImage read_image(const std::filesystem::path& path, const DecodeOptions& options = {});

// Width and height from the header alone, before orientation.
struct ImageSize {
  int width = 0, height = 0;
};
ImageSize image_size(std::span<const std::uint8_t> encoded);

std::vector<std::uint8_t> encode_jpeg(const Image& image, int quality);  // baseline, 4:2:0, quality 1..100
std::vector<std::uint8_t> encode_png(const Image& image);
// By the extension of `path`: .png, .jpg/.jpeg (quality 95). Throws Error(kOutput).
void write_image(const std::filesystem::path& path, const Image& image);

}  // namespace aikd::io
