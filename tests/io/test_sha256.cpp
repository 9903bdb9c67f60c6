#include "io/sha256.h"
#include "tests/io/golden_values.h"

namespace aikd::test {
namespace {

std::string digest(std::string_view text) {
  return io::sha256_hex(as_bytes(text));
}

TEST_CASE("sha256 of the examples of FIPS 180-4") {
  CHECK(digest("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(digest("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(digest(std::string(1'000'000, 'a')) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("sha256 of a file is that of its bytes across block borders") {
  const TempDir dir;
  const std::size_t block = std::size_t{1} << 20;
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, block - 1, block, block + 1}) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 7 % 251);
    write_text(dir / "file", text);
    CHECK(io::sha256_file(dir / "file") == digest(text));
  }
}

TEST_CASE("sha256 of a file that cannot be read") {
  const TempDir dir;
  const std::string missing =
      error_of(ErrorKind::kInput, [&] { (void)io::sha256_file(dir / "missing.bin"); });
  CHECK(contains(missing, "missing.bin' cannot be opened: No such file"));
  const std::string folder = error_of(ErrorKind::kInput, [&] { (void)io::sha256_file(dir.path()); });
  CHECK(contains(folder, "cannot be read: Is a directory"));
}

}  // namespace
}  // namespace aikd::test
