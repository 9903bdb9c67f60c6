#include "io/tensorboard.h"

#include <sys/resource.h>
#include <cmath>
#include <csignal>
#include <cstring>
#include <limits>
#include <utility>

#include "io/append_file.h"
#include "io/crc32c.h"
#include "tensor/error.h"
#include "tests/support/test.h"

using namespace aikd;
using namespace aikd::io;

namespace {

std::span<const std::uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
std::uint32_t crc(const std::string& text) {
  return crc32c(bytes_of(text));
}

// The rows of tests/golden/tensorboard/make_tensorboard.py.
const std::vector<TensorboardEvent>& golden_rows() {
  static const std::vector<TensorboardEvent> rows{
      {1700000000.25, 0, "", {{"train/loss", 1.5F}}},
      {1700000001.5, 1, "", {{"train/loss", 0.75F}, {"train/lr", 1e-3F}}},
      {1700000002.0,
       300,
       "",
       {{"train/loss", std::numeric_limits<float>::infinity()}, {"train/grad_norm", -0.0F}}},
      {1700000003.0, std::int64_t{1} << 40, "", {{"validation/l\xC3\xB6ss", 3.4e38F}}},
  };
  return rows;
}

void check_golden(const TensorboardFile& file) {
  REQUIRE(file.events.size() == golden_rows().size() + 1);
  REQUIRE(file.ends.size() == file.events.size());
  CHECK_FALSE(file.torn);
  CHECK(file.events[0].file_version == kTensorboardVersion);
  CHECK(file.events[0].wall_time == 1700000000.0);
  CHECK(file.events[0].scalars.empty());
  for (std::size_t i = 0; i < golden_rows().size(); ++i) {
    CAPTURE(i);
    const TensorboardEvent &expected = golden_rows()[i], &got = file.events[i + 1];
    CHECK(got.wall_time == expected.wall_time);
    CHECK(got.step == expected.step);
    CHECK(got.file_version.empty());
    REQUIRE(got.scalars.size() == expected.scalars.size());
    for (std::size_t k = 0; k < got.scalars.size(); ++k) {
      CHECK(got.scalars[k].tag == expected.scalars[k].tag);
      // The bits: -0.0 is not 0.
      CHECK(std::memcmp(&got.scalars[k].value, &expected.scalars[k].value, sizeof(float)) == 0);
    }
  }
}

void write_golden_rows(TensorboardWriter& writer) {
  for (const TensorboardEvent& row : golden_rows()) writer.write(row.wall_time, row.step, row.scalars);
}

std::string sentence_of(const std::string& bytes) {
  try {
    parse_tensorboard(bytes_of(bytes));
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kInput);
    return error.what();
  }
  return "";
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("CRC-32C has the values of RFC 3720") {
  CHECK(crc("") == 0);
  CHECK(crc("123456789") == 0xe3069283U);
  CHECK(crc(std::string(32, '\0')) == 0x8a9136aaU);
  CHECK(crc(std::string(32, '\xff')) == 0x62a8ab43U);
  std::string ascending, descending;
  for (char i = 0; i < 32; ++i) {
    ascending += i;
    descending += static_cast<char>(31 - i);
  }
  CHECK(crc(ascending) == 0x46dd794eU);
  CHECK(crc(descending) == 0x113fdb5cU);
}

TEST_CASE("a CRC-32C can be taken in parts, whatever their lengths") {
  std::string text;
  for (int i = 0; i < 40; ++i) text += static_cast<char>(i * 37 + 11);
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    CAPTURE(cut);
    CHECK(crc32c(bytes_of(text.substr(cut)), crc(text.substr(0, cut))) == crc(text));
  }
}

TEST_CASE("an event file of the tensorboard package is read") {
  check_golden(read_tensorboard(test::golden_dir() / "tensorboard" / "events.tfevents"));
}

TEST_CASE("an event file has the bytes that the tensorboard package writes for the same events") {
  const test::TempDir folder;
  TensorboardWriter writer(folder / "e", -1, 1700000000.0);
  CHECK(writer.damage().empty());
  write_golden_rows(writer);
  writer.sync();
  CHECK(test::read_text(folder / "e") ==
        test::read_text(test::golden_dir() / "tensorboard" / "plain.tfevents"));
  check_golden(read_tensorboard(folder / "e"));
}

TEST_CASE("an event file is gone on with from any step, also with a torn end") {
  const test::TempDir folder;
  {  // the file as it would be without interruption
    TensorboardWriter writer(folder / "whole", -1, 1700000000.0);
    write_golden_rows(writer);
  }
  const std::string whole = test::read_text(folder / "whole");
  const std::vector<std::uint64_t> ends = read_tensorboard(folder / "whole").ends;
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    CAPTURE(size);
    test::write_text(folder / "cut", whole.substr(0, size));
    std::size_t records = 0;  // that are whole
    while (records < ends.size() && ends[records] <= size) ++records;
    const TensorboardFile read = parse_tensorboard(bytes_of(whole.substr(0, size)));
    CHECK(read.events.size() == records);
    CHECK(read.torn == (size != (records == 0 ? 0 : ends[records - 1])));
    {
      TensorboardWriter writer(folder / "cut", 1, 1700000000.0);  // keep steps 0 and 1
      const std::size_t kept = std::min<std::size_t>(records, 3);
      for (std::size_t i = kept == 0 ? 0 : kept - 1; i < golden_rows().size(); ++i)
        writer.write(golden_rows()[i].wall_time, golden_rows()[i].step, golden_rows()[i].scalars);
    }
    CHECK(test::read_text(folder / "cut") == whole);
  }
}

