#include <algorithm>
#include <cctype>
#include <new>
#include <string_view>

#include "aikd/preprocess.h"
#include "aikd/score_run.h"
#include "tensor/error.h"

namespace aikd {
namespace {

using Clock = std::chrono::steady_clock;

// The statuses follow from the decoder's sentences (io/image.cpp); a test of every one holds the two
// together.
ScoreStatus status_of_decode_error(std::string_view sentence) {
  const auto says = [sentence](std::string_view words) {
    return sentence.find(words) != std::string_view::npos;
  };
  if (says("not an image format")) return ScoreStatus::kUnsupported;
  if (says("is truncated") || says("is empty")) return ScoreStatus::kTruncated;
  if (says("more than the limit") || says("scans")) return ScoreStatus::kTooLarge;
  if (says("The file does not exist") || says("cannot be") || says("is a folder") || says("regular file"))
    return ScoreStatus::kUnreadable;
  return ScoreStatus::kCorrupt;
}

// "'path': sentence" without the path, which has a column of its own.
std::string without_path(const std::string& message, const std::string& path) {
  const std::string prefix = "'" + path + "': ";
  return message.starts_with(prefix) ? message.substr(prefix.size()) : message;
}

void fail_row(PreparedFace& face, ScoreStatus status, std::string error) {
  face.row.status = status;
  face.row.error = std::move(error);
  face.crop = {};
}

void align_or_resize(PreparedFace& face, const io::Image& image, const PrepareOptions& options) {
  std::optional<Landmarks> points;
  if (options.landmarks != nullptr) {
    points = options.landmarks->find(face.row.path);
    if (!points.has_value() && !options.resize_without_landmarks) {
      fail_row(face, ScoreStatus::kNoLandmarks, "The landmark file has no entry for this image.");
      return;
    }
  }
  if (!points.has_value()) {
    face.crop = resize(image, options.width, options.height, options.resize_order);
  } else {
    try {
      face.crop = align_face(image, *points, options.width, options.height);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kInput) throw;
      fail_row(face, ScoreStatus::kBadLandmarks, error.what());
      return;
    }
    face.row.aligned = true;
  }
  face.row.status = ScoreStatus::kOk;
}

}  // namespace

bool has_image_extension(const std::string& path) {
  const std::size_t dot = path.find_last_of("./");
  if (dot == std::string::npos || path[dot] != '.') return false;
  std::string extension = path.substr(dot + 1);
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  constexpr std::string_view kKnown[] = {"jpg", "jpeg", "jpe", "png", "bmp",  "gif",  "pgm",  "ppm", "pnm",
                                         "tga", "psd",  "hdr", "tif", "tiff", "webp", "heic", "avif"};
  return std::find(std::begin(kKnown), std::end(kKnown), extension) != std::end(kKnown);
}

PreparedFace prepare_face(const std::string& path, const PrepareOptions& options) {
  PreparedFace face;
  face.row.path = path;
  const auto start = Clock::now();
  try {
    const io::DecodedImage decoded = io::read_image(path, options.decode);
    face.row.width = decoded.image.width;
    face.row.height = decoded.image.height;
    align_or_resize(face, decoded.image, options);
  } catch (const Error& error) {
    const std::string sentence = without_path(error.what(), path);
    const bool decoding = error.kind() == ErrorKind::kInput;
    fail_row(face, decoding ? status_of_decode_error(sentence) : ScoreStatus::kFailed, sentence);
    face.not_an_image =
        face.row.status == ScoreStatus::kUnsupported ||
        (face.row.status == ScoreStatus::kTruncated && sentence.find("is empty") != std::string::npos);
  } catch (const std::bad_alloc&) {
    fail_row(face, ScoreStatus::kFailed, "There is not enough memory for this image.");
  } catch (const std::exception& error) {
    fail_row(face, ScoreStatus::kFailed, concat("Unexpected: ", error.what(), "."));
  }
  face.row.ms = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
  return face;
}

}  // namespace aikd
