#include "aikd/landmark_file.h"

#include <string>

#include "tensor/error.h"
#include "tests/support/test.h"

using namespace aikd;
using namespace aikd::test;

namespace {

const std::string kHeader = "path,lx,ly,rx,ry,nx,ny,mlx,mly,mrx,mry\n";

LandmarkFile parse(const std::string& text) {
  return LandmarkFile::parse({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}, "'points'");
}

std::string parse_error(const std::string& text) {
  try {
    parse(text);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kInput);
    return error.what();
  }
  return "no error";
}

constexpr Landmarks kCounted{{{1, 2}, {3, 4}, {5, 6}, {7, 8}, {9, 10}}};

// Protocol 2, as Python writes {"a/b.jpg": value}.
std::string pickle(const std::string& value) {
  std::string text("\x80\x02}X\x07\0\0\0a/b.jpg", 15);
  return concat(text, value, "s.");
}

// A list or tuple of five tuples of two integers, 1 to 10.
std::string five_tuples(bool list) {
  std::string text(list ? "](" : "(");
  for (int i = 0; i < 5; ++i) {
    text += 'K';
    text += static_cast<char>(2 * i + 1);
    text += 'K';
    text += static_cast<char>(2 * i + 2);
    text += '\x86';
  }
  return concat(text, list ? "e" : "t");
}

}  // namespace

TEST_CASE("landmarks from CSV in any order of columns") {
  const LandmarkFile file =
      parse("mry,score,path,lx,ly,rx,ry,nx,ny,mlx,mly,mrx\n10,0.5,a/b.jpg,1,2,3,4,5,6,7,8,9\n");
  CHECK(file.size() == 1);
  CHECK(file.find("a/b.jpg") == kCounted);
  CHECK_FALSE(file.find("b.jpg").has_value());
  CHECK_FALSE(file.find("xa/b.jpg").has_value());
}

TEST_CASE("landmarks from CSV with byte order mark and quotes and CRLF and blank lines") {
  const LandmarkFile file = parse(
      "\xEF\xBB\xBFpath,lx,ly,rx,ry,nx,ny,mlx,mly,mrx,mry\r\n\r\n"
      "\"with, comma and \"\"quotes\"\".jpg\",1,2,3,4,5,6,7,8,9,10\r\n"
      "\xC3\xA9t\xC3\xA9.jpg,1,2,3,4,5,6,7,8,9,\"10\"");
  CHECK(file.size() == 2);
  CHECK(file.find("x/with, comma and \"quotes\".jpg") == kCounted);
  CHECK(file.find("\xC3\xA9t\xC3\xA9.jpg") == kCounted);
}

TEST_CASE("landmarks from a table with tabs") {
  CHECK(parse("path\tlx\tly\trx\try\tnx\tny\tmlx\tmly\tmrx\tmry\na b.png\t1\t2\t3\t4\t5\t6\t7\t8\t9\t1e1\n")
            .find("a b.png") == kCounted);
}

TEST_CASE("the longest tail of whole components finds the landmarks") {
  const LandmarkFile file =
      parse(kHeader +
            "01.jpg,1,2,3,4,5,6,7,8,9,10\nA/01.jpg,2,2,3,4,5,6,7,8,9,10\n"
            "./test//A/../A/01.jpg,3,2,3,4,5,6,7,8,9,10\n/abs/01.jpg,4,2,3,4,5,6,7,8,9,10\n");
  CHECK(file.size() == 4);
  const auto first = [&](const char* path) { return file.find(path).value_or(Landmarks{})[0].x; };
  CHECK(first("01.jpg") == 1);
  CHECK(first("B/01.jpg") == 1);
  CHECK(first("data/A/01.jpg") == 2);
  CHECK(first("data/test/A/01.jpg") == 3);
  CHECK(first("./data/x/../test/./A//01.jpg") == 3);
  CHECK(first("/abs/01.jpg") == 4);
  CHECK(first("/other/abs/01.jpg") == 1);
  CHECK_FALSE(file.find("A/1.jpg").has_value());
  CHECK_FALSE(file.find("").has_value());
}

