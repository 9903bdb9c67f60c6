// JPEG by libjpeg-turbo with its defaults (accurate integer DCT, smooth chroma up-sampling): the pixels of
// Pillow.
//
// libjpeg reports errors by longjmp. Every function here that calls setjmp has only trivially destructible
// locals and is called with memory that its caller owns, so that no destructor is jumped over.
#include <algorithm>
#include <csetjmp>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>

// These need size_t and FILE declared, and this order.
#include <jpeglib.h>

#include <jerror.h>

#include "io/image_codecs.h"
#include "tensor/error.h"

#define AIKD_STRING_OF(x) #x
#define AIKD_EXPANDED_STRING_OF(x) AIKD_STRING_OF(x)

namespace aikd::io::codecs {
namespace {

enum class Trouble { kNone, kTruncated, kCorrupt, kScans };

struct ErrorState {
  jpeg_error_mgr base;  // first: libjpeg hands back a pointer to it
  std::jmp_buf jump;
  Trouble trouble;
  char message[JMSG_LENGTH_MAX];
};

[[noreturn]] void leave(j_common_ptr info, Trouble trouble) {
  auto* state = reinterpret_cast<ErrorState*>(info->err);
  state->trouble = trouble;
  (*info->err->format_message)(info, state->message);
  std::longjmp(state->jump, 1);
}

void error_exit(j_common_ptr info) {
  leave(info, Trouble::kCorrupt);
}

// libjpeg warns and goes on, with grey where data is missing. Pillow and OpenCV show such pictures silently;
// a score of one would be worse than none, so damage to the pixels is an error here. Warnings that leave the
// pixels whole (extraneous bytes before a marker, odd version numbers, inconsistent progression order) are
// ignored.
void emit_message(j_common_ptr info, int level) {
  if (level >= 0) return;
  switch (info->err->msg_code) {
    case JWRN_HIT_MARKER:
    case JWRN_JPEG_EOF:
      leave(info, Trouble::kTruncated);
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_MUST_RESYNC:
      leave(info, Trouble::kCorrupt);
    default:
      break;
  }
}

void init_errors(ErrorState& state) {
  jpeg_std_error(&state.base);
  state.base.error_exit = error_exit;
  state.base.emit_message = emit_message;
  state.base.output_message = [](j_common_ptr) {};
  state.trouble = Trouble::kNone;
  state.message[0] = '\0';
}

void at_end_of_input(j_decompress_ptr info) {
  info->err->msg_code = JWRN_JPEG_EOF;
  leave(reinterpret_cast<j_common_ptr>(info), Trouble::kTruncated);
}

struct ScanMonitor {
  jpeg_progress_mgr base;  // first: libjpeg hands back a pointer to it
  int max_scans;
};

class Decompressor {
 public:
  Decompressor(Bytes encoded, int max_scans) {
    std::memset(&info_, 0, sizeof info_);
    init_errors(errors_);
    info_.err = &errors_.base;
    source_ = {};
    source_.next_input_byte = encoded.data();
    source_.bytes_in_buffer = encoded.size();
    source_.init_source = [](j_decompress_ptr) {};
    source_.term_source = [](j_decompress_ptr) {};
    source_.resync_to_restart = jpeg_resync_to_restart;
    source_.fill_input_buffer = [](j_decompress_ptr info) -> boolean {
      at_end_of_input(info);
      return FALSE;
    };
    source_.skip_input_data = [](j_decompress_ptr info, long count) {
      if (count <= 0) return;
      if (static_cast<std::size_t>(count) > info->src->bytes_in_buffer) at_end_of_input(info);
      info->src->next_input_byte += count;
      info->src->bytes_in_buffer -= static_cast<std::size_t>(count);
    };
    monitor_ = {};
    monitor_.max_scans = max_scans;
    monitor_.base.progress_monitor = [](j_common_ptr common) {
      const auto* monitor = reinterpret_cast<const ScanMonitor*>(common->progress);
      if (reinterpret_cast<j_decompress_ptr>(common)->input_scan_number > monitor->max_scans)
        leave(common, Trouble::kScans);
    };
  }
  ~Decompressor() { jpeg_destroy_decompress(&info_); }
  Decompressor(const Decompressor&) = delete;
  Decompressor& operator=(const Decompressor&) = delete;

  // Each step returns false when libjpeg has jumped out of it.
  bool read_header() {
    if (setjmp(errors_.jump) != 0) return false;
    jpeg_create_decompress(&info_);
    info_.src = &source_;
    info_.progress = &monitor_.base;
    jpeg_read_header(&info_, TRUE);
    return true;
  }

  bool start() {
    if (setjmp(errors_.jump) != 0) return false;
    info_.out_color_space = info_.num_components == 4 ? JCS_CMYK : JCS_RGB;
    jpeg_start_decompress(&info_);
    return true;
  }

  // rgb: output_height rows of output_width pixels; cmyk_row: one row of 4 bytes per pixel where the image is
  // CMYK.
  bool read_rows(std::uint8_t* rgb, std::uint8_t* cmyk_row) {
    if (setjmp(errors_.jump) != 0) return false;
    const std::size_t width = info_.output_width;
    while (info_.output_scanline < info_.output_height) {
      std::uint8_t* const out = rgb + std::size_t{info_.output_scanline} * width * 3;
      JSAMPROW row = info_.num_components == 4 ? cmyk_row : out;
      jpeg_read_scanlines(&info_, &row, 1);
      if (info_.num_components == 4) cmyk_to_rgb(cmyk_row, out, width);
    }
    jpeg_finish_decompress(&info_);
    return true;
  }

