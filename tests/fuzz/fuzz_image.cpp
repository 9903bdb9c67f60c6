// libFuzzer: no bytes may crash the decoders, leak, run for long or allocate much more than the limits say.
#include <cstdint>
#include <cstdlib>

#include "io/image.h"
#include "tensor/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  aikd::io::DecodeOptions options;
  options.limits.max_pixels = 1 << 20;
  options.limits.max_jpeg_scans = 20;
  try {
    const aikd::io::DecodedImage decoded = aikd::io::decode_image({data, size}, options);
    const aikd::io::Image& image = decoded.image;
    const auto bytes = static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.height) * 3;
    if (image.width < 1 || image.height < 1 || image.pixels.size() != bytes || decoded.exif_orientation < 1 ||
        decoded.exif_orientation > 8)
      std::abort();
    const aikd::io::ImageSize stated = aikd::io::image_size({data, size});
    if (std::int64_t{stated.width} * stated.height != std::int64_t{image.width} * image.height) std::abort();
  } catch (const aikd::Error& error) {
    if (error.kind() != aikd::ErrorKind::kInput) std::abort();
  }
  return 0;
}