TEST_CASE("a wrong landmark CSV is refused with line and reason") {
  CHECK(parse_error("") == "'points': the landmark file is empty.");
  CHECK(parse_error("\xEF\xBB\xBF") == "'points': the file holds no header.");
  CHECK(parse_error(kHeader) == "'points': the landmark file has no entries.");
  CHECK(parse_error("path,lx,ly,rx,ry,nx,ny,mlx,mly,mrx\n") ==
        "'points', line 1: the header has no column 'mry'; expected path,lx,ly,rx,ry,nx,ny,mlx,mly,mrx,mry "
        "in any order.");
  CHECK(parse_error("path,path,lx,ly,rx,ry,nx,ny,mlx,mly,mrx,mry\n") ==
        "'points', line 1: the header has the column 'path' 2 times.");
  CHECK(parse_error(kHeader + "a,1,2,3\n") == "'points', line 2: the row has 4 fields; the header has 11.");
  CHECK(parse_error(kHeader + "a,1,2,3,4,5,6,7,8,9,10,11\n") ==
        "'points', line 2: the row has 12 fields; the header has 11.");
  CHECK(parse_error(kHeader + "\na,1,2,3,4,5,six,7,8,9,10\n") ==
        "'points', line 3: the coordinate ny is 'six', not a number.");
  CHECK(parse_error(kHeader + "a,1,2,3,4,5,6,7,8,9,\n") ==
        "'points', line 2: the coordinate mry is '', not a number.");
  CHECK(parse_error(kHeader + "a,1,2,3,4,5,6,7,8,9,10x\n") ==
        "'points', line 2: the coordinate mry is '10x', not a number.");
  CHECK(parse_error(kHeader + "a,nan,2,3,4,5,6,7,8,9,10\n") ==
        "'points', line 2: the coordinate lx is 'nan', not a number.");
  CHECK(parse_error(kHeader + "a,1,-inf,3,4,5,6,7,8,9,10\n") ==
        "'points', line 2: the coordinate ly is -inf, not a finite number.");
  CHECK(parse_error(kHeader + ",1,2,3,4,5,6,7,8,9,10\n") == "'points', line 2: the path is empty.");
  CHECK(parse_error(kHeader + "a,1,2,3,4,5,6,7,8,9,10\n./a,1,2,3,4,5,6,7,8,9,10\n") ==
        "'points', line 3: the path './a' appears a second time.");
  CHECK(parse_error(kHeader + "\"a\"b,1,2,3,4,5,6,7,8,9,10\n").starts_with("'points': Line 2: "));
}

TEST_CASE("landmarks from JSON in its three shapes") {
  CHECK(parse(R"({"a.jpg": [[1,2],[3,4],[5,6],[7,8],[9,10]], "none.jpg": null})").find("a.jpg") == kCounted);
  CHECK(parse(R"( {"a.jpg": [1,2,3,4,5,6,7,8,9,10.0]})").find("x/a.jpg") == kCounted);
  const LandmarkFile file = parse(
      R"([{"path":"a.jpg","landmarks":[1,2,3,4,5,6,7,8,9,10],"score":1},{"path":"b.jpg","landmarks":null}])");
  CHECK(file.size() == 1);
  CHECK(file.find("a.jpg") == kCounted);
}

TEST_CASE("a wrong landmark JSON is refused with its entry and reason") {
  CHECK(parse_error("{\"a\": [1,2").starts_with("'points': the JSON cannot be parsed: "));
  CHECK(parse_error("[]") == "'points': the landmark file has no entries.");
  CHECK(parse_error("{}") == "'points': the landmark file has no entries.");
  CHECK(parse_error(R"({"a":1})") ==
        "'points', entry 'a': the points are not an array; expected five points [x, y] or ten numbers.");
  CHECK(
      parse_error(R"({"a":[1,2,3]})") ==
      "'points', entry 'a': the array of points has 3 elements; expected five points [x, y] or ten numbers.");
  CHECK(parse_error(R"({"a":[[1,2],[3,4],[5],[7,8],[9,10]]})") ==
        "'points', entry 'a': point 3 is not an array of two numbers; expected five points [x, y] or ten "
        "numbers.");
  CHECK(parse_error(R"({"a":[1,2,3,4,5,6,7,8,9,"10"]})") ==
        "'points', entry 'a': a coordinate is of the type string, not a number.");
  CHECK(parse_error(R"({"a":[1,2,3,4,5,6,7,8,9,10],"a":[1,2,3,4,5,6,7,8,9,10]})") ==
        "'points': the path 'a' appears a second time.");
  CHECK(parse_error(R"({"a":[1,2,3,4,5,6,7,8,9,10],"./a":[1,2,3,4,5,6,7,8,9,10]})")
            .ends_with("a second time."));
  CHECK(parse_error(R"([{"path":"a","landmarks":[1,2,3,4,5,6,7,8,9,10]},{"landmarks":[]}])") ==
        "'points', element 2: expected an object with a string \"path\" and \"landmarks\".");
  CHECK(parse_error(R"([3])").starts_with("'points', element 1: expected an object"));
  CHECK(parse_error("{\"a\":[1,2,3,4,5,6,7,8,9,1e999]}") != "no error");
  // Deep nesting neither crashes nor is quoted.
  CHECK(parse_error(concat("{\"a\":", std::string(200000, '['), std::string(200000, ']'), "}")) !=
        "no error");
}

