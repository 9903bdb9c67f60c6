// Scoring many images: workers decode and align ahead of the network, the network scores batches, rows come
// out in the order of the inputs. Nothing here prints, and the network is a function, so that all of it can
// be tested without one.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "aikd/landmark_file.h"
#include "aikd/score_row.h"
#include "aikd/scorer.h"
#include "io/image.h"

namespace aikd {

struct PrepareOptions {
  io::DecodeOptions decode;
  const LandmarkFile* landmarks = nullptr;  // null: every image is resized
  bool resize_without_landmarks = false;    // an image without an entry is resized instead of failing
  int width = 112, height = 112;            // what the network takes
  kernels::ResizeOrder resize_order = kernels::ResizeOrder::kHorizontalFirst;
};

struct PreparedFace {
  ScoreRow row;               // status kOk: ready to be scored
  io::Image crop;             // width x height; empty unless ok
  bool not_an_image = false;  // the content is no image at all (or empty)
};
// Decodes and aligns (or resizes) one image. Never throws for the image's sake: what is wrong with it stands
// in the row.
PreparedFace prepare_face(const std::string& path, const PrepareOptions& options);

struct ScoreInput {
  std::string path;
  // Found in a folder, not named by the user: passed over without a row when it is no image and is not named
  // like one (has_image_extension).
  bool from_folder = false;
};
// .jpg .jpeg .jpe .png .bmp .gif .pgm .ppm .pnm .tga .psd .hdr .tif .tiff .webp .heic .avif, any case:
// somebody meant it to be an image.
bool has_image_extension(const std::string& path);

// Called by one thread at a time, not always the same one.
class ScoreSource {
 public:
  virtual ~ScoreSource() = default;
  virtual std::optional<ScoreInput> next() = 0;  // may wait
  virtual void cancel() = 0;  // from any thread: a waiting next() gives nothing soon, as do all later ones
};

struct ScoredFace {
  const ScoreRow& row;
  const io::Image& crop;             // empty unless row.ok() or the status is kNonFinite
  std::span<const float> embedding;  // empty unless asked for and row.ok()
};

// Called on the thread that called run_scores, in input order. May throw: the run ends and run_scores
// rethrows.
class ScoreSink {
 public:
  virtual ~ScoreSink() = default;
  virtual void row(const ScoredFace& face) = 0;
  virtual void flush() = 0;  // after each group of rows: what is known should now leave the program
  virtual void passed_over(const std::string& path) = 0;  // see ScoreInput::from_folder
};

// n crops -> n scores; embeddings: n x embedding_size floats to fill, or empty.
using ScoreBatch = std::function<std::vector<Score>(std::span<const std::uint8_t> crops, std::int64_t n,
                                                    std::span<float> embeddings)>;

struct ScoreRunOptions {
  PrepareOptions prepare;
  int workers = 1;                  // threads that decode; 0: the calling thread does it between batches
  int batch = 8;                    // most images per call of the network
  std::int64_t embedding_size = 0;  // > 0: embeddings are asked for
  // A batch that cannot be filled for this long is run as it is (a slow list on standard input).
  std::chrono::milliseconds patience{50};
  std::function<bool()> stop = [] { return false; };  // true: take no more inputs, finish those begun
};

struct ScoreRunCounts {
  std::int64_t scored = 0, failed = 0, passed_over = 0;
};

// Runs until the source ends or `stop`. Memory: at most 2 batch + workers prepared images. When the network,
// the source or the sink throws, the rows before have been given to the sink and the exception is passed on.
ScoreRunCounts run_scores(ScoreSource& source, const ScoreBatch& score_batch, ScoreSink& sink,
                          const ScoreRunOptions& options);

}  // namespace aikd
