#include <fstream>
#include <vector>

#include "aikd/preprocess.h"
#include "io/image.h"
#include "io/table.h"
#include "tests/oracle/test_images.h"
#include "tests/support/test.h"

using namespace aikd;
using namespace aikd::test;
namespace fs = std::filesystem;

namespace {

RunResult crop(const std::string& arguments) {
  return run(concat("'", program("aikd-crop").string(), "' ", arguments));
}

std::string quoted(const fs::path& path) {
  return concat("'", path.string(), "'");
}

io::Image make_image(std::uint64_t seed, int width, int height) {
  io::Image image(width, height);
  image.pixels = make_pixels(seed, width, height);
  return image;
}

// Records of fields, the header first.
std::vector<std::vector<std::string>> rows_of(const std::string& csv) {
  std::istringstream in(csv);
  io::DelimitedReader reader(in, ',');
  io::DelimitedRecord record;
  std::vector<std::vector<std::string>> rows;
  while (reader.next(record)) rows.push_back(record.fields);
  return rows;
}

using Row = std::vector<std::string>;
const Row kHeader{"path", "output", "status", "error", "width", "height", "aligned"};

}  // namespace

TEST_CASE("aikd-crop resizes a folder and keeps relative names") {
  const TempDir dir;
  const fs::path in = dir / "in", out = dir / "out";
  fs::create_directories(in / "sub folder");
  const io::Image a = make_image(3, 60, 90), b = make_image(5, 200, 150);
  io::write_image(in / "a.png", a);
  io::write_image(in / "sub folder" / "\xC3\xA9.png", b);
  write_text(in / "notes.txt", "not an image, and not named like one");
  const RunResult result = crop(concat(quoted(in), " --out ", quoted(out)));
  CHECK_MESSAGE(result.exit_code == 0, result.err);
  const auto rows = rows_of(result.out);
  REQUIRE(rows.size() == 3);
  CHECK(rows[0] == kHeader);
  const fs::path out_a = out / "a.png", out_b = out / "sub folder" / "\xC3\xA9.png";
  CHECK(rows[1] == Row{(in / "a.png").string(), out_a.string(), "ok", "", "60", "90", "0"});
  CHECK(rows[2] ==
        Row{(in / "sub folder" / "\xC3\xA9.png").string(), out_b.string(), "ok", "", "200", "150", "0"});
  CHECK(io::read_image(out_a).image.pixels == resize(a, 112, 112).pixels);
  CHECK(io::read_image(out_b).image.pixels == resize(b, 112, 112).pixels);

  const RunResult newer =
      crop(concat(quoted(in), " --resize-order pillow13 --size 40 --out ", quoted(dir / "new")));
  CHECK(newer.exit_code == 0);
  CHECK(io::read_image(dir / "new" / "a.png").image.pixels ==
        resize(a, 40, 40, kernels::ResizeOrder::kPillow13).pixels);
}

TEST_CASE("aikd-crop aligns by landmarks") {
  const TempDir dir;
  const io::Image a = make_image(3, 130, 140);
  fs::create_directories(dir / "in");
  io::write_image(dir / "in" / "a.png", a);
  io::write_image(dir / "in" / "b.png", a);
  io::write_image(dir / "in" / "c.png", a);
  write_text(dir / "points.csv",
             "path,lx,ly,rx,ry,nx,ny,mlx,mly,mrx,mry\na.png,45,60,85,62,64,85,48,105,80,107\nc.png,5,5,5,5,5,"
             "5,5,5,5,5\n");
  const RunResult result = crop(
      concat(quoted(dir / "in"), " --landmarks ", quoted(dir / "points.csv"), " -o ", quoted(dir / "out")));
  CHECK(result.exit_code == 1);
  const auto rows = rows_of(result.out);
  REQUIRE(rows.size() == 4);
  CHECK(rows[1][2] == "ok");
  CHECK(rows[1][6] == "1");
  CHECK(rows[2][2] == "no-landmarks");
  CHECK(rows[2][1].empty());
  CHECK(rows[3][2] == "bad-landmarks");
  CHECK(rows[3][3].find("coincide") != std::string::npos);
  const Landmarks points{{{45, 60}, {85, 62}, {64, 85}, {48, 105}, {80, 107}}};
  CHECK(io::read_image(dir / "out" / "a.png").image.pixels == align_face(a, points).pixels);
  CHECK_FALSE(fs::exists(dir / "out" / "b.png"));

  const RunResult resized =
      crop(concat(quoted(dir / "in" / "b.png"), " --resize-without-landmarks --landmarks ",
                  quoted(dir / "points.csv"), " -o ", quoted(dir / "out2")));
  CHECK(resized.exit_code == 0);
  CHECK(rows_of(resized.out).at(1)[6] == "0");
}