TEST_CASE("landmarks from the original's pickle") {
  CHECK(parse(pickle(five_tuples(true))).find("a/b.jpg") == kCounted);
  CHECK(parse(pickle(five_tuples(false))).find("a/b.jpg") == kCounted);
  CHECK(parse(pickle(concat("N", five_tuples(true), "\x86"))).find("x/a/b.jpg") ==
        kCounted);  // (None, points)
  CHECK(parse(pickle(concat("](N", five_tuples(false), "Ne"))).find("a/b.jpg") ==
        kCounted);  // [None, points, None]
  for (const std::string shape : {"float64", "float32", "int64", "second", "rows", "scalars", "fortran"}) {
    for (const std::string protocol : {"2", "4"}) {
      const LandmarkFile file = LandmarkFile::read(golden_dir() / "preprocess" /
                                                   concat("landmarks_", shape, "_", protocol, ".pkl"));
      INFO(shape, " at protocol ", protocol);
      CHECK(file.size() == 1);
      CHECK(file.find("data/n000001/0001_01.jpg") == kCounted);
    }
  }
}

TEST_CASE("a wrong landmark pickle is refused with its entry and reason") {
  const std::string wrong =
      "'points', entry 'a/b.jpg': neither the value nor its element [1] is a 5x2 array of numbers.";
  CHECK(parse_error(pickle("K\x05")) == wrong);
  CHECK(parse_error(pickle("]")) == wrong);
  CHECK(parse_error(pickle("](K\x01K\x02"
                           "e")) == wrong);
  CHECK_THROWS_WITH_AS(
      LandmarkFile::read(golden_dir() / "preprocess" / "landmarks_transposed_4.pkl"),
      doctest::Contains("entry 'n000001/0001_01.jpg': neither the value nor its element [1] is a 5x2"),
      Error);
  CHECK(parse_error(pickle("N")) == "'points': the landmark file has no entries.");
  CHECK(parse_error(pickle("NN\x86")) == "'points': the landmark file has no entries.");
  CHECK(parse_error("\x80\x02].") == "'points': the pickle is not a dict of landmarks by name.");
  CHECK(parse_error("\x80\x02}K\x01K\x02s.") == "'points', entry 1: the key is not a string.");
  CHECK(parse_error("\x80\x02"
                    "cos\nsystem\nX")
            .starts_with("'points': "));
  CHECK(parse_error("\x80\x02").starts_with("'points': "));
}

TEST_CASE("a landmark file that cannot be read says why") {
  const TempDir dir;
  const auto read_error = [](const std::filesystem::path& path) -> std::string {
    try {
      LandmarkFile::read(path);
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kInput);
      return error.what();
    }
    return "no error";
  };
  CHECK(read_error(dir / "none.csv")
            .ends_with("none.csv': the landmark file cannot be opened: No such file or directory."));
  CHECK(read_error(dir.path()).ends_with("': the landmark file is a folder."));
  write_text(dir / "bad.csv", "a,b\n");
  CHECK(read_error(dir / "bad.csv").find("bad.csv', line 1: the header has no column 'path'") !=
        std::string::npos);
  write_text(dir / "good.csv", kHeader + "a.jpg,1,2,3,4,5,6,7,8,9,10\n");
  CHECK(LandmarkFile::read(dir / "good.csv").find("a.jpg") == kCounted);
}

TEST_CASE("the landmark files of the data folder are read") {
  const auto data = data_dir();
  if (data.empty()) AIKD_SKIP("no real landmark files here");
  const LandmarkFile lfw = LandmarkFile::read(data / "lfw" / "landmarks.csv");
  CHECK(lfw.size() == 9715);
  const auto points = lfw.find(data / "lfw" / "images" / "Aaron_Eckhart" / "Aaron_Eckhart_0001.jpg");
  REQUIRE(points.has_value());
  CHECK((*points)[0] == Point{64.2, 64.2});
  CHECK((*points)[4] == Point{83.4, 96.6});
  CHECK(LandmarkFile::read(data / "cfp" / "landmarks.csv").size() == 6991);
}