TEST_CASE("a damaged event file is cut where the damage begins, and says so") {
  const test::TempDir folder;
  {
    TensorboardWriter writer(folder / "e", -1, 1700000000.0);
    write_golden_rows(writer);
  }
  const std::string whole = test::read_text(folder / "e");
  const std::uint64_t second = read_tensorboard(folder / "e").ends[1];
  std::string damaged = whole;
  damaged[second + 14] ^= 1;  // inside the third event
  test::write_text(folder / "e", damaged);
  {
    const TensorboardWriter writer(folder / "e", 1000, 1700000000.0);
    CHECK(has(writer.damage(), "is damaged: the checksum of its"));
  }
  CHECK(test::read_text(folder / "e") == whole.substr(0, second));
  for (const std::string& foreign : {std::string(100, '\0'), std::string("not an event file at all")}) {
    test::write_text(folder / "e", foreign);
    const TensorboardWriter writer(folder / "e", 1000, 1.0);
    CHECK_FALSE(writer.damage().empty());
    CHECK(read_tensorboard(folder / "e").events.size() == 1);
  }
  // A whole event, but not the one that has to come first.
  test::write_text(folder / "e", tensorboard_record(encode_event({1, 2, "", {{"a", 1}}})));
  CHECK(
      has(TensorboardWriter(folder / "e", 1000, 1.0).damage(), "does not begin as a TensorBoard file does"));
}

TEST_CASE("each way an event file can be wrong has its own sentence") {
  const std::string good = tensorboard_record(encode_event({1, 2, "", {{"a", 1}}}));
  std::string length = good, data = good;
  length[3] ^= 1;
  data[15] ^= 1;
  CHECK(has(sentence_of(good + length),
            concat("at byte ", good.size(), " is damaged: the checksum of its length")));
  CHECK(has(sentence_of(data + good), "at byte 0 is damaged: the checksum of its 23 bytes is wrong"));
  CHECK(sentence_of(data).empty());  // at the end: torn
  const std::pair<std::string, const char*> messages[] = {
      {"\x0b", "unknown wire type 3"},
      {std::string("\x02\x00", 2), "the number 0; expected 1"},
      {"\x09\x01\x02", "is cut off: a field takes 8 bytes and 2 are left"},
      {"\x2a\x05\x61", "a field takes 5 bytes and 1 are left"},
      {"\x10", "a field takes 1 bytes and 0 are left"},
      {"\x10" + std::string(11, '\xff'), "a number of more than 10 bytes"},
      {"\x2a\x03\x0a\x01\x0d", "is cut off: a field takes 4 bytes and 0 are left"},
      {"\x2a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "a field takes 18446744073709551615 bytes"},
  };
  for (const auto& [message, expected] : messages) {
    CAPTURE(expected);
    const std::string sentence = sentence_of(tensorboard_record(message) + good);
    CHECK_MESSAGE(has(sentence, expected), sentence);
    CHECK(has(sentence, "The TensorBoard record at byte 0 cannot be read"));
    CHECK_THROWS_AS(decode_event(bytes_of(message)), Error);
  }
  CHECK_THROWS_AS(read_tensorboard("/nonexistent/events"), Error);
}

TEST_CASE("the TensorBoard writer refuses a tag that is not UTF-8") {
  const test::TempDir folder;
  TensorboardWriter writer(folder / "e", -1, 1);
  const std::uint64_t before = std::filesystem::file_size(folder / "e");
  CHECK_THROWS_WITH_AS(writer.write(1, 1, {{"a\xff", 1}}), "The TensorBoard tag 'a\\xff' is not UTF-8.",
                       Error);
  CHECK(std::filesystem::file_size(folder / "e") == before);
}

TEST_CASE("a log that cannot grow any further keeps what it had, whole") {
  const test::TempDir folder;
  AppendFile file(folder / "log", 0);
  file.append(std::string(1000, 'a'));
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit tight{1500, before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_FSIZE, &tight) == 0);
  std::string sentence;
  try {
    file.append(std::string(1000, 'b'));  // 500 of them fit
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kOutput);
    sentence = error.what();
  }
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  CHECK_MESSAGE(
      has(sentence,
          "/log' cannot be written: writing failed, and what it held before is intact (File too large)"),
      sentence);
  CHECK(test::read_text(folder / "log") == std::string(1000, 'a'));
  file.append("c");
  CHECK(test::read_text(folder / "log") == std::string(1000, 'a') + "c");
}

TEST_CASE("logs are opened, cut and refused as they say") {
  const test::TempDir folder;
  test::write_text(folder / "log", "0123456789");
  {
    AppendFile cut(folder / "log", 4);
    CHECK(cut.size() == 4);
    cut.append("x");
    AppendFile moved(std::move(cut));
    moved.append("y");
    CHECK(moved.size() == 6);
  }
  CHECK(test::read_text(folder / "log") == "0123xy");
  CHECK(AppendFile(folder / "log", 100).size() == 6);
  CHECK_THROWS_AS(AppendFile(folder / "none" / "log", 0), Error);
  AppendFile closed;
  CHECK_THROWS_AS(closed.append("x"), Error);
  if (std::filesystem::exists("/dev/full")) {
    AppendFile full("/dev/full", 0);
    try {
      full.append("x");
      FAIL("accepted");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kOutput);
      CHECK_MESSAGE(has(error.what(), "No space left on device"), error.what());
    }
  }
}
