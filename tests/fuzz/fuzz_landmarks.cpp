// libFuzzer: no bytes may crash the reader of landmark files (CSV, JSON, pickle).
#include <cmath>
#include <cstdint>
#include <cstdlib>

#include "aikd/landmark_file.h"
#include "tensor/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const aikd::LandmarkFile file = aikd::LandmarkFile::parse({data, size}, "input");
    if (file.size() == 0) std::abort();
    if (const auto points = file.find("a/b.jpg")) {
      for (const aikd::Point& point : *points)
        if (!std::isfinite(point.x) || !std::isfinite(point.y)) std::abort();
    }
  } catch (const aikd::Error& error) {
    if (error.kind() != aikd::ErrorKind::kInput) std::abort();
  }
  return 0;
}
