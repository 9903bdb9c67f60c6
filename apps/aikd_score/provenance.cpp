#include "apps/aikd_score/provenance.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include "aikd/score_row.h"
#include "io/atomic_file.h"
#include "io/sha256.h"
#include "io/text.h"
#include "tensor/config.h"
#include "tensor/error.h"

namespace aikd::apps {
namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
namespace {

Json read_sidecar(const std::string& output) {
  const std::string path = sidecar_path(output);
  std::ifstream in(path, std::ios::binary);
  require(static_cast<bool>(in), ErrorKind::kUsage, "The table ", io::in_quotes(output, 1000),
          " cannot be resumed: ", io::in_quotes(path, 1000),
          ", which tells the model it was made with, is not there. Give another -o, or delete the table.");
  const Json json = Json::parse(in, nullptr, false);
  require(json.is_object() && json.contains("model") && json.contains("settings") &&
              json["model"].is_object() && json["settings"].is_object(),
          ErrorKind::kUsage, "The file ", io::in_quotes(path, 1000),
          " does not describe a run of aikd-score; the table beside it cannot be resumed.");
  return json;
}

void check_same_run(const ScoreOptions& options, const Json& run) {
  const Json before = read_sidecar(options.output);
  const auto sha = [](const Json& json) { return json["model"].value("sha256", std::string("unknown")); };
  require(sha(before) == sha(run), ErrorKind::kUsage, "The table ", io::in_quotes(options.output, 1000),
          " was made with another model (SHA-256 ", sha(before), ", now ", sha(run),
          "); one table holds the scores of one model.");
  for (const auto& [key, value] : run["settings"].items()) {
    const Json unsaid = key == "precision" ? Json("fp32") : Json();  // tables of version 0.1.0
    const Json other = before["settings"].contains(key) ? before["settings"][key] : unsaid;
    require(other == value, ErrorKind::kUsage, "The table ", io::in_quotes(options.output, 1000),
            " was made with another setting: ", key, " was ", other.dump(), " and is now ", value.dump(),
            ".");
  }
}

// Replaces the table by its kept ranges of bytes.
void rewrite(const std::string& path, const std::vector<std::pair<std::size_t, std::size_t>>& kept) {
  std::ifstream in(path, std::ios::binary);
  io::AtomicFile out(path);
  std::string bytes;
  for (const auto& [begin, end] : kept) {
    bytes.resize(end - begin);
    in.seekg(static_cast<std::streamoff>(begin));
    in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    require(static_cast<bool>(in), ErrorKind::kOutput, "The table ", io::in_quotes(path, 1000),
            " changed while it was being read.");
    out.write(bytes.data(), bytes.size());
  }
  out.commit();
}

}  // namespace

std::string sidecar_path(const std::string& output) {
  return output + ".meta.json";
}

Json describe_run(const Model& model, const ScoreMap& map, const ScoreOptions& options) {
  Json json;
  json["aikd-score"] = kVersion;
  Json& about = json["model"];
  about["file"] = io::escape_for_terminal(options.model, 4096);
  about["sha256"] = model.sha256();
  about["family"] = model.family();
  about["architecture"] = model.architecture();
  about["score"] = model.head() != nullptr ? "head" : "norm";
  about["preprocess"] = Json::parse(model.preprocessing().to_json());
  Json& settings = json["settings"];
  settings["score-map"] = map.to_string();
  settings["resize-order"] = options.resize_order;
  settings["exif"] = options.exif;
  settings["max-pixels"] = options.max_pixels;
  settings["landmarks-sha256"] =
      options.landmarks.empty() ? Json() : Json(io::sha256_file(options.landmarks));
  settings["unaligned-ok"] = options.unaligned_ok;
  settings["missing"] = options.missing;
  settings["precision"] = options.precision;
  return json;
}

void write_sidecar(const std::string& output, const Json& run) {
  const std::string text = run.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  io::AtomicFile file(sidecar_path(output));
  file.write(text.data(), text.size());
  file.commit();
}

ResumedRows resume_rows(const ScoreOptions& options, const Json& run) {
  ResumedRows resumed;
  std::error_code error;
  const std::uintmax_t size = fs::file_size(options.output, error);
  if (error || size == 0) return resumed;
  check_same_run(options, run);
  std::vector<std::pair<std::size_t, std::size_t>> kept;
  bool dropped = false;
  std::size_t header_end = size;
  const std::size_t end = read_rows(options.output, options.row_format(), [&](const ReadRow& read) {
    header_end = std::min(header_end, read.begin);
    require(read.model_sha256.empty() || read.model_sha256 == run["model"]["sha256"], ErrorKind::kUsage,
            "The table ", io::in_quotes(options.output, 1000), " holds a row of another model (SHA-256 ",
            read.model_sha256, "), for ", io::in_quotes(read.row.path), ".");
    if (!read.row.ok() && options.retry_failed) {
      dropped = true;
      return;
    }
    resumed.done.insert(read.row.path);
    if (read.row.ok()) {
      resumed.scores.push_back(read.row.score);
    } else {
      ++resumed.failed;
    }
    if (!kept.empty() && kept.back().second == read.begin) {
      kept.back().second = read.end;
    } else {
      kept.emplace_back(read.begin, read.end);
    }
  });
  if (dropped) {
    kept.insert(kept.begin(), {0, header_end});
    rewrite(options.output, kept);
  } else if (end < size) {
    fs::resize_file(options.output, end, error);
    require(!error, ErrorKind::kOutput, "The table ", io::in_quotes(options.output, 1000),
            " ends in an unfinished row that cannot be cut off: ", error.message(), ".");
  }
  return resumed;
}

}  // namespace aikd::apps
