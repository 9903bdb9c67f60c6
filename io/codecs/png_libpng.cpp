// PNG by libpng: the stored samples, brought to RGB as Pillow's convert("RGB") brings them. Alpha,
// transparency, gamma and colour profiles do not touch the pixels.
//
// libpng reports errors by longjmp. Every function here that calls setjmp has only trivially destructible
// locals and works on memory that its caller owns, so that no destructor is jumped over.
#include <png.h>

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <new>

#include "io/image_codecs.h"
#include "tensor/error.h"

namespace aikd::io::codecs {
namespace {

struct ErrorState {
  bool truncated = false;
  char message[256] = "";
};

void on_error(png_structp png, png_const_charp message) {
  auto* state = static_cast<ErrorState*>(png_get_error_ptr(png));
  std::snprintf(state->message, sizeof state->message, "%s", message);
  png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}

// Chunks that say nothing about the stored samples; not even parsed, because text and profiles may be
// compressed bombs.
constexpr char kSkippedChunks[] =
    "cHRM\0gAMA\0iCCP\0sRGB\0sBIT\0tEXt\0zTXt\0iTXt\0tIME\0pHYs\0sPLT\0hIST\0bKGD\0eXIf";

class Reader {
 public:
  explicit Reader(Bytes encoded) : input_(encoded) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, &errors_, on_error, on_warning);
    info_ = png_ == nullptr ? nullptr : png_create_info_struct(png_);
    if (info_ == nullptr) {
      png_destroy_read_struct(&png_, nullptr, nullptr);
      throw std::bad_alloc();
    }
  }
  ~Reader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  bool read_header() {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    png_set_read_fn(png_, this, [](png_structp png, png_bytep out, std::size_t count) {
      auto* self = static_cast<Reader*>(png_get_io_ptr(png));
      if (count > self->input_.size() - self->position_) {
        self->errors_.truncated = true;
        png_error(png, "end of file");
      }
      std::memcpy(out, self->input_.data() + self->position_, count);
      self->position_ += count;
    });
    png_set_user_limits(png_, 0x7fffffff, 0x7fffffff);  // check_size() has the say
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, 0);
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER,
                                reinterpret_cast<png_const_bytep>(kSkippedChunks),
                                static_cast<int>(sizeof kSkippedChunks / 5));
    png_read_info(png_, info_);
    png_set_packing(png_);  // 1, 2 and 4 bits: one byte per sample, value unchanged
    passes_ = png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    return true;
  }

  int width() const { return static_cast<int>(png_get_image_width(png_, info_)); }
  int height() const { return static_cast<int>(png_get_image_height(png_, info_)); }
  int color_type() const { return png_get_color_type(png_, info_); }
  bool interlaced() const { return passes_ > 1; }
  std::size_t row_bytes() const { return png_get_rowbytes(png_, info_); }

  // Entries beyond the palette are black, as in Pillow. `stored_bits` is the file's depth, 1 to 16.
  void prepare(int stored_bits) {
    bits_ = stored_bits;
    png_colorp colors = nullptr;
    int count = 0;
    if (png_get_PLTE(png_, info_, &colors, &count) == 0) return;
    for (int i = 0; i < std::min(count, 256); ++i)
      palette_[static_cast<std::size_t>(i)] = {colors[i].red, colors[i].green, colors[i].blue};
  }

  // rgb: height x width x 3. raw: one row of row_bytes(), or all rows where the file is interlaced.
  bool read_rows(std::uint8_t* rgb, std::uint8_t* raw) {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    const auto rows = static_cast<std::size_t>(height());
    const std::size_t out_stride = static_cast<std::size_t>(width()) * 3, raw_stride = row_bytes();
    for (int pass = 0; pass + 1 < passes_; ++pass)
      for (std::size_t y = 0; y < rows; ++y) png_read_row(png_, raw + y * raw_stride, nullptr);
    for (std::size_t y = 0; y < rows; ++y) {
      std::uint8_t* row = interlaced() ? raw + y * raw_stride : raw;
      png_read_row(png_, row, nullptr);
      to_rgb(row, rgb + y * out_stride);
    }
    png_read_end(png_, nullptr);
    return true;
  }

  [[noreturn]] void fail() const {
    if (errors_.truncated) fail_truncated(Format::kPng, "its data ends before the end of the image");
    fail_corrupt(Format::kPng, errors_.message);
  }

 private:
  void to_rgb(const std::uint8_t* in, std::uint8_t* out) const {
    const auto n = static_cast<std::size_t>(width());
    const std::size_t sample =
        bits_ == 16 ? 2 : 1;  // 16-bit samples are big-endian: the first byte is the high one
    switch (color_type()) {
      case PNG_COLOR_TYPE_PALETTE:
        for (std::size_t x = 0; x < n; ++x) std::copy_n(palette_[in[x]].data(), 3, out + 3 * x);
        break;
      case PNG_COLOR_TYPE_GRAY:
        // 16 bits are Pillow's mode I;16, whose conversion clips; fewer than 8 are scaled to 0..255.
        for (std::size_t x = 0; x < n; ++x) {
          const unsigned value =
              bits_ == 16 ? (in[2 * x] != 0 ? 255U : in[2 * x + 1]) : in[x] * 255U / ((1U << bits_) - 1U);
          std::fill_n(out + 3 * x, 3, static_cast<std::uint8_t>(value));
        }
        break;
      case PNG_COLOR_TYPE_GRAY_ALPHA:
        for (std::size_t x = 0; x < n; ++x) std::fill_n(out + 3 * x, 3, in[2 * sample * x]);
        break;
      default: {
        const std::size_t pixel = (color_type() == PNG_COLOR_TYPE_RGB_ALPHA ? 4 : 3) * sample;
        for (std::size_t x = 0; x < n; ++x)
          for (std::size_t c = 0; c < 3; ++c) out[3 * x + c] = in[pixel * x + c * sample];
      }
    }
  }

  Bytes input_;
  std::size_t position_ = 0;
  ErrorState errors_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  int passes_ = 1;
  int bits_ = 8;
  std::array<std::array<std::uint8_t, 3>, 256> palette_{};
};

