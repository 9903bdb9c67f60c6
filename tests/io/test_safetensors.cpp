#include "io/safetensors.h"

#include <sys/resource.h>

#include <array>
#include <csignal>

#include "io/text.h"
#include "tests/io/golden_values.h"

namespace aikd::test {
namespace {

using io::SafetensorsFile;

std::string with_length(std::uint64_t length, const std::string& rest) {
  std::string file;
  for (int i = 0; i < 8; ++i) file += static_cast<char>(static_cast<std::uint8_t>(length >> (8 * i)));
  return file + rest;
}
std::string file_of(const std::string& header, const std::string& data = "") {
  return with_length(header.size(), header + data);
}

// The error of a file with this header, followed by `data_bytes` zeros.
std::string header_error(const std::string& header, std::size_t data_bytes = 0) {
  const std::string file = file_of(header, std::string(data_bytes, '\0'));
  return error_of(ErrorKind::kModel, [&] { (void)io::parse_safetensors(as_bytes(file)); });
}
std::string tensor(const std::string& name, const std::string& dtype, const std::string& shape,
                   const std::string& offsets) {
  return "\"" + name + R"(":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets +
         "}";
}

SafetensorsFile sample() {
  const std::array<float, 6> values = {1.0F, -2.5F, 0.0F, 3e-39F, 1e30F, -0.0F};
  const std::array<std::uint8_t, 3> bytes = {1, 2, 255};
  const std::array<std::int64_t, 1> number = {-(std::int64_t{1} << 40)};
  SafetensorsFile file;
  file.tensors = {{"z.weight", Tensor::from<float>(values, {2, 3})},
                  {"bytes", Tensor::from<std::uint8_t>(bytes, {3})},
                  {"empty", Tensor::zeros({0, 4})},
                  {"scalar", Tensor::from<std::int64_t>(number, {})},
                  {"h", Tensor::from<float>(values, {6}).to(DType::kF16)},
                  {"b", Tensor::from<float>(values, {6}).to(DType::kBF16)},
                  {"d", Tensor::from<float>(values, {3, 2}).to(DType::kF64)}};
  file.metadata = {{"aikd.format", "1"}, {"text", "Zo\xc3\xab \"quoted\"\n\\"}};
  return file;
}

bool equal(const SafetensorsFile& a, const SafetensorsFile& b) {
  bool same = a.metadata == b.metadata && a.tensors.size() == b.tensors.size();
  for (std::size_t i = 0; same && i < a.tensors.size(); ++i)
    same = a.tensors[i].name == b.tensors[i].name &&
           golden_value(a.tensors[i].tensor) == golden_value(b.tensors[i].tensor);
  return same;
}

TEST_CASE("safetensors written and read again is the same") {
  const TempDir dir;
  const SafetensorsFile file = sample();
  io::write_safetensors(dir / "a.safetensors", file);
  const SafetensorsFile mapped = io::read_safetensors(dir / "a.safetensors");
  CHECK(equal(file, mapped));
  const std::vector<std::uint8_t> bytes = read_bytes(dir / "a.safetensors");
  CHECK(equal(file, io::parse_safetensors(bytes)));
  CHECK(bytes[0] % 8 == 0);  // the data begin at a multiple of 8 bytes
  CHECK(mapped.find("bytes")->numel() == 3);
  CHECK(mapped.find("absent") == nullptr);
}

TEST_CASE("safetensors files of the original library are read") {
  const std::filesystem::path folder = golden_dir() / "io" / "safetensors";
  const auto expected = nlohmann::json::parse(read_text(folder / "expected.json")).at("files");
  REQUIRE(expected.size() == 2);
  for (const auto& item : expected.items()) {
    INFO(item.key());
    const nlohmann::json& holds = item.value();
    const SafetensorsFile file = io::read_safetensors(folder / item.key());
    CHECK(file.metadata == holds.at("metadata").get<std::map<std::string, std::string>>());
    nlohmann::json tensors;
    for (const auto& entry : file.tensors) tensors[entry.name] = golden_value(entry.tensor);
    CHECK(tensors == holds.at("tensors"));
  }
}

TEST_CASE("safetensors tensors of a mapped file borrow from it and are copied where misaligned") {
  const TempDir dir;
  const SafetensorsFile file = sample();
  io::write_safetensors(dir / "a.safetensors", file);
  SafetensorsFile mapped = io::read_safetensors(dir / "a.safetensors");
  std::filesystem::remove(dir / "a.safetensors");
  Tensor first = mapped.tensors[0].tensor, scalar = mapped.tensors[3].tensor;
  mapped.tensors.clear();  // the mapping lives on in `first`
  CHECK(golden_value(first) == golden_value(file.tensors[0].tensor));
  CHECK(contains(error_of(ErrorKind::kInternal, [&] { (void)first.mutable_raw(); }), "read-only"));
  // "scalar" begins at byte 27 of the data, where an int64 cannot be borrowed.
  CHECK(reinterpret_cast<std::uintptr_t>(scalar.raw()) % 8 == 0);
  CHECK(scalar.mutable_raw() != nullptr);
}

TEST_CASE("safetensors with a header of odd length is read") {
  const std::string header = "{" + tensor("x", "F32", "[1]", "[0,4]") + "}";
  for (std::size_t padding = 0; padding < 8; ++padding) {
    const TempDir dir;
    write_text(dir / "f", file_of(header + std::string(padding, ' '), std::string("\0\0\x80\x3f", 4)));
    const SafetensorsFile file = io::read_safetensors(dir / "f");
    CHECK(file.find("x")->values<float>()[0] == 1.0F);
  }
}

TEST_CASE("safetensors header in another order than the data is sorted by offset") {
  const std::string header =
      "{" + tensor("second", "U8", "[1]", "[1,2]") + "," + tensor("first", "U8", "[1]", "[0,1]") + "}";
  const std::string text = file_of(header, "ab");
  const SafetensorsFile file = io::parse_safetensors(as_bytes(text));
  REQUIRE(file.tensors.size() == 2);
  CHECK(file.tensors[0].name == "first");
  CHECK(file.tensors[0].tensor.values<std::uint8_t>()[0] == 'a');
  CHECK(file.tensors[1].tensor.values<std::uint8_t>()[0] == 'b');
}

TEST_CASE("safetensors file without tensors is read") {
  const std::string text = file_of("{}");
  CHECK(io::parse_safetensors(as_bytes(text)).tensors.empty());
}

TEST_CASE("safetensors refuses a file that is no file of tensors") {
  const auto error = [](const std::string& text) {
    return error_of(ErrorKind::kModel, [&] { (void)io::parse_safetensors(as_bytes(text)); });
  };
  CHECK(contains(error(""), "at least 8 bytes, but this one has 0"));
  CHECK(contains(error("1234567"), "at least 8 bytes, but this one has 7"));
  CHECK(contains(error(with_length((1U << 20) + 1, "{}")), "1048577 bytes long; at most 1048576"));
  CHECK(contains(error(with_length(~std::uint64_t{0}, "{}")), "18446744073709551615 bytes long"));
  CHECK(contains(error(with_length(3, "{}")), "3 bytes long, but only 2 bytes follow"));
}

TEST_CASE("safetensors refuses a header that is not its JSON") {
  CHECK(contains(header_error(""), "does not start with '{'"));
  CHECK(contains(header_error(" {}"), "does not start with '{'"));
  CHECK(contains(header_error("[]"), "does not start with '{'"));
  CHECK(contains(header_error("{\"\xff\":1}"), "is not valid UTF-8"));
  CHECK(contains(header_error("{\"\xed\xa0\x80\":1}"), "is not valid UTF-8"));
  CHECK(contains(header_error("{"), "is not valid JSON"));
  CHECK(contains(header_error("{} x"), "is not valid JSON (at its byte 4)"));
  CHECK(contains(header_error(std::string("{}\0", 3)), "is not valid JSON"));
  CHECK(contains(header_error("{\"a\":{\"dtype\":\"F32\",}}"), "is not valid JSON"));
}

TEST_CASE("safetensors refuses nesting and other shapes of JSON") {
  const std::string deep(100'000, '[');
  CHECK(contains(header_error("{\"a\":{\"shape\":[" + deep), "nested too deeply"));
  CHECK(contains(header_error("{\"a\":{\"shape\":[{}]}}"), "nested too deeply"));
  CHECK(contains(header_error("{\"a\":{\"dtype\":{}}}"), "nested too deeply"));
  CHECK(contains(header_error("{\"__metadata__\":{\"k\":{}}}"), "nested too deeply"));
  CHECK(contains(header_error("{\"a\":[]}"), "has an array as the entry 'a'; expected an object"));
  CHECK(contains(header_error("{\"a\":null}"), "has null as the entry 'a'"));
  CHECK(contains(header_error("{\"a\":{\"dtype\":[]}}"),
                 "has an array in the field 'dtype' of the tensor 'a'"));
  CHECK(contains(header_error("{\"a\":{\"dtype\":true}}"), "has a boolean in the field 'dtype'"));
  CHECK(contains(header_error("{\"a\":{\"shape\":\"x\"}}"), "has a string in the field 'shape'"));
  CHECK(contains(header_error("{\"a\":{\"shape\":5}}"), "has a number in the field 'shape'"));
  CHECK(contains(header_error("{\"a\":{\"shape\":[\"1\"]}}"), "has a string in the field 'shape'"));
  CHECK(contains(header_error("{\"a\":{\"stride\":[1]}}"),
                 "has the unknown field 'stride' for the tensor 'a'"));
}

TEST_CASE("safetensors refuses duplicate keys at every level") {
  const std::string x = tensor("x", "U8", "[1]", "[0,1]");
  CHECK(contains(header_error("{" + x + "," + x + "}", 1), "names the tensor 'x' twice"));
  CHECK(contains(header_error("{\"__metadata__\":{},\"__metadata__\":{}}"),
                 "names the tensor '__metadata__' twice"));
  CHECK(
      contains(header_error("{\"__metadata__\":{\"k\":\"\",\"k\":\"\"}}"), "has the metadata key 'k' twice"));
  CHECK(contains(header_error(R"({"x":{"dtype":"U8","dtype":"U8"}})"),
                 "has the field 'dtype' of the tensor 'x' twice"));
  CHECK(contains(header_error(R"({"x":{"shape":[],"shape":[]}})"),
                 "has the field 'shape' of the tensor 'x' twice"));
}

TEST_CASE("safetensors refuses wrong fields of a tensor") {
  CHECK(contains(header_error(R"({"x":{}})"), "lacks the field 'dtype' of the tensor 'x'"));
  CHECK(contains(header_error(R"({"x":{"dtype":"U8","shape":[1]}})"), "lacks the field 'data_offsets'"));
  CHECK(contains(header_error(R"({"x":{"dtype":"U8","data_offsets":[0,1]}})"), "lacks the field 'shape'"));
  CHECK(contains(header_error("{" + tensor("x", "F8_E4M3", "[1]", "[0,1]") + "}", 1),
                 "unknown dtype 'F8_E4M3'"));
  CHECK(contains(header_error("{" + tensor("x", "U8", "[-1]", "[0,1]") + "}"), "has the negative number -1"));
  CHECK(contains(header_error("{" + tensor("x", "U8", "[1.0]", "[0,1]") + "}"), "has the number '1.0'"));
  CHECK(contains(header_error("{" + tensor("x", "U8", "[18446744073709551616]", "[0,1]") + "}"),
                 "expected a non-negative integer"));
  CHECK(contains(header_error("{" + tensor("x", "U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]") + "}", 1),
                 "9 dimensions; at most 8"));
  CHECK(contains(header_error("{" + tensor("x", "U8", "[4294967296,4294967296]", "[0,0]") + "}"),
                 "product overflows"));
  CHECK(contains(header_error("{" + tensor("x", "F64", "[2305843009213693952]", "[0,0]") + "}"),
                 "product overflows"));
  CHECK(contains(header_error("{" + tensor("x", "U8", "[9223372036854775808]", "[0,0]") + "}"),
                 "product overflows"));
}

TEST_CASE("safetensors refuses wrong offsets") {
  const auto one = [](const std::string& offsets, std::size_t data_bytes) {
    return header_error("{" + tensor("x", "F32", "[1]", offsets) + "}", data_bytes);
  };
  CHECK(contains(one("[0]", 4), "1 data offsets; expected 2"));
  CHECK(contains(one("[0,2,4]", 4), "3 data offsets; expected 2"));
  CHECK(contains(one("[4,0]", 4), "begin at byte 4 and end before it, at 0"));
  CHECK(contains(one("[0,5]", 5), "5 bytes, but its shape [1] of F32 takes 4"));
  CHECK(contains(one("[0,4]", 3), "end at byte 4, but only 3 bytes follow the header"));
  CHECK(contains(one("[18446744073709551612,18446744073709551615]", 3), "takes 4"));
  CHECK(contains(one("[1,5]", 5), "leaves a gap of 1 bytes before the tensor 'x'"));
  CHECK(contains(one("[0,4]", 5), "describes 4 bytes of tensors, but 5 bytes follow it"));
  CHECK(contains(header_error("{}", 1), "describes 0 bytes of tensors, but 1 bytes follow it"));
  const std::string overlap =
      "{" + tensor("a", "U8", "[4]", "[0,4]") + "," + tensor("b", "U8", "[2]", "[3,5]") + "}";
  CHECK(contains(header_error(overlap, 5),
                 "'b' begin at byte 3, inside the tensor before it, which ends at 4"));
}

TEST_CASE("safetensors refuses wrong metadata") {
  const auto metadata = [](const std::string& inner) {
    return header_error("{\"__metadata__\":" + inner + "}");
  };
  CHECK(contains(metadata("{\"k\":1}"), "has a number as the metadata value 'k'; expected a string"));
  CHECK(contains(metadata("{\"k\":-1}"), "has a number as the metadata value 'k'"));
  CHECK(contains(metadata("{\"k\":1.5}"), "has a number as the metadata value 'k'"));
  CHECK(contains(metadata("{\"k\":null}"), "has null as the metadata value 'k'"));
  CHECK(contains(metadata("{\"k\":[\"x\"]}"), "has an array as the metadata value 'k'"));
  CHECK(contains(metadata("[]"), "has an array as the entry '__metadata__'"));
  CHECK(contains(metadata("{\"" + std::string(257, 'k') + "\":\"\"}"),
                 "metadata key of 257 bytes; at most 256"));
  CHECK(contains(metadata("{\"k\":\"" + std::string(65537, 'v') + "\"}"),
                 "65537 bytes in the metadata value 'k'; at most 65536"));
}

TEST_CASE("safetensors messages escape hostile names") {
  const std::string text = header_error("{\"\\u001b[2J\\u202e\\n\":1}");
  CHECK(contains(text, R"('\x1b[2J\u{202e}\n')"));
}

TEST_CASE("safetensors refuses what is not a readable file by its name") {
  const TempDir dir;
  const auto error = [](const std::filesystem::path& path) {
    return error_of(ErrorKind::kModel, [&] { (void)io::read_safetensors(path); });
  };
  CHECK(contains(error(dir / "missing.safetensors"), "missing.safetensors' cannot be opened: No such file"));
  CHECK(contains(error(dir.path()), "is a directory, not a file"));
  CHECK(contains(error("/dev/null"), "is not a regular file"));
  write_text(dir / "empty", "");
  CHECK(contains(error(dir / "empty"), "empty': A safetensors file has at least 8 bytes"));
}

TEST_CASE("safetensors every truncation of a file is refused") {
  const TempDir dir;
  io::write_safetensors(dir / "a", sample());
  const std::string whole = read_text(dir / "a");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const std::string text = whole.substr(0, size);
    const std::string error =
        error_of(ErrorKind::kModel, [&] { (void)io::parse_safetensors(as_bytes(text)); });
    INFO(size);
    CHECK(error != "no error");
  }
}

TEST_CASE("safetensors refuses to write what it would not read") {
  const TempDir dir;
  const auto error = [&](SafetensorsFile file) {
    return error_of(ErrorKind::kOutput, [&] { io::write_safetensors(dir / "out", file); });
  };
  const Tensor one = Tensor::zeros({1});
  CHECK(contains(error({{{"a", one}, {"a", one}}, {}}), "Two tensors are named 'a'"));
  CHECK(contains(error({{{"__metadata__", one}}, {}}), "cannot be named '__metadata__'"));
  CHECK(contains(error({{{"\xff", one}}, {}}), "cannot be named '\\xff'"));
  CHECK(contains(error({{{"a", Tensor()}}, {}}), "'a' has no values"));
  CHECK(contains(error({{}, {{"k", "\xff"}}}), "metadata entry 'k' is not valid UTF-8"));
  CHECK(contains(error({{}, {{"k", std::string(65537, 'x')}}}), "metadata entry 'k' is too long"));
  CHECK(contains(error({{{std::string(1U << 20, 'n'), one}}, {}}), "at most 1048576 are allowed"));
  CHECK(std::filesystem::is_empty(dir.path()));
}

TEST_CASE("safetensors failed writes leave no temporary and keep the old file") {
  const TempDir dir;
  const auto error = [](const std::filesystem::path& path) {
    return error_of(ErrorKind::kOutput, [&] { io::write_safetensors(path, sample()); });
  };
  CHECK(contains(error(dir / "no" / "such" / "folder"), "cannot be written"));
  std::filesystem::create_directory(dir / "folder");
  CHECK(contains(error(dir / "folder"), "it is a directory."));
  io::write_safetensors(dir / "a", sample());
  const std::string before = read_text(dir / "a");
  io::write_safetensors(dir / "a", sample());  // replaces
  CHECK(read_text(dir / "a") == before);
  const std::filesystem::directory_iterator files(dir.path());
  CHECK(std::distance(begin(files), end(files)) == 2);  // "a" and "folder"
}

TEST_CASE("safetensors write that fails half-way leaves no temporary and the old file") {
  const TempDir dir;
  write_text(dir / "a", "old");
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  const rlimit small = {64, before.rlim_max};  // bytes that a file may have; more is EFBIG
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
  const std::string text = error_of(ErrorKind::kOutput, [&] { io::write_safetensors(dir / "a", sample()); });
  REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
  std::signal(SIGXFSZ, handler);
  CHECK(contains(text, "cannot be written: writing failed (File too large)."));
  CHECK(read_text(dir / "a") == "old");
  const std::filesystem::directory_iterator files(dir.path());
  CHECK(std::distance(begin(files), end(files)) == 1);
}

TEST_CASE("text is escaped for a terminal and cut") {
  CHECK(io::escape_for_terminal("plain Zo\xc3\xab \xe4\xba\xba") == "plain Zo\xc3\xab \xe4\xba\xba");
  CHECK(io::escape_for_terminal("\x1b[31m\r\n\t\x7f\\") == R"(\x1b[31m\r\n\t\x7f\\)");
  CHECK(io::escape_for_terminal("\xc2\x9b\xe2\x80\xae") == R"(\u{9b}\u{202e})");
  CHECK(io::escape_for_terminal("\xff\xc3") == R"(\xff\xc3)");
  CHECK(io::escape_for_terminal("12345678", 4) == "1234...");
  CHECK(io::escape_for_terminal("\xc3\xab\xc3\xab", 3) == "\xc3\xab...");  // no half character
  CHECK(io::in_quotes("a'b") == "'a'b'");
}

TEST_CASE("text is checked for UTF-8") {
  for (const char* good : {"", "a", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
                           "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"})
    CHECK(io::is_utf8(good));
  for (const char* bad : {"\x80", "\xc1\xbf", "\xc2", "\xc2z", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xe1\x80",
                          "\xe1\x80z", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff"})
    CHECK_FALSE(io::is_utf8(bad));
}

}  // namespace
}  // namespace aikd::test
