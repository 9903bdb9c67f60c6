// Event files of TensorBoard, written and read without its libraries: a sequence of TFRecords
//   length, u64 | masked CRC-32C of the length, u32 | payload | masked CRC-32C of the payload, u32
// (all little-endian), each payload one protobuf message Event (tensorflow/core/util/event.proto):
//   1 wall_time double | 2 step int64 | 3 file_version string | 5 summary { 1 value { 1 tag string,
//   2 simple_value float } ... }
// The first event has file_version "brain.Event:2" and nothing else.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/append_file.h"

namespace aikd::io {

inline constexpr std::string_view kTensorboardVersion = "brain.Event:2";

struct TensorboardScalar {
  std::string tag;  // UTF-8; "loss/total": the part before the slash is a section of the page
  float value = 0;
};

struct TensorboardEvent {
  double wall_time = 0;  // seconds since 1970
  std::int64_t step = 0;
  std::string file_version;
  std::vector<TensorboardScalar> scalars;
};

std::string encode_event(const TensorboardEvent& event);  // the protobuf message
// Fields this does not know are passed over, as protobuf has it; of a field given twice the last counts.
// Error(kInput) for a message that is cut off or malformed.
TensorboardEvent decode_event(std::span<const std::uint8_t> message);
std::string tensorboard_record(std::string_view message);  // with its frame

struct TensorboardFile {
  std::vector<TensorboardEvent> events;
  std::vector<std::uint64_t> ends;  // of each event: the offset behind its record
  bool torn = false;                // a last record was cut off; ends.back() is where it begins
};
// Error(kInput), with the offset: the file cannot be read, a checksum is wrong (but for the end of the file:
// a record that reaches beyond it, or ends with it and has a wrong checksum, is torn), a malformed event.
TensorboardFile read_tensorboard(const std::filesystem::path& path);
TensorboardFile parse_tensorboard(std::span<const std::uint8_t> bytes);

class TensorboardWriter {
 public:
  // A new file, or one to go on with: what follows step `keep_steps` is cut off, as is a torn record and
  // what stands behind a damaged one. `wall_time` is for the first event of a new file. Error(kOutput).
  TensorboardWriter(const std::filesystem::path& path, std::int64_t keep_steps, double wall_time);

  void write(double wall_time, std::int64_t step, std::vector<TensorboardScalar> scalars);  // Error(kOutput)
  void sync() { file_.sync(); }
  const std::string& damage() const noexcept { return damage_; }  // of the file that was there, or ""

 private:
  AppendFile file_;
  std::string damage_;
};

}  // namespace aikd::io
