// SHA-256 (FIPS 180-4), for provenance: which file a model was made from, which model made a score.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace aikd::io {

std::string sha256_hex(std::span<const std::uint8_t> bytes);
std::string sha256_file(const std::filesystem::path& path);  // Error(kInput) when it cannot be read

}  // namespace aikd::io
