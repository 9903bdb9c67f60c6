// Binary PGM and PPM (Netpbm's formats P5 and P6), with Pillow's scaling. Not left to stb_image 2.27, which
// writes outside of its buffer for samples of 16 bits.
#include <algorithm>
#include <cmath>
#include <cstddef>

#include "io/image_codecs.h"
#include "tensor/error.h"

namespace aikd::io::codecs {
namespace {

struct Header {
  std::int64_t width = 0, height = 0, max_value = 0;
  std::size_t data = 0;  // offset of the first sample
};

bool is_space(std::uint8_t c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

// The next decimal number; comments from # to the end of the line may stand before it.
std::int64_t read_number(Bytes b, std::size_t& at) {
  while (at < b.size() && (is_space(b[at]) || b[at] == '#')) {
    if (b[at] == '#')
      while (at < b.size() && b[at] != '\n' && b[at] != '\r') ++at;
    else
      ++at;
  }
  std::int64_t value = 0;
  const std::size_t begin = at;
  for (; at < b.size() && b[at] >= '0' && b[at] <= '9'; ++at) {
    value = value * 10 + (b[at] - '0');
    if (value > 0x7fffffff) fail_corrupt(Format::kPnm, "a number of its header is larger than 2^31 - 1");
  }
  if (at == b.size()) fail_truncated(Format::kPnm, "it ends within its header");
  if (at == begin || !is_space(b[at])) fail_corrupt(Format::kPnm, "its header does not hold three numbers");
  return value;
}

Header read_header(Bytes b) {
  Header header;
  std::size_t at = 2;
  header.width = read_number(b, at);
  header.height = read_number(b, at);
  header.max_value = read_number(b, at);
  if (header.max_value < 1 || header.max_value > 65535)
    fail_corrupt(Format::kPnm, "its largest sample value is not 1 to 65535");
  header.data = at + 1;  // exactly one white space
  return header;
}

}  // namespace

ImageSize pnm_size(Bytes encoded) {
  const Header header = read_header(encoded);
  return {static_cast<int>(header.width), static_cast<int>(header.height)};
}

Pixels decode_pnm(Bytes encoded, const DecodeLimits& limits) {
  const Header header = read_header(encoded);
  check_size(header.width, header.height, Format::kPnm, limits);
  const bool color = encoded[1] == '6', wide = header.max_value > 255;
  const std::size_t pixels = static_cast<std::size_t>(header.width) * static_cast<std::size_t>(header.height);
  const std::size_t samples = pixels * (color ? 3 : 1);
  if (encoded.size() - header.data < samples * (wide ? 2 : 1))
    fail_truncated(Format::kPnm, "its data ends before the end of the image");
  const std::uint8_t* in = encoded.data() + header.data;
  const auto max_value = static_cast<double>(header.max_value);
  // Pillow scales to 0..255; grey of 16 bits to 0..65535, which its convert("RGB") then clips (as for PNG).
  const double scale = wide && !color ? 65535.0 : 255.0;
  const auto sample = [&](std::size_t i) {
    const unsigned value = wide ? (unsigned{in[2 * i]} << 8) | in[2 * i + 1] : in[i];
    return static_cast<std::uint8_t>(std::min(255.0, std::nearbyint(value / max_value * scale)));
  };
  Pixels out{Image(static_cast<int>(header.width), static_cast<int>(header.height)), "built-in PNM"};
  for (std::size_t i = 0; i < pixels * 3; ++i) out.image.pixels[i] = sample(color ? i : i / 3);
  return out;
}

}  // namespace aikd::io::codecs
