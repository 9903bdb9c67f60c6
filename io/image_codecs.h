// The decoders and encoders behind io/image.h. JPEG and PNG have two sources each in io/codecs/, of which
// CMake picks one: the library's (libjpeg-turbo, libpng), or stb_image's where that library is not built in.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/image.h"

namespace aikd::io::codecs {

using Bytes = std::span<const std::uint8_t>;

enum class Format { kUnknown, kJpeg, kPng, kBmp, kGif, kPnm, kTga, kPsd, kHdr };

// By the first bytes; TGA, which has no signature, by the plausibility of its header.
Format detect_format(Bytes encoded) noexcept;
std::string_view name_of(Format format) noexcept;
// What the file seems to be when detect_format() does not know it ("a WebP image"), or "" when that is
// unknown too.
std::string_view describe_unknown(Bytes encoded) noexcept;

// Throws Error(kInput) for a side below 1 and for more than limits.max_pixels.
void check_size(std::int64_t width, std::int64_t height, Format format, const DecodeLimits& limits);

[[noreturn]] void fail_truncated(Format format, std::string_view detail);
[[noreturn]] void fail_corrupt(Format format, std::string_view detail);

struct Pixels {
  Image image;
  std::string decoder;
};

ImageSize jpeg_size(Bytes encoded);
Pixels decode_jpeg(Bytes encoded, const DecodeLimits& limits);
std::vector<std::uint8_t> encode_jpeg(const Image& image, int quality);

ImageSize png_size(Bytes encoded);  // in image_format.cpp: the header is read the same way by both
Pixels decode_png(Bytes encoded, const DecodeLimits& limits);
std::vector<std::uint8_t> encode_png(const Image& image);

ImageSize pnm_size(Bytes encoded);
Pixels decode_pnm(Bytes encoded, const DecodeLimits& limits);

// BMP, GIF, TGA, PSD and HDR; JPEG and PNG for the sources in codecs/ that stand in for a library.
ImageSize stb_size(Bytes encoded, Format format);
Pixels decode_stb(Bytes encoded, Format format, const DecodeLimits& limits);

}  // namespace aikd::io::codecs