  const jpeg_decompress_struct& info() const { return info_; }

  [[noreturn]] void fail() const {
    switch (errors_.trouble) {
      case Trouble::kTruncated:
        fail_truncated(Format::kJpeg, "its data ends before the end of the image");
      case Trouble::kScans:
        aikd::fail(ErrorKind::kInput, "The JPEG file has more than ", monitor_.max_scans,
                   " progressive scans, the limit against hostile files.");
      default:
        fail_corrupt(Format::kJpeg, errors_.message);
    }
  }

 private:
  // Pillow takes every CMYK JPEG as inverted, as Adobe writes it ("CMYK;I"), and converts with
  // R = clip((255 - K) - C (255 - K) / 255)  written in its integers: nk - MULDIV255(C, nk), nk = 255 - K.
  // Un-inverting gives C = 255 - c, so nk is the stored k itself.
  static void cmyk_to_rgb(const std::uint8_t* cmyk, std::uint8_t* rgb, std::size_t width) {
    for (std::size_t x = 0; x < width; ++x, cmyk += 4, rgb += 3) {
      const int nk = cmyk[3];
      for (int c = 0; c < 3; ++c) {
        const int product = (255 - cmyk[c]) * nk + 128;
        rgb[c] = static_cast<std::uint8_t>(std::max(0, nk - (((product >> 8) + product) >> 8)));
      }
    }
  }

  jpeg_decompress_struct info_;
  ErrorState errors_;
  jpeg_source_mgr source_;
  ScanMonitor monitor_;
};

// The compressor and the buffer that jpeg_mem_dest() allocates with malloc.
class Compressor {
 public:
  Compressor() {
    std::memset(&info_, 0, sizeof info_);
    init_errors(errors_);
    info_.err = &errors_.base;
  }
  ~Compressor() {
    jpeg_destroy_compress(&info_);
    std::free(buffer_);
  }
  Compressor(const Compressor&) = delete;
  Compressor& operator=(const Compressor&) = delete;

  bool run(const std::uint8_t* rgb, int width, int height, int quality) {
    if (setjmp(errors_.jump) != 0) return false;
    jpeg_create_compress(&info_);
    jpeg_mem_dest(&info_, &buffer_, &size_);
    info_.image_width = static_cast<JDIMENSION>(width);
    info_.image_height = static_cast<JDIMENSION>(height);
    info_.input_components = 3;
    info_.in_color_space = JCS_RGB;
    jpeg_set_defaults(&info_);
    jpeg_set_quality(&info_, quality, TRUE);
    jpeg_start_compress(&info_, TRUE);
    while (info_.next_scanline < info_.image_height) {
      const std::size_t offset = std::size_t{info_.next_scanline} * static_cast<std::size_t>(width) * 3;
      JSAMPROW row = const_cast<JSAMPROW>(rgb + offset);  // libjpeg does not write to its input
      jpeg_write_scanlines(&info_, &row, 1);
    }
    jpeg_finish_compress(&info_);
    return true;
  }

  std::vector<std::uint8_t> bytes() const { return {buffer_, buffer_ + size_}; }
  const char* message() const { return errors_.message; }

 private:
  jpeg_compress_struct info_;
  ErrorState errors_;
  unsigned char* buffer_ = nullptr;
  unsigned long size_ = 0;
};

}  // namespace

ImageSize jpeg_size(Bytes encoded) {
  Decompressor decompressor(encoded, 1);
  if (!decompressor.read_header()) decompressor.fail();
  return {static_cast<int>(decompressor.info().image_width),
          static_cast<int>(decompressor.info().image_height)};
}

Pixels decode_jpeg(Bytes encoded, const DecodeLimits& limits) {
  Decompressor decompressor(encoded, limits.max_jpeg_scans);
  if (!decompressor.read_header()) decompressor.fail();
  const jpeg_decompress_struct& info = decompressor.info();
  check_size(info.image_width, info.image_height, Format::kJpeg, limits);
  require(info.num_components == 1 || info.num_components == 3 || info.num_components == 4, ErrorKind::kInput,
          "The JPEG file has ", info.num_components,
          " colour components; expected 1 (grey), 3 (colour) or 4 (CMYK).");
  if (!decompressor.start()) decompressor.fail();
  Pixels out{Image(static_cast<int>(info.output_width), static_cast<int>(info.output_height)),
             "libjpeg-turbo " AIKD_EXPANDED_STRING_OF(LIBJPEG_TURBO_VERSION)};
  std::vector<std::uint8_t> cmyk_row(info.num_components == 4 ? std::size_t{info.output_width} * 4 : 0);
  if (!decompressor.read_rows(out.image.pixels.data(), cmyk_row.data())) decompressor.fail();
  return out;
}

std::vector<std::uint8_t> encode_jpeg(const Image& image, int quality) {
  Compressor compressor;
  require(compressor.run(image.pixels.data(), image.width, image.height, quality), ErrorKind::kOutput,
          "The image cannot be encoded as JPEG: ", compressor.message(), ".");
  return compressor.bytes();
}

}  // namespace aikd::io::codecs
