#include "io/tensorboard.h"

#include <bit>
#include <cstring>
#include <optional>

#include "io/crc32c.h"
#include "io/mapped_file.h"
#include "io/text.h"
#include "tensor/error.h"

namespace aikd::io {
namespace {

// Wire types of protobuf: how long a field is.
enum : std::uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };
enum : std::uint32_t { kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5 };  // Event
enum : std::uint32_t { kValue = 1, kTag = 1, kSimpleValue = 2 };                    // Summary, Summary.Value

constexpr std::size_t kHeader = 12, kTrailer = 4;

void put_fixed(std::string& out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 255U);
}

void put_varint(std::string& out, std::uint64_t value) {
  for (; value >= 128; value >>= 7) out += static_cast<char>((value & 127U) | 128U);
  out += static_cast<char>(value);
}

void put_key(std::string& out, std::uint32_t field, std::uint32_t wire) {
  put_varint(out, (field << 3) | wire);
}

void put_bytes(std::string& out, std::uint32_t field, std::string_view bytes) {
  put_key(out, field, kBytes);
  put_varint(out, bytes.size());
  out += bytes;
}

std::uint64_t get_fixed(const std::uint8_t* p, int bytes) {
  std::uint64_t value = 0;
  for (int i = 0; i < bytes; ++i) value |= std::uint64_t{p[i]} << (8 * i);
  return value;
}

std::uint32_t masked_crc(std::span<const std::uint8_t> bytes) {
  return masked_crc32c(crc32c(bytes));
}
std::span<const std::uint8_t> as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

// One message, field by field.
class Message {
 public:
  explicit Message(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

  struct Field {
    std::uint32_t number = 0, wire = 0;
    std::uint64_t value = 0;              // of varint, fixed64, fixed32
    std::span<const std::uint8_t> bytes;  // of bytes
    bool is(std::uint32_t n, std::uint32_t w) const { return number == n && wire == w; }
    std::string text() const { return {bytes.begin(), bytes.end()}; }
  };

  std::optional<Field> next() {
    if (at_ == bytes_.size()) return std::nullopt;
    const std::uint64_t key = varint();
    Field field;
    require(key >> 3 != 0 && key >> 3 < (1U << 29), ErrorKind::kInput,
            "A TensorBoard event has a field with the number ", key >> 3, "; expected 1 to 536870911.");
    field.number = static_cast<std::uint32_t>(key >> 3);
    field.wire = static_cast<std::uint32_t>(key & 7U);
    switch (field.wire) {
      case kVarint:
        field.value = varint();
        break;
      case kFixed64:
        field.value = get_fixed(take(8).data(), 8);
        break;
      case kFixed32:
        field.value = get_fixed(take(4).data(), 4);
        break;
      case kBytes:
        field.bytes = take(varint());
        break;
      default:
        fail(ErrorKind::kInput, "A TensorBoard event has a field of the unknown wire type ", field.wire, ".");
    }
    return field;
  }

 private:
  std::span<const std::uint8_t> take(std::uint64_t n) {
    require(n <= bytes_.size() - at_, ErrorKind::kInput, "A TensorBoard event is cut off: a field takes ", n,
            " bytes and ", bytes_.size() - at_, " are left.");
    const auto part = bytes_.subspan(at_, static_cast<std::size_t>(n));
    at_ += part.size();
    return part;
  }

  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const std::uint8_t byte = take(1)[0];
      value |= std::uint64_t{byte & 127U} << shift;
      if (byte < 128) return value;
    }
    fail(ErrorKind::kInput, "A TensorBoard event holds a number of more than 10 bytes.");
  }

  std::span<const std::uint8_t> bytes_;
  std::size_t at_ = 0;
};

void decode_summary(std::span<const std::uint8_t> bytes, std::vector<TensorboardScalar>& scalars) {
  Message summary(bytes);
  while (const auto item = summary.next()) {
    if (!item->is(kValue, kBytes)) continue;
    TensorboardScalar scalar;
    bool has_value = false;
    Message value(item->bytes);
    while (const auto field = value.next()) {
      if (field->is(kTag, kBytes)) scalar.tag = field->text();
      if (field->is(kSimpleValue, kFixed32)) {
        scalar.value = std::bit_cast<float>(static_cast<std::uint32_t>(field->value));
        has_value = true;
      }
    }
    if (has_value) scalars.push_back(std::move(scalar));  // images, histograms and tensors are not ours
  }
}

