// PNG where libpng is not built in. The same pixels, except 16-bit grey (high byte instead of Pillow's
// clipping) and transparency of palette images; checksums are not verified.
#include <algorithm>

#include "io/image_codecs.h"
#include "tensor/error.h"

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBI_WRITE_NO_STDIO
#include <stb/stb_image_write.h>

namespace aikd::io::codecs {

Pixels decode_png(Bytes encoded, const DecodeLimits& limits) {
  const ImageSize size = png_size(encoded);
  check_size(size.width, size.height, Format::kPng, limits);
  return decode_stb(encoded, Format::kPng, limits);
}

std::vector<std::uint8_t> encode_png(const Image& image) {
  std::vector<std::uint8_t> bytes;
  const auto append = [](void* user, void* data, int count) {
    const auto* begin = static_cast<const std::uint8_t*>(data);
    auto& out = *static_cast<std::vector<std::uint8_t>*>(user);
    out.insert(out.end(), begin, begin + count);
  };
  require(stbi_write_png_to_func(append, &bytes, image.width, image.height, 3, image.pixels.data(),
                                 image.width * 3) != 0,
          ErrorKind::kOutput, "The image cannot be encoded as PNG by stb_image_write.");
  return bytes;
}

}  // namespace aikd::io::codecs