class Writer {
 public:
  Writer() {
    png_ = png_create_write_struct(PNG_LIBPNG_VER_STRING, &errors_, on_error, on_warning);
    info_ = png_ == nullptr ? nullptr : png_create_info_struct(png_);
    if (info_ == nullptr) {
      png_destroy_write_struct(&png_, nullptr);
      throw std::bad_alloc();
    }
  }
  ~Writer() { png_destroy_write_struct(&png_, &info_); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  bool run(const std::uint8_t* rgb, int width, int height) {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    png_set_write_fn(png_, this, append, [](png_structp) {});
    png_set_user_limits(png_, 0x7fffffff, 0x7fffffff);
    png_set_IHDR(png_, info_, static_cast<png_uint_32>(width), static_cast<png_uint_32>(height), 8,
                 PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png_, info_);
    for (int y = 0; y < height; ++y)
      png_write_row(png_, rgb + static_cast<std::size_t>(y) * static_cast<std::size_t>(width) * 3);
    png_write_end(png_, nullptr);
    return true;
  }

  std::vector<std::uint8_t> take() { return std::move(bytes_); }
  const char* message() const { return errors_.message; }

 private:
  static void append(png_structp png, png_bytep data, std::size_t count) {
    auto& bytes = static_cast<Writer*>(png_get_io_ptr(png))->bytes_;
    bool out_of_memory = false;
    try {
      bytes.insert(bytes.end(), data, data + count);
    } catch (const std::bad_alloc&) {
      out_of_memory = true;  // libpng's C frames cannot be unwound: its own error, outside of the handler
    }
    if (out_of_memory) png_error(png, "out of memory");
  }

  ErrorState errors_;
  std::vector<std::uint8_t> bytes_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
};

}  // namespace

Pixels decode_png(Bytes encoded, const DecodeLimits& limits) {
  const ImageSize size = png_size(encoded);
  check_size(size.width, size.height, Format::kPng, limits);
  Reader reader(encoded);
  if (!reader.read_header()) reader.fail();
  reader.prepare(encoded[24]);  // IHDR's bit depth, which libpng has checked
  Pixels out{Image(reader.width(), reader.height()), std::string("libpng ") + png_get_libpng_ver(nullptr)};
  const std::size_t raw_rows = reader.interlaced() ? static_cast<std::size_t>(reader.height()) : 1;
  std::vector<std::uint8_t> raw(reader.row_bytes() * raw_rows);
  if (!reader.read_rows(out.image.pixels.data(), raw.data())) reader.fail();
  return out;
}

std::vector<std::uint8_t> encode_png(const Image& image) {
  Writer writer;
  require(writer.run(image.pixels.data(), image.width, image.height), ErrorKind::kOutput,
          "The image cannot be encoded as PNG: ", writer.message(), ".");
  return writer.take();
}

}  // namespace aikd::io::codecs
