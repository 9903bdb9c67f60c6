// JPEG where libjpeg-turbo is not built in. stb_image's pixels differ from libjpeg's by a grey level or two
// (another inverse DCT and up-sampling), and it does not decode arithmetic coding.
#include "io/image_codecs.h"
#include "tensor/error.h"

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBI_WRITE_NO_STDIO
#include <stb/stb_image_write.h>

namespace aikd::io::codecs {

ImageSize jpeg_size(Bytes encoded) {
  return stb_size(encoded, Format::kJpeg);
}

Pixels decode_jpeg(Bytes encoded, const DecodeLimits& limits) {
  return decode_stb(encoded, Format::kJpeg, limits);
}

std::vector<std::uint8_t> encode_jpeg(const Image& image, int quality) {
  std::vector<std::uint8_t> bytes;
  const auto append = [](void* user, void* data, int count) {
    const auto* begin = static_cast<const std::uint8_t*>(data);
    auto& out = *static_cast<std::vector<std::uint8_t>*>(user);
    out.insert(out.end(), begin, begin + count);
  };
  require(
      stbi_write_jpg_to_func(append, &bytes, image.width, image.height, 3, image.pixels.data(), quality) != 0,
      ErrorKind::kOutput, "The image cannot be encoded as JPEG by stb_image_write.");
  return bytes;
}

}  // namespace aikd::io::codecs
