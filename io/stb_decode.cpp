// stb_image: every format that libjpeg-turbo and libpng do not decode, and those two where they are not built
// in.
#include <algorithm>
#include <climits>
#include <cstddef>
#include <cstring>
#include <memory>

#include "io/image_codecs.h"
#include "tensor/error.h"

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_NO_STDIO
#define STBI_NO_PIC
#define STBI_NO_PNM                    // io/image_pnm.cpp
#define STBI_MAX_DIMENSIONS (1 << 28)  // check_size() has the say
#include <stb/stb_image.h>

namespace aikd::io::codecs {
namespace {

// stb_image reads zeros beyond the end and returns a picture with a black or grey rest. Reading through
// callbacks shows it: its 128-byte buffer is refilled only when a byte is needed, so a refill that gets
// nothing, or a direct read (into any other place than that buffer) that gets less than it asks for, has met
// the end of the file.
struct Input {
  Bytes bytes;
  std::size_t position = 0;
  const char* refill_buffer = nullptr;  // the first read is a refill
  bool overrun = false;
};

int read_input(void* user, char* data, int size) {
  auto& in = *static_cast<Input*>(user);
  if (in.refill_buffer == nullptr) in.refill_buffer = data;
  const std::size_t left = in.bytes.size() - in.position;
  const std::size_t count = std::min(left, static_cast<std::size_t>(std::max(size, 0)));
  if (count == 0 ? size > 0 : (data != in.refill_buffer && count < static_cast<std::size_t>(size)))
    in.overrun = true;
  if (count > 0) std::memcpy(data, in.bytes.data() + in.position, count);
  in.position += count;
  return static_cast<int>(count);
}

void skip_input(void* user, int count) {
  auto& in = *static_cast<Input*>(user);
  if (count < 0) {  // stb_image steps back within what it has read
    const auto back = std::min(in.position, static_cast<std::size_t>(-static_cast<long long>(count)));
    in.position -= back;
    return;
  }
  if (static_cast<std::size_t>(count) > in.bytes.size() - in.position) in.overrun = true;
  in.position = std::min(in.bytes.size(), in.position + static_cast<std::size_t>(count));
}

int input_at_end(void* user) {
  const auto& in = *static_cast<const Input*>(user);
  return in.position >= in.bytes.size() ? 1 : 0;
}

constexpr stbi_io_callbacks kCallbacks{read_input, skip_input, input_at_end};

[[noreturn]] void fail_stb(const Input& input, Format format) {
  if (input.overrun) fail_truncated(format, "its data ends before the end of the image");
  const char* reason = stbi_failure_reason();
  fail_corrupt(format, reason == nullptr ? "stb_image cannot decode it" : reason);
}

struct Free {
  void operator()(void* memory) const { stbi_image_free(memory); }
};

}  // namespace

ImageSize stb_size(Bytes encoded, Format format) {
  require(encoded.size() <= static_cast<std::size_t>(INT_MAX), ErrorKind::kInput, "The ", name_of(format),
          " file has ", encoded.size(), " bytes; stb_image reads at most 2^31 - 1.");
  Input input{encoded};
  int width = 0, height = 0, channels = 0;
  if (stbi_info_from_callbacks(&kCallbacks, &input, &width, &height, &channels) == 0) fail_stb(input, format);
  // A header that is cut off reads as zeros.
  if ((width == 0 || height == 0) && input.position >= encoded.size())
    fail_truncated(format, "it ends within its header, or states a side of 0");
  return {width, height};
}

Pixels decode_stb(Bytes encoded, Format format, const DecodeLimits& limits) {
  const ImageSize size = stb_size(encoded, format);
  check_size(size.width, size.height, format, limits);
  Input input{encoded};
  int width = 0, height = 0, channels = 0;
  const std::unique_ptr<stbi_uc, Free> pixels(
      stbi_load_from_callbacks(&kCallbacks, &input, &width, &height, &channels, 3));
  if (pixels == nullptr || input.overrun) fail_stb(input, format);
  Pixels out{Image(width, height), "stb_image 2.27"};
  std::memcpy(out.image.pixels.data(), pixels.get(), out.image.pixels.size());
  return out;
}

}  // namespace aikd::io::codecs
