#include "io/config.h"

#include "tensor/error.h"
#include "tests/support/test.h"

using namespace aikd;
using namespace aikd::io;

namespace {

std::string flat(const std::string& text) {
  std::string out;
  for (const ConfigEntry& entry : parse_config(text, "c.yaml")) {
    out += entry.key + "=";
    for (const std::string& value : entry.values) out += value + "|";
    out += concat("@", entry.line, " ");
  }
  return out;
}

}  // namespace

TEST_CASE("nested configuration becomes dotted keys with their lines") {
  CHECK(flat("base:\n  verbose: 1\n  device: \"cuda:0\"\nlist: [a, 'b c']\nnone:\nempty: []\n") ==
        "base.verbose=1|@2 base.device=cuda:0|@3 list=a|b c|@4 none=@5 empty=@6 ");
  CHECK(flat("") == "");
  CHECK(flat("# only a remark\n") == "");
}

TEST_CASE("each wrong configuration has its own sentence") {
  std::string deep, wide = "a: &a {b: 1}\n";
  for (int i = 0; i < 20; ++i) deep += std::string(static_cast<std::size_t>(i), ' ') + "k:\n";
  deep += std::string(20, ' ') + "k: 1\n";
  for (int i = 0; i < 1100; ++i) wide += concat("k", i, ": 1\n");
  const std::pair<std::string, const char*> cases[] = {
      {"- 1\n- 2\n", "must be a mapping"},
      {"just words", "must be a mapping"},
      {"a: 1\nb: [1\n", "is not YAML"},
      {"a: 1\na: 2\n", "line 2: the key 'a' is given twice"},
      {"a: [[1]]\n", "line 1: the key 'a' is a list that holds more than plain values"},
      {"[x]: 1\n", "has a key that is not a plain word"},
      {deep, "is nested deeper than 16 levels"},
      {wide, "one key too many"},
      {"a: \xFF\n", "is not UTF-8 text"},
      {std::string((1 << 20) + 1, ' '), "the limit is 1048576"},
  };
  for (const auto& [text, message] : cases) {
    CAPTURE(message);
    try {
      parse_config(text, "c.yaml");
      FAIL("accepted");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kUsage);
      CHECK_MESSAGE(std::string(error.what()).find(message) != std::string::npos, error.what());
      CHECK(std::string(error.what()).find("'c.yaml'") != std::string::npos);
    }
  }
}

TEST_CASE("aliases cannot make a short configuration endless") {
  std::string text = "a0: &a0 {x: 1, y: 1, z: 1}\n";
  for (int i = 1; i < 12; ++i) {
    const std::string before = concat("*a", i - 1), name = concat("a", i);
    text += name + ": &" + name + " {x: " + before + ", y: " + before + ", z: " + before + "}\n";
  }
  CHECK_THROWS_WITH_AS(parse_config(text, "c.yaml"), doctest::Contains("one key too many"), Error);
}

TEST_CASE("a configuration file that cannot be read is named") {
  const test::TempDir dir;
  CHECK_THROWS_WITH_AS(read_config(dir / "none.yaml"),
                       doctest::Contains("none.yaml' cannot be opened: No such"), Error);
  CHECK_THROWS_WITH_AS(read_config(dir.path()), doctest::Contains("is a folder"), Error);
}

TEST_CASE("written YAML lines read back as the same text") {
  for (const std::string value :
       {"plain", "true", "null", "~", "", "a: b", "# no", "- x", "1.5", "with \"quotes\"", "two\nlines",
        "\xC3\xA9", "*star", "&and", "[x]", "{y}", " edge "}) {
    CAPTURE(value);
    const auto one = parse_config(yaml_line("key", {value}, false), "c.yaml");
    REQUIRE(one.size() == 1);
    CHECK(one[0].values == std::vector<std::string>{value});
    const auto two = parse_config(yaml_line("key", {value, "b"}, true), "c.yaml");
    REQUIRE(two.size() == 1);
    CHECK(two[0].values == std::vector<std::string>{value, "b"});
  }
  CHECK(parse_config(yaml_line("null", {"1"}, false), "c.yaml")[0].key == "null");
  CHECK(parse_config(yaml_line("key", {}, true), "c.yaml")[0].values.empty());
}
