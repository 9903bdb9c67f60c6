#include "io/pickle.h"

#include <cmath>
#include <limits>

#include "tests/io/golden_values.h"

namespace aikd::test {
namespace {

using io::PickleDict;
using io::PickleRef;
using nlohmann::json;
using namespace std::string_literals;

PickleRef read(const std::string& text) {
  return io::read_pickle(as_bytes(text));
}
json value_of(const std::string& text) {
  return golden_value(*read(text));
}
std::string error(const std::string& text) {
  return error_of(ErrorKind::kInput, [&] { (void)read(text); });
}

json golden(const std::string& area) {
  json expected = json::parse(read_text(golden_dir() / "io" / area / "expected.json"));
  REQUIRE(!expected.at("files").empty());
  return expected;
}

void compare(const std::string& name) {
  json expected = golden("pickle");
  json& value = expected.at("values").at(name);
  if (name == "plain") {
    for (json& item : value.at("dict")) {
      if (item[0] == "surrogate") item[1] = "caf\xe9.jpg";
    }
  }
  int files = 0;
  for (const auto& item : expected.at("files").items()) {
    const std::string& file = item.key();
    if (item.value() != name) continue;
    INFO(file);
    const json got = golden_value(*io::read_pickle(read_bytes(golden_dir() / "io" / "pickle" / file)));
    CHECK(got == value);
    ++files;
  }
  CHECK(files == (name == "plain" ? 6 : 12));
}

TEST_CASE("pickle plain data of protocols 0 to 5") {
  compare("plain");
}
TEST_CASE("pickle landmarks with numpy arrays of protocols 0 to 5") {
  compare("landmarks");
}
TEST_CASE("pickle scores with numpy scalars of protocols 0 to 5") {
  compare("scores");
}

TEST_CASE("pickle of real quality scores") {
  const std::filesystem::path path = data_dir() / "formats" / "quality_scores_protocol4.pkl";
  if (data_dir().empty() || !std::filesystem::exists(path)) AIKD_SKIP("no real score pickle here");
  const PickleRef root = io::read_pickle(read_bytes(path));
  const auto& items = std::get<PickleDict>(root->v).items;
  CHECK(items.size() == 13'233);
  double sum = 0;
  for (const auto& [key, value] : items) {
    CHECK(std::get<std::string>(key->v).ends_with(".jpg"));
    sum += std::get<double>(value->v);
  }
  CHECK_FALSE(!(std::abs(sum - 4101.276035108277) <= 1e-9));  // what Python adds up
}

TEST_CASE("pickle opcodes that current Python does not write") {
  CHECK(value_of("S'it\\'s \\x41\\101\\n\\q'\n.") == "it's AA\n\\q");
  CHECK(value_of("S\"double\"\n.") == "double");
  CHECK(value_of("U\x03"
                 "abc.") == "abc");
  CHECK(value_of("T\x03\0\0\0abc."s) == "abc");
  CHECK(value_of("V\\\\u0041\\u00e9\xe9\n.") == "\\\\u0041\xc3\xa9\xc3\xa9");  // two backslashes: no escape
  CHECK(value_of("\x8b\x02\0\0\0\xff\xff."s) == -1);
  CHECK(value_of("\x8a\0."s) == 0);
  CHECK(value_of("\x8a\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff.") == -1);  // 10 bytes, but small
  CHECK(value_of("\x8d\x01\0\0\0\0\0\0\0a."s) == "a");
  CHECK(value_of("\x8e\x01\0\0\0\0\0\0\0a."s) == json{{"bytes", "61"}});
  CHECK(value_of("(1N.") == nullptr);  // POP_MARK
  CHECK(value_of("(0N.") == nullptr);  // POP of a mark
  CHECK(value_of("N20.") == nullptr);  // DUP, POP
  CHECK(value_of("(I1\nI2\nl.") == json{{"list", {1, 2}}});
  CHECK(value_of("(I1\nI2\nd.") == json{{"dict", {{1, 2}}}});
  CHECK(value_of("L5L\n.") == 5);
  CHECK(value_of("L5\n.") == 5);
}

TEST_CASE("pickle OrderedDict as Python 2 wrote it") {
  const std::string pairs = "(lp0\n(lp1\nS'b'\naI2\naa(I1\nI3\nta";  // [['b', 2], (1, 3)]
  CHECK(value_of("ccollections\nOrderedDict\n(" + pairs + "tR.") == json{{"dict", {{"b", 2}, {1, 3}}}});
  const std::string head = "ccollections\nOrderedDict\n";
  CHECK(value_of(head + ")R}S'_metadata'\nNsb.") == json{{"dict", json::array()}});  // attributes are dropped
  CHECK(contains(error(head + "N\x85R."), "builds an OrderedDict from None; expected a list of pairs"));
  CHECK(contains(error(head + "]Na\x85R."), "a list that does not hold pairs"));
  CHECK(contains(error(head + "](]Nta\x85R."), "has a list as the key of a dict"));
}

TEST_CASE("pickle dict lookup") {
  const PickleRef root = read("(S'a'\nI1\nS'b'\nI2\nd.");
  const auto& dict = std::get<PickleDict>(root->v);
  CHECK(std::get<std::int64_t>(dict.find("b")->v) == 2);
  CHECK(dict.find("c") == nullptr);
}

TEST_CASE("pickle refuses globals by name") {
  CHECK(contains(error("cos\nsystem\n(S'ls'\ntR."),
                 "asks for the global 'os.system', which this reader does not build (at its byte 0)"));
  CHECK(contains(error("\x80\x04\x8c\x05posix\x8c\x06system\x93."), "the global 'posix.system'"));
  CHECK(contains(error("cbuiltins\neval\n."), "the global 'builtins.eval'"));
  CHECK(contains(error("cnumpy.core.multiarray\nfrombuffer\n."), "'numpy.core.multiarray.frombuffer'"));
  CHECK(contains(error("c\x1b[2J\nx\n."), R"('\x1b[2J.x')"));
  CHECK(contains(error("NN\x93."), "names a global by None and None instead of two strings"));
  CHECK(contains(error("cnumpy\nndarray\n."), "holds the global 'numpy.ndarray' as a value"));
  CHECK(contains(error("cnumpy\nndarray\n)R."), "calls numpy.ndarray"));
  CHECK(contains(error("cnumpy\nndarray\nNb."), "sets the state of the global 'numpy.ndarray'"));
}

TEST_CASE("pickle refuses other opcodes by name") {
  const std::pair<const char*, const char*> refused[] = {{"(ios\nsystem\n.", "INST"},
                                                         {"(cos\nsystem\no.", "os.system"},
                                                         {"(o.", "OBJ"},
                                                         {"\x92.", "NEWOBJ_EX"},
                                                         {"\x82\x01.", "EXT1"},
                                                         {"\x83\x01\x01.", "EXT2"},
                                                         {"\x84\x01\x01\x01\x01.", "EXT4"},
                                                         {"\x8f.", "EMPTY_SET"},
                                                         {"\x90.", "ADDITEMS"},
                                                         {"(\x91.", "FROZENSET"},
                                                         {"\x97.", "NEXT_BUFFER"},
                                                         {"\x98.", "READONLY_BUFFER"}};
  for (const auto& item : refused) {
    INFO(std::string(item.second));
    CHECK(contains(error(item.first), item.second));
  }
  CHECK(contains(error("Z"), "has the byte 0x5a where an opcode was expected"));
  CHECK(contains(error("P0\n."), "refers to data outside of itself"));
  CHECK(contains(error("NQ."), "refers to data outside of itself"));
}

TEST_CASE("pickle refuses broken streams") {
  CHECK(contains(error(""), "is truncated: 1 more bytes were expected, 0 are left"));
  CHECK(contains(error("N"), "is truncated"));
  CHECK(contains(error("\x80\x06N."), "has protocol 6; protocols 0 to 5 are read"));
  CHECK(contains(error("\x95\xff\0\0\0\0\0\0\0N."s), "a frame of 255 bytes, of which 2 are left"));
  CHECK(contains(error("X\xff\xff\xff\xff"
                       "abc."),
                 "4294967295 more bytes were expected, 4 are left"));
  CHECK(contains(error("\x8d\xff\xff\xff\xff\xff\xff\xff\xff."), "18446744073709551615 more bytes"));
  CHECK(contains(error("I12"), "a line without an end"));
  CHECK(contains(error("."), "takes more values from its stack than there are"));
  CHECK(contains(error("N(."), "takes more values from its stack than there are"));
  CHECK(contains(error("NN."), "ends with more than one value on its stack"));
  CHECK(contains(error("(N."), "ends with more than one value on its stack"));
  CHECK(contains(error("N(\x85."), "takes more values"));  // not from below a mark
  CHECK(contains(error("t."), "asks for a mark that was not set"));
  CHECK(contains(error("h\x05."), "asks for the memo entry 5, which was not set"));
  CHECK(contains(error("g5\n."), "asks for the memo entry 5, which was not set"));
  CHECK(contains(error("gx\n."), "has the memo index 'x', which is not a number"));
  CHECK(contains(error("Np-1\n."), "has the memo index '-1', which is not a number"));
  CHECK(contains(error("q\0."s), "takes more values"));
  CHECK(contains(error("N.N"), "is followed by 1 bytes that do not belong to it"));
  CHECK(contains(error("N.\n\n"), "is followed by 2 bytes"));
}

TEST_CASE("pickle refuses wrong operands") {
  CHECK(contains(error("NNa."), "appends to None, which is not a list"));
  CHECK(contains(error("}(Ne."), "appends to a dict, which is not a list"));
  CHECK(contains(error("]NNs."), "sets items of a list, which is not a dict"));
  CHECK(contains(error("}(Nu."), "has a dict with a key that lacks its value"));
  CHECK(contains(error("(Nd."), "has a dict with a key that lacks its value"));
  CHECK(contains(error("}]Ns."), "has a list as the key of a dict"));
  CHECK(contains(error("}}Ns."), "has a dict as the key of a dict"));
  CHECK(contains(error("N)R."), "calls None as if it were a function"));
  CHECK(contains(error("NNR."), "calls something with None instead of a tuple"));
  CHECK(contains(error("]Nb."), "sets the state of a list"));
  CHECK(contains(error("Ix\n."), "has the integer 'x', which is not one of 64 bits"));
  CHECK(contains(error("I9223372036854775808\n."), "which is not one of 64 bits"));
  CHECK(contains(error("L9223372036854775808L\n."), "which is not one of 64 bits"));
  CHECK(
      contains(error("\x8a\x09\0\0\0\0\0\0\0\0\x01."s), "holds an integer of more than 64 bits as a value"));
  CHECK(
      contains(error("\x8a\x09\0\0\0\0\0\0\0\x80\0."s), "holds an integer of more than 64 bits as a value"));
  CHECK(contains(error("F1.5x\n."), "has the floating-point number '1.5x', which is none"));
}

TEST_CASE("pickle refuses broken strings") {
  CHECK(contains(error("X\x01\0\0\0\xff."s), "which is not valid UTF-8"));
  CHECK(contains(error("X\x03\0\0\0\xed\xa0\x80."s), "which is not valid UTF-8"));  // U+D800
  CHECK(contains(error("Sabc\n."), "has a string literal without quotes"));
  CHECK(contains(error("S'\n."), "has a string literal without quotes"));
  CHECK(contains(error("S'a\\'\n."), "ends in a backslash"));
  CHECK(contains(error("S'\\xg1'\n."), "a broken escape sequence"));
  CHECK(contains(error("V\\u12\n."), "a broken escape sequence"));
  CHECK(contains(error("V\\ud800\n."), "the character code 55296, which is not a Unicode character"));
  CHECK(contains(error("V\\U00110000\n."), "the character code 1114112"));
  const std::string encode = "c_codecs\nencode\n";
  CHECK(value_of(encode + "X\x02\0\0\0\xc3\xa9X\x06\0\0\0latin1\x86R."s) == json{{"bytes", "e9"}});
  CHECK(contains(error(encode + "X\x03\0\0\0\xe4\xba\xbaX\x06\0\0\0latin1\x86R."s),
                 "as Latin-1 that is outside of it"));
  CHECK(contains(error(encode + "X\x01\0\0\0aX\x05\0\0\0utf-8\x86R."s),
                 "in another way than from text in Latin-1"));
  CHECK(contains(error("c__builtin__\nbytes\nI5\n\x85R."), "in another way than from text in Latin-1"));
  CHECK(contains(error("c__builtin__\nbytes\nC\0N\x86R."s), "from bytes and further arguments"));
}

TEST_CASE("pickle refuses duplicate keys") {
  CHECK(contains(error("}(X\1\0\0\0aNX\1\0\0\0aNu."s), "a dict with the key 'a' twice"));
  CHECK(contains(error("}I7\nNsI7\nNs."), "a dict with the key 7 twice"));
  CHECK(contains(error("}X\x01\x10\0\0"s + std::string(4097, 'k') + "Ns."),
                 "a key of 4097 bytes; at most 4096"));
}

TEST_CASE("pickle refuses containers that contain themselves") {
  CHECK(contains(error("]2a."), "holds a list that contains itself"));
  CHECK(contains(error("]q\0}q\1I1\nh\0sa."s), "that contains itself"));
  CHECK(contains(error("]2a0N."), "holds a list that contains itself"));  // not part of the result
  CHECK(contains(error("](h\0."s), "was not set"));
  CHECK(contains(error("]q\0h\0\x85q\1ah\1Z"s), "0x5a"));  // fails with a cycle in its hands
}

TEST_CASE("pickle refuses what grows beyond its size") {
  const std::string deep = "N" + std::string(1'000'000, '\x85') + ".";
  CHECK(contains(error(deep), "nested more than 100 levels deep"));
  CHECK(contains(error(deep.substr(0, 1'000'001) + "0N."), "nested more than 100 levels deep"));
  CHECK(contains(error(deep.substr(0, 1'000'001) + "Z"), "0x5a"));  // freed without recursion
  CHECK(value_of("N" + std::string(100, '\x85') + ".").is_object());
  std::string laughs = "]";
  for (char i = 0; i < 60; ++i) laughs += "q"s + i + "0](h" + i + "h" + i + "e";
  CHECK(contains(error(laughs + "."), "shares its parts so often that it would grow to"));
  // A megabyte of bytes, copied by every call of two opcodes.
  std::string copies = "cbuiltins\nbytes\nq\0B\0\0\x10\0"s + std::string(1U << 20, 'x') + "\x85q\1"s;
  for (int i = 0; i < 100; ++i) copies += "h\0h\1R0"s;
  CHECK(contains(error(copies + "."), "copies its parts so often"));
}

std::string dtype(const std::string& name, const std::string& state = "(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb") {
  return "cnumpy\ndtype\n(S'" + name + "'\nI0\nI1\ntR" + state;
}
std::string array(const std::string& type, const std::string& shape, const std::string& data) {
  return "cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n" + shape + type +
         "I00\n" + data + "tb.";
}

TEST_CASE("pickle refuses broken numpy values") {
  const std::string scalar = "cnumpy.core.multiarray\nscalar\n(";
  CHECK(value_of(scalar + dtype("f4") + "U\x04\0\0\x80\x3ftR."s) == json{{"float", "000000000000f03f"}});
  CHECK(contains(error(scalar + dtype("f4") +
                       "U\x03"
                       "abctR."),
                 "a numpy scalar of 3 bytes; its dtype takes 4"));
  CHECK(contains(error(scalar + "tR."), "a numpy scalar from 0 values"));
  CHECK(contains(error(scalar + "NNtR."), "has None where a numpy.dtype was expected"));
  CHECK(contains(error(scalar + dtype("f4") + "NtR."), "has None as the values of a numpy array"));
  CHECK(contains(error(scalar + dtype("u8") + "U\x08\xff\xff\xff\xff\xff\xff\xff\xfftR."),
                 "above the range of 64-bit"));
  CHECK(contains(error("cnumpy\ndtype\n)R."), "builds a numpy.dtype without its name"));
  CHECK(contains(error(dtype("O8") + "."), "has a numpy.dtype of 'O8'"));
  CHECK(contains(error(dtype("f16") + "."), "has a numpy.dtype of 'f16'"));
  CHECK(contains(error(dtype("V8") + "."), "has a numpy.dtype of 'V8'"));
  CHECK(contains(error(dtype("f4", "Nb.")), "a numpy.dtype a state that this reader does not know"));
  CHECK(contains(error(dtype("f4", "(I3\nS'!'\nNNNtb.")), "the byte order '!'"));
  CHECK(contains(error(dtype("f4", "(I3\nS'<'\nN(S'a'\ntNtb.")), "a structured numpy.dtype"));
  CHECK(contains(error(dtype("f4") + "."), "holds a numpy.dtype as a value"));

  const std::string four =
      "U\x04"
      "abcd";
  CHECK(value_of(array(dtype("f4"), "(I1\nt", four)) ==
        json{{"tensor", "F32"}, {"shape", {1}}, {"data", "61626364"}});
  CHECK(contains(error(array(dtype("f4"), "(I2\nt", four)), "shape [2] with 4 bytes of values; expected 8"));
  CHECK(contains(error(array(dtype("f4"), "(I-1\nt", four)), "whose shape is negative or too large"));
  CHECK(contains(error(array(dtype("f4"), "(I4611686018427387904\nI4\nt", four)), "negative or too large"));
  CHECK(contains(error(array(dtype("f4"), "(I1\nI1\nI1\nI1\nI1\nI1\nI1\nI1\nI1\nt", four)), "9 dimensions"));
  CHECK(contains(error(array(dtype("f4"), "N", four)), "has None as the shape of a numpy array"));
  CHECK(contains(error(array(dtype("f4"), "(Nt", four)), "has None as the dimension of a numpy array"));
  CHECK(contains(error(array(dtype("f4"), "(I1\nt", "]")), "has a list as the values of a numpy array"));
  CHECK(contains(error(array("N", "(I1\nt", four)), "has None where a numpy.dtype was expected"));
  CHECK(contains(error(array(dtype("u8"), "(I1\nt", "U\x08\xff\xff\xff\xff\xff\xff\xff\xff")),
                 "above 64-bit signed"));
  const std::string reconstruct = "cnumpy.core.multiarray\n_reconstruct\n(";
  CHECK(contains(error(reconstruct + "tR."), "reconstructs something else than a numpy.ndarray"));
  CHECK(contains(error(reconstruct + "cnumpy\nndarray\ntR."),
                 "holds a numpy array without its values as a value"));
  CHECK(contains(error(reconstruct + "cnumpy\nndarray\ntRNb."),
                 "a numpy array a state that this reader does not"));
  CHECK(contains(error("cnumpy.core.numeric\n_frombuffer\n)R."),
                 "from a buffer in a way that this reader does not"));
}

TEST_CASE("pickle of scores is read back and is loadable by Python") {
  std::vector<std::pair<std::string, float>> scores = {
      {"a/b.jpg", 0.1F},
      {"Zo\xc3\xab.jpg", -3e-39F},
      {"caf\xe9.jpg", std::numeric_limits<float>::infinity()},
      {std::string(300, 'x'), 1.0F},
      {"a/b.jpg", 0.5F}};
  const std::vector<std::uint8_t> bytes = io::write_score_pickle(scores);
  scores[0].second = 0.5F;  // of equal paths the last score, at the first place
  scores.pop_back();
  const PickleRef root = io::read_pickle(bytes);
  const auto& items = std::get<PickleDict>(root->v).items;
  REQUIRE(items.size() == scores.size());
  for (std::size_t i = 0; i < scores.size(); ++i) {
    CHECK(std::get<std::string>(items[i].first->v) == scores[i].first);
    CHECK(std::get<double>(items[i].second->v) == static_cast<double>(scores[i].second));
  }
  // The script that made these bytes by hand also loaded them in Python.
  const json expected = golden("pickle").at("written_scores");
  CHECK(hex(bytes.data(), bytes.size()) == expected.get<std::string>());
}

TEST_CASE("pickle of scores of any number of batches") {
  for (const std::size_t count : {0U, 1U, 999U, 1000U, 1001U, 2000U, 2001U}) {
    std::vector<std::pair<std::string, float>> scores;
    for (std::size_t i = 0; i < count; ++i) scores.emplace_back(std::to_string(i), static_cast<float>(i));
    const PickleRef root = io::read_pickle(io::write_score_pickle(scores));
    const auto& items = std::get<PickleDict>(root->v).items;
    REQUIRE(items.size() == count);
    for (std::size_t i = 0; i < count; ++i)
      CHECK(std::get<double>(items[i].second->v) == static_cast<double>(i));
  }
}

}  // namespace
}  // namespace aikd::test
