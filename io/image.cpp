#include "io/image.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <system_error>

#include "io/image_codecs.h"
#include "io/image_exif.h"
#include "tensor/error.h"

namespace aikd::io {
namespace fs = std::filesystem;
using codecs::Format;

namespace {

Format require_known(codecs::Bytes encoded) {
  require(!encoded.empty(), ErrorKind::kInput, "The file is empty (0 bytes).");
  const Format format = codecs::detect_format(encoded);
  if (format == Format::kUnknown) {
    const std::string_view what = codecs::describe_unknown(encoded);
    fail(ErrorKind::kInput, "The content is not an image format this program knows",
         what.empty() ? "" : concat(" (it looks like ", what, ")"),
         "; expected JPEG, PNG, BMP, GIF, PNM, TGA, PSD or HDR.");
  }
  return format;
}

codecs::Pixels decode_pixels(codecs::Bytes encoded, Format format, const DecodeLimits& limits) {
  switch (format) {
    case Format::kJpeg:
      return codecs::decode_jpeg(encoded, limits);
    case Format::kPng:
      return codecs::decode_png(encoded, limits);
    case Format::kPnm:
      return codecs::decode_pnm(encoded, limits);
    default:
      return codecs::decode_stb(encoded, format, limits);
  }
}

void check_bytes(std::uintmax_t bytes, const DecodeLimits& limits) {
  require(bytes <= static_cast<std::uintmax_t>(std::max<std::int64_t>(limits.max_bytes, 0)),
          ErrorKind::kInput, "The file has ", bytes, " bytes, more than the limit of ", limits.max_bytes,
          " bytes.");
}

std::vector<std::uint8_t> read_bytes(const fs::path& path, const DecodeLimits& limits) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  require(fs::exists(status), ErrorKind::kInput, "The file does not exist.");
  require(!fs::is_directory(status), ErrorKind::kInput, "The path is a folder, not an image file.");
  // A pipe or a device could block for ever or never end.
  require(fs::is_regular_file(status), ErrorKind::kInput, "The path is not a regular file.");
  std::ifstream in(path, std::ios::binary);
  require(in.is_open(), ErrorKind::kInput, "The file cannot be opened: ", std::strerror(errno), ".");
  in.seekg(0, std::ios::end);
  const std::streamoff size = in.tellg();
  require(size >= 0, ErrorKind::kInput, "The size of the file cannot be determined.");
  check_bytes(static_cast<std::uintmax_t>(size), limits);
  in.seekg(0);
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(size));
  in.read(reinterpret_cast<char*>(bytes.data()), size);
  require(in.gcount() == size, ErrorKind::kInput, "The file cannot be read: ", in.gcount(), " of ", size,
          " bytes came.");
  return bytes;
}

void check_image(const Image& image) {
  require(image.width > 0 && image.height > 0 &&
              image.pixels.size() ==
                  static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.height) * 3,
          ErrorKind::kInternal,
          "An image to be encoded must have sides of at least 1 and 3 bytes per pixel; got ", image.width,
          " x ", image.height, " and ", image.pixels.size(), " bytes.");
}

}  // namespace

DecodedImage decode_image(std::span<const std::uint8_t> encoded, const DecodeOptions& options) {
  check_bytes(encoded.size(), options.limits);
  const Format format = require_known(encoded);
  codecs::Pixels pixels = decode_pixels(encoded, format, options.limits);
  DecodedImage out;
  out.format = codecs::name_of(format);
  out.decoder = std::move(pixels.decoder);
  if (format == Format::kJpeg) out.exif_orientation = jpeg_orientation(encoded);
  if (format == Format::kPng) out.exif_orientation = png_orientation(encoded);
  out.image = options.apply_exif_orientation
                  ? apply_orientation(std::move(pixels.image), out.exif_orientation)
                  : std::move(pixels.image);
  return out;
}

DecodedImage read_image(const fs::path& path, const DecodeOptions& options) {
  try {
    return decode_image(read_bytes(path, options.limits), options);
  } catch (const Error& error) {
    throw Error(error.kind(), concat("'", path.string(), "': ", error.what()));
  }
}

ImageSize image_size(std::span<const std::uint8_t> encoded) {
  const Format format = require_known(encoded);
  switch (format) {
    case Format::kJpeg:
      return codecs::jpeg_size(encoded);
    case Format::kPng:
      return codecs::png_size(encoded);
    case Format::kPnm:
      return codecs::pnm_size(encoded);
    default:
      return codecs::stb_size(encoded, format);
  }
}

std::vector<std::uint8_t> encode_jpeg(const Image& image, int quality) {
  check_image(image);
  require(quality >= 1 && quality <= 100, ErrorKind::kUsage, "The JPEG quality must be 1 to 100; got ",
          quality, ".");
  require(image.width <= 65500 && image.height <= 65500, ErrorKind::kOutput,
          "A JPEG image can be at most 65500 pixels wide and high; got ", image.width, " x ", image.height,
          ".");
  return codecs::encode_jpeg(image, quality);
}

std::vector<std::uint8_t> encode_png(const Image& image) {
  check_image(image);
  return codecs::encode_png(image);
}

void write_image(const fs::path& path, const Image& image) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const bool png = extension == ".png", jpeg = extension == ".jpg" || extension == ".jpeg";
  require(png || jpeg, ErrorKind::kOutput, "'", path.string(), "' cannot be written: its extension is '",
          extension, "'; expected .png, .jpg or .jpeg.");
  const std::vector<std::uint8_t> bytes = png ? encode_png(image) : encode_jpeg(image, 95);
  std::ofstream out(path, std::ios::binary);
  require(out.is_open(), ErrorKind::kOutput, "'", path.string(),
          "' cannot be written: ", std::strerror(errno), ".");
  out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  out.close();
  require(!out.fail(), ErrorKind::kOutput, "'", path.string(),
          "' cannot be written completely: ", std::strerror(errno), ".");
}

}  // namespace aikd::io