// Appends what is whole to `file`; what is wrong behind it, or "" (a torn end is none).
std::string parse_records(std::span<const std::uint8_t> bytes, TensorboardFile& file) {
  std::size_t at = 0;
  while (at < bytes.size()) {
    const std::size_t left = bytes.size() - at;
    const std::uint8_t* p = bytes.data() + at;
    if (left < kHeader) break;
    if (masked_crc({p, 8}) != get_fixed(p + 8, 4)) {
      return concat("The TensorBoard record at byte ", at,
                    " is damaged: the checksum of its length is wrong.");
    }
    const std::uint64_t length = get_fixed(p, 8);
    if (left < kHeader + kTrailer || length > left - kHeader - kTrailer) break;
    const auto message = bytes.subspan(at + kHeader, static_cast<std::size_t>(length));
    const std::size_t end = at + kHeader + message.size() + kTrailer;
    if (masked_crc(message) != get_fixed(p + kHeader + message.size(), 4)) {
      if (end == bytes.size()) break;
      return concat("The TensorBoard record at byte ", at, " is damaged: the checksum of its ", length,
                    " bytes is wrong.");
    }
    try {
      file.events.push_back(decode_event(message));
    } catch (const Error& error) {
      return concat("The TensorBoard record at byte ", at, " cannot be read: ", error.what());
    }
    file.ends.push_back(end);
    at = end;
  }
  file.torn = at < bytes.size();
  return "";
}

}  // namespace

std::string encode_event(const TensorboardEvent& event) {
  std::string out;
  put_key(out, kWallTime, kFixed64);
  put_fixed(out, std::bit_cast<std::uint64_t>(event.wall_time), 8);
  if (event.step != 0) {
    put_key(out, kStep, kVarint);
    put_varint(out, static_cast<std::uint64_t>(event.step));
  }
  if (!event.file_version.empty()) put_bytes(out, kFileVersion, event.file_version);
  if (event.scalars.empty()) return out;
  std::string summary;
  for (const TensorboardScalar& scalar : event.scalars) {
    std::string value;
    put_bytes(value, kTag, scalar.tag);
    put_key(value, kSimpleValue, kFixed32);
    put_fixed(value, std::bit_cast<std::uint32_t>(scalar.value), 4);
    put_bytes(summary, kValue, value);
  }
  put_bytes(out, kSummary, summary);
  return out;
}

TensorboardEvent decode_event(std::span<const std::uint8_t> message) {
  TensorboardEvent event;
  Message fields(message);
  while (const auto field = fields.next()) {
    if (field->is(kWallTime, kFixed64)) event.wall_time = std::bit_cast<double>(field->value);
    if (field->is(kStep, kVarint)) event.step = static_cast<std::int64_t>(field->value);
    if (field->is(kFileVersion, kBytes)) event.file_version = field->text();
    if (field->is(kSummary, kBytes)) decode_summary(field->bytes, event.scalars);
  }
  return event;
}

std::string tensorboard_record(std::string_view message) {
  std::string out;
  out.reserve(kHeader + message.size() + kTrailer);
  put_fixed(out, message.size(), 8);
  put_fixed(out, masked_crc(as_bytes(out)), 4);
  out += message;
  put_fixed(out, masked_crc(as_bytes(message)), 4);
  return out;
}

TensorboardFile parse_tensorboard(std::span<const std::uint8_t> bytes) {
  TensorboardFile file;
  const std::string damage = parse_records(bytes, file);
  require(damage.empty(), ErrorKind::kInput, damage);
  return file;
}

TensorboardFile read_tensorboard(const std::filesystem::path& path) {
  return parse_tensorboard(MappedFile::open(path, ErrorKind::kInput)->bytes());
}

TensorboardWriter::TensorboardWriter(const std::filesystem::path& path, std::int64_t keep_steps,
                                     double wall_time) {
  std::uint64_t keep = 0;
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored)) {
    TensorboardFile found;
    damage_ = parse_records(MappedFile::open(path, ErrorKind::kOutput)->bytes(), found);
    if (found.events.empty() || found.events.front().file_version != kTensorboardVersion) {
      if (damage_.empty()) damage_ = "The file does not begin as a TensorBoard file does.";
    } else {
      keep = found.ends.front();
      for (std::size_t i = 1; i < found.events.size() && found.events[i].step <= keep_steps; ++i)
        keep = found.ends[i];
    }
  }
  file_ = AppendFile(path, keep);
  if (keep != 0) return;
  TensorboardEvent first;
  first.wall_time = wall_time;
  first.file_version = kTensorboardVersion;
  file_.append(tensorboard_record(encode_event(first)));
}

void TensorboardWriter::write(double wall_time, std::int64_t step, std::vector<TensorboardScalar> scalars) {
  for (const TensorboardScalar& scalar : scalars)  // protobuf strings are UTF-8
    require(is_utf8(scalar.tag), ErrorKind::kInternal, "The TensorBoard tag ", in_quotes(scalar.tag),
            " is not UTF-8.");
  file_.append(tensorboard_record(encode_event({wall_time, step, "", std::move(scalars)})));
}

}  // namespace aikd::io
