// Images that both C++ and tests/golden/preprocess/common.py can make, and how goldens of them are compared.
#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "io/sha256.h"
#include "tensor/random.h"
#include "tests/support/test.h"

namespace aikd::test {

// height x width x 3 bytes. seed % 3: 0 noise, 1 black or white, 2 a smooth pattern.
inline std::vector<std::uint8_t> make_pixels(std::uint64_t seed, int width, int height) {
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3);
  Random random(seed);
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    const std::uint64_t bits = random.bits();
    const std::size_t w = static_cast<std::size_t>(width), x = i / 3 % w, y = i / (3 * w), c = i % 3;
    if (seed % 3 == 0)
      pixels[i] = static_cast<std::uint8_t>(bits >> 56);
    else if (seed % 3 == 1)
      pixels[i] = bits >> 63 != 0 ? 255 : 0;
    else
      pixels[i] = static_cast<std::uint8_t>(x * 3 + y * 5 + c * 67);
  }
  return pixels;
}

inline nlohmann::json read_golden(const std::string& name) {
  return nlohmann::json::parse(read_text(golden_dir() / "preprocess" / name));
}

// The case's bytes where it has them (the index of the first difference is shown), and their SHA-256.
inline void check_golden_bytes(const nlohmann::json& golden, std::span<const std::uint8_t> got) {
  INFO("case ", golden.dump().substr(0, 120));
  if (golden.contains("bytes")) {
    const std::string hex = golden["bytes"];
    REQUIRE(hex.size() == 2 * got.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      INFO("byte ", i);
      REQUIRE(int{got[i]} == std::stoi(hex.substr(2 * i, 2), nullptr, 16));
    }
  }
  CHECK(io::sha256_hex(got) == golden["sha256"].get<std::string>());
}

}  // namespace aikd::test
