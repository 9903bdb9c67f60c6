#include "io/table.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tensor/error.h"
#include "tensor/random.h"
#include "tests/support/test.h"

using namespace aikd;
using namespace aikd::io;

namespace {

std::vector<std::vector<std::string>> read_all(const std::string& text, char delimiter) {
  std::istringstream in(text);
  DelimitedReader reader(in, delimiter);
  DelimitedRecord record;
  std::vector<std::vector<std::string>> records;
  while (reader.next(record)) records.push_back(record.fields);
  return records;
}

std::string hostile_text(Random& random) {
  constexpr std::string_view kBytes = "a,\t\"\n\r \\\xC3\xA9\xFF\x01;";
  std::string text;
  for (std::uint64_t i = random.below(12); i > 0; --i) text += kBytes[random.below(kBytes.size())];
  return text;
}

}  // namespace

TEST_CASE("numbers are written as the shortest text that reads back the same") {
  CHECK(format_number(0.1F) == "0.1");
  CHECK(format_number(-0.0F) == "-0");
  CHECK(format_number(0.1) == "0.1");
  CHECK(format_fixed(99.995, 2) == "100.00");
  CHECK(format_fixed(0.125, 1) == "0.1");
  Random random(1);
  for (int i = 0; i < 2000; ++i) {
    const auto value = static_cast<float>(random.normal() * std::pow(10.0, random.uniform(-30, 30)));
    float back = 0;
    REQUIRE(parse_number(format_number(value), back));
    CHECK(back == value);
  }
}

TEST_CASE("parse_number takes the whole text or nothing") {
  double value = 7;
  for (const char* bad : {"", " ", "1 ", " 1", "1x", "nan", "--1", "1,5", "0x10"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_number(bad, value));
    CHECK(value == 7);
  }
  CHECK(parse_number("+2.5e1", value));
  CHECK(value == 25);
}

TEST_CASE("a record is quoted only where it must be") {
  const std::vector<std::string> fields{"a", "b c", "d,e", "say \"x\"", "two\nlines", " edge", ""};
  CHECK(delimited_record(fields, ',') == "a,b c,\"d,e\",\"say \"\"x\"\"\",\"two\nlines\",\" edge\",\n");
  CHECK(delimited_record(std::vector<std::string>{"a,b", "c\td"}, '\t') == "a,b\t\"c\td\"\n");
}

TEST_CASE("delimited records come back as they were whatever their bytes") {
  Random random(2);
  for (const char delimiter : {',', '\t'}) {
    std::string text;
    std::vector<std::vector<std::string>> records;
    for (int i = 0; i < 300; ++i) {
      std::vector<std::string> fields;
      for (int k = 0; k < 4; ++k) fields.push_back(hostile_text(random));
      text += delimited_record(fields, delimiter);
      records.push_back(fields);
    }
    CHECK(read_all(text, delimiter) == records);
  }
}

TEST_CASE("the delimited reader tells lines, ends and records cut off") {
  std::istringstream in("a,b\r\n\"x\ny\",2\nlast,\"cut");
  DelimitedReader reader(in, ',');
  DelimitedRecord record;
  REQUIRE(reader.next(record));
  CHECK(record.fields == std::vector<std::string>{"a", "b"});
  CHECK(record.complete);
  CHECK(record.end == 5);
  REQUIRE(reader.next(record));
  CHECK(record.fields[0] == "x\ny");
  CHECK(record.line == 2);
  CHECK(record.end == 13);
  REQUIRE(reader.next(record));
  CHECK(record.line == 4);
  CHECK_FALSE(record.complete);
  CHECK_FALSE(reader.next(record));
}

TEST_CASE("text behind a closing quote is an error that names the line") {
  CHECK_THROWS_WITH_AS(read_all("ok\n\"a\"b,c\n", ','), doctest::Contains("Line 2: a field has text behind"),
                       Error);
}

TEST_CASE("a JSON string is what a JSON parser reads as the same text") {
  const std::string text = "a\"b\\c\n\t\r\x01\x7F \xC3\xA9 \xF0\x9F\x98\x80";
  CHECK(nlohmann::json::parse(json_string(text)).get<std::string>() == text);
  CHECK(json_string("x\xFFy\x80") == "\"x\\udcffy\\udc80\"");  // as Python's surrogateescape
}

TEST_CASE("flat JSON comes back as it was whatever the bytes") {
  Random random(3);
  for (int i = 0; i < 500; ++i) {
    const std::string text = hostile_text(random);
    const auto fields =
        parse_flat_json("{\"path\": " + json_string(text) + " , \"n\":-1.5e3,\"t\":true,\"z\":null}");
    REQUIRE(fields.size() == 4);
    CHECK(fields[0].text == text);
    CHECK(find_field(fields, "n")->text == "-1.5e3");
    CHECK(find_field(fields, "t")->kind == JsonField::Kind::kBool);
    CHECK(find_field(fields, "z")->kind == JsonField::Kind::kNull);
    CHECK(find_field(fields, "nothing") == nullptr);
  }
  CHECK(parse_flat_json("{\"a\":\"\\ud83d\\ude00\\u00e9\"}")[0].text == "\xF0\x9F\x98\x80\xC3\xA9");
  CHECK(parse_flat_json("{}").empty());
}

TEST_CASE("flat JSON refuses each malformed line with the place") {
  const std::pair<const char*, const char*> cases[] = {
      {"", "expected '{'"},
      {"{\"a\":1", "expected '}'"},
      {"{\"a\" 1}", "expected ':'"},
      {"{a:1}", "expected a string"},
      {"{\"a\":}", "expected a string, a number"},
      {"{\"a\":[1]}", "expected a string, a number"},
      {"{\"a\":1} x", "expected the end of the line"},
      {"{\"a\":\"b", "expected the closing quote"},
      {"{\"a\":\"\n\"}", "expected an escaped control character"},
      {"{\"a\":\"\\q\"}", "expected one of the escapes"},
      {"{\"a\":\"\\u12\"}", "expected four hexadecimal digits"},
      {"{\"a\":\"\\ud83d\"}", "expected the second half of a surrogate pair"},
      {"{\"a\":\"\\udc01\"}", "no lone second half"},
  };
  for (const auto& [line, message] : cases) {
    CAPTURE(line);
    CHECK_THROWS_WITH_AS(parse_flat_json(line), doctest::Contains(message), Error);
  }
}

TEST_CASE("displayable text replaces bytes that are not UTF-8") {
  CHECK(displayable_utf8("a\xFF\xC3") == "a\xEF\xBF\xBD\xEF\xBF\xBD");
  CHECK(displayable_utf8("\xC3\xA9") == "\xC3\xA9");
}
