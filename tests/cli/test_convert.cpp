#include <nlohmann/json.hpp>

#include "io/sha256.h"
#include "tests/support/test.h"

using namespace aikd;
using namespace aikd::test;

namespace {

RunResult convert(const std::string& arguments) {
  return run("'" + program("aikd-convert").string() + "' " + arguments);
}
std::string quoted(const std::filesystem::path& path) {
  return "'" + path.string() + "'";
}
bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("aikd-convert: init and info and verify and the way back work together") {
  const TempDir dir;
  const auto model = dir / "model.safetensors", torch = dir / "torch.safetensors",
             again = dir / "again.safetensors";
  const auto made =
      convert("init " + quoted(model) + " --architecture mobilefacenet --head mlp --seed 5 --images 4");
  REQUIRE_MESSAGE(made.exit_code == 0, made.err);
  CHECK(contains(made.err, "ai-kd, mobilefacenet, head mlp"));
  CHECK(contains(made.err, "its scores mean nothing"));
  CHECK(made.out.empty());

  const auto verified = convert("verify " + quoted(model) + " --sha256 " + io::sha256_file(model));
  CHECK(verified.exit_code == 0);
  CHECK(contains(verified.out, "OK ai-kd, mobilefacenet"));

  const auto info = convert("info --json " + quoted(model));
  CHECK(info.exit_code == 0);
  const auto json = nlohmann::json::parse(info.out);
  CHECK(json.at("container") == "model");
  CHECK(json.at("architecture") == "mobilefacenet");
  CHECK(json.at("metadata").at("aikd.untrained") == "1");
  CHECK(json.at("sha256") == io::sha256_file(model));

  CHECK(convert("--to-torch-layout " + quoted(model) + " " + quoted(torch)).exit_code == 0);
  const auto converted = convert(quoted(torch) + " " + quoted(again) + " --score-map linear:0,1");
  REQUIRE_MESSAGE(converted.exit_code == 0, converted.err);
  CHECK(contains(convert("info " + quoted(again)).out, "metadata aikd.score_map: linear:0,1\n"));
  // Way back once more: the tensors are the same bytes.
  const auto torch2 = dir / "torch2.safetensors";
  CHECK(convert("--to-torch-layout " + quoted(again) + " " + quoted(torch2)).exit_code == 0);
  const auto payload = [](const std::filesystem::path& path) {
    const std::string bytes = read_text(path);
    std::uint64_t header = 0;
    for (std::size_t i = 0; i < 8; ++i) {
      header |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
    }
    return bytes.substr(8 + header);
  };
  CHECK(payload(torch) == payload(torch2));
}

TEST_CASE("aikd-convert: the same seed makes the same file") {
  const TempDir dir;
  const std::string options = " --architecture mobilefacenet --head none --seed 9 --images 2 -q";
  for (const char* name : {"a", "b"}) {
    const auto made = convert("init " + quoted(dir / name) + options);
    CHECK(made.exit_code == 0);
    CHECK(made.err.empty());
  }
  CHECK(read_text(dir / "a") == read_text(dir / "b"));
}

TEST_CASE("aikd-convert: mistakes on the command line are usage errors") {
  const TempDir dir;
  const auto out = quoted(dir / "out.safetensors");
  struct Case {
    std::string arguments, sentence;
  };
  write_text(dir / "in.pth", "x");
  const auto in = quoted(dir / "in.pth");
  for (const Case& c :
       {Case{"", "An input and an output are needed: aikd-convert IN.pth OUT.safetensors."},
        Case{in, "An input and an output are needed"},
        Case{in + " " + in, "Input and output are the same file"},
        Case{in + " " + quoted(dir.path()), "is a folder; give the name of a file."},
        Case{in + " " + out + " --famly magface", "Did you mean --family?"},
        Case{in + " " + out + " --family vggface", "--family"},
        Case{in + " " + out + " --dtype f8", "--dtype"},
        Case{in + " " + out + " --score-map linear:2", "--score-map: "},
        Case{in + " " + out + " --preprocess '{'", "--preprocess: "},
        Case{"verify " + in + " --sha256 12", "--sha256 takes 64 hexadecimal digits, got '12'."},
        Case{"init " + out + " --calibrate " + quoted(dir.path()),
             "Calibration needs at least 2 readable images"}}) {
    const auto result = convert(c.arguments);
    CHECK_MESSAGE(result.exit_code == 2, c.arguments, result.err);
    CHECK_MESSAGE(contains(result.err, c.sentence), result.err);
    CHECK(result.out.empty());
  }
  CHECK_FALSE(std::filesystem::exists(dir / "out.safetensors"));
}

TEST_CASE("aikd-convert: files that are no models are model errors") {
  const TempDir dir;
  write_text(dir / "in.pth", "this is neither a zip nor a pickle");
  for (const std::string& arguments :
       {quoted(dir / "in.pth") + " " + quoted(dir / "o"),
        quoted(dir / "absent.pth") + " " + quoted(dir / "o"), "info " + quoted(dir / "in.pth"),
        "verify " + quoted(dir / "in.pth"),
        "--to-torch-layout " + quoted(dir / "in.pth") + " " + quoted(dir / "o")}) {
    const auto result = convert(arguments);
    CHECK_MESSAGE(result.exit_code == 3, arguments, result.err);
    CHECK(contains(result.err, ".pth"));
  }
  CHECK_FALSE(std::filesystem::exists(dir / "o"));
}

TEST_CASE("aikd-convert: an existing output is kept unless forced and a bad folder is an output error") {
  const TempDir dir;
  const auto model = dir / "m.safetensors";
  write_text(model, "precious");
  const std::string init = "init " + quoted(model) + " --architecture mobilefacenet --head none --images 2";
  const auto refused = convert(init);
  CHECK(refused.exit_code == 4);
  CHECK(contains(refused.err, "exists already; --force replaces it."));
  CHECK(read_text(model) == "precious");
  CHECK(convert(init + " --force").exit_code == 0);
  CHECK(convert("verify " + quoted(model)).exit_code == 0);
  const auto nowhere = convert("--to-torch-layout " + quoted(model) + " " + quoted(dir / "no/such/folder/x"));
  CHECK(nowhere.exit_code == 4);
  CHECK(contains(nowhere.err, "no/such/folder"));
}

TEST_CASE("aikd-convert: a wrong checksum is told with both values") {
  const TempDir dir;
  const auto model = dir / "m.safetensors";
  REQUIRE(
      convert("init " + quoted(model) + " --architecture mobilefacenet --head none --images 2").exit_code ==
      0);
  const auto result = convert("verify " + quoted(model) + " --sha256 " + std::string(64, 'A'));
  CHECK(result.exit_code == 3);
  CHECK(contains(result.err,
                 "has the SHA-256 " + io::sha256_file(model) + ", expected " + std::string(64, 'a')));
  // A flipped bit of a weight is not seen by the checks of the format, but the hash tells.
  std::string bytes = read_text(model);
  bytes[bytes.size() - 4] = static_cast<char>(bytes[bytes.size() - 4] ^ 1);
  write_text(dir / "flipped.safetensors", bytes);
  CHECK(convert("verify " + quoted(dir / "flipped.safetensors") + " --sha256 " + io::sha256_file(model))
            .exit_code == 3);
}

TEST_CASE("aikd-convert: the published MobileFaceNet converts in one command") {
  if (data_dir().empty()) AIKD_SKIP("no shared data here");
  const TempDir dir;
  const auto source = data_dir() / "models" / "mobilefacenet_arcface_casia.pth";
  const auto result = convert(quoted(source) + " " + quoted(dir / "m.safetensors"));
  REQUIRE_MESSAGE(result.exit_code == 0, result.err);
  CHECK(contains(result.err, "backbone, mobilefacenet, head none, 1003136 parameters"));
  const auto info = nlohmann::json::parse(convert("info --json " + quoted(dir / "m.safetensors")).out);
  CHECK(info.at("metadata").at("aikd.source_sha256") == io::sha256_file(source));
  CHECK(info.at("metadata").at("aikd.source_container") == "legacy");
}