TEST_CASE("aikd-crop applies the EXIF orientation unless told not to") {
  const TempDir dir;
  const fs::path image = golden_dir() / "preprocess" / "images" / "exif6.jpg";
  CHECK(rows_of(crop(concat(quoted(image), " -o ", quoted(dir / "a"))).out).at(1)[4] == "21");
  CHECK(rows_of(crop(concat(quoted(image), " --no-exif -o ", quoted(dir / "b"))).out).at(1)[4] == "33");
}

TEST_CASE("aikd-crop reads lists and writes JPEG and leaves failures in their rows") {
  const TempDir dir;
  fs::create_directories(dir / "in");
  io::write_image(dir / "in" / "a.png", make_image(3, 60, 60));
  write_text(dir / "in" / "bad.jpg", "not an image");
  write_text(dir / "list", concat((dir / "in" / "bad.jpg").string(), "\n", (dir / "none.png").string(), "\n",
                                  (dir / "in" / "a.png").string(), "\n"));
  const RunResult result = crop(concat("--list ", quoted(dir / "list"), " --format jpg --rows ",
                                       quoted(dir / "rows.csv"), " --out ", quoted(dir / "out")));
  CHECK(result.exit_code == 1);
  CHECK(result.out.empty());
  const auto rows = rows_of(read_text(dir / "rows.csv"));
  REQUIRE(rows.size() == 4);
  CHECK(rows[1][2] == "unsupported");
  CHECK(rows[2][2] == "unreadable");
  CHECK(rows[2][3] == "The file does not exist.");
  CHECK(rows[3][2] == "ok");
  CHECK(rows[3][1].ends_with("a.jpg"));
  CHECK(io::read_image(rows[3][1]).format == "JPEG");
}

TEST_CASE("aikd-crop never overwrites an input or an earlier crop") {
  const TempDir dir;
  const io::Image image = make_image(3, 60, 60);
  io::write_image(dir / "a.png", image);
  io::write_image(dir / "a.jpg", image);
  const RunResult named = crop(concat(quoted(dir / "a.jpg"), " ", quoted(dir / "a.png"), " --out / "));
  CHECK(named.exit_code == 1);
  const auto rows = rows_of(named.out);
  REQUIRE(rows.size() == 3);
  CHECK(rows[1][2] == "failed");
  CHECK(rows[1][3] == "The crop would overwrite an input.");
  CHECK(rows[2][2] == "failed");
  CHECK(io::read_image(dir / "a.png").image.pixels == image.pixels);

  const RunResult second =
      crop(concat(quoted(dir / "a.jpg"), " ", quoted(dir / "a.png"), " --out ", quoted(dir / "out")));
  CHECK(second.exit_code == 1);
  CHECK(rows_of(second.out).at(2)[3].starts_with("An earlier input has written its crop to "));

  for (const fs::path& out : {dir.path(), dir / "sub"}) {
    const RunResult inside = crop(concat(quoted(dir.path()), " --out ", quoted(out)));
    CHECK(inside.exit_code == 2);
    CHECK(inside.err.find("lies in the input folder") != std::string::npos);
    CHECK_FALSE(fs::exists(dir / "sub"));
  }
}

TEST_CASE("aikd-crop says what is wrong with a command line") {
  const TempDir dir;
  const auto error = [&](const std::string& arguments, int code) {
    const RunResult result = crop(arguments);
    CHECK_MESSAGE(result.exit_code == code, arguments);
    return result.err;
  };
  const auto has = [](const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
  };
  fs::create_directories(dir / "empty");
  write_text(dir / "file", "x");
  const std::string out = concat(" --out ", quoted(dir / "out"));
  CHECK(has(error(out, 2), "Nothing to do"));
  CHECK(has(error("x.png", 2), "--out"));
  CHECK(has(error(quoted(dir / "empty") + out, 2), "No image was found in the inputs."));
  CHECK(has(error(concat("x.png --landmarks ", quoted(dir / "none"), out), 2), "cannot be opened"));
  CHECK(has(error(concat("x.png --landmarks ", quoted(dir / "file"), out), 2), "no column 'path'"));
  CHECK(has(error("x.png --size 0" + out, 2), "--size"));
  CHECK(has(error("x.png --format gif" + out, 2), "--format"));
  CHECK(has(error(concat(quoted(dir / "file"), " --out ", quoted(dir / "file" / "x")), 4), "cannot be made"));
  CHECK(crop("--version").out.starts_with("aikd-crop "));
}
