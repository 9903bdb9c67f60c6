// A synthetic face as a file of a dataset.
#pragma once

#include <filesystem>
#include <string>

#include "aikd/dataset.h"
#include "aikd/synth.h"
#include "io/image.h"

namespace aikd::test {

// Person number `i`, in one of three widths, written to folder / key.
inline DatasetItem write_face(const std::filesystem::path& folder, const std::string& key, int i,
                              double label) {
  SynthOptions options;
  options.identity = static_cast<std::uint64_t>(i);
  options.width = 60 + i % 3 * 8;
  options.height = 70;
  const SynthFace face = render_face(options);
  DatasetItem item;
  item.key = key;
  item.path = (folder / key).string();
  io::write_image(item.path, face.image);
  item.landmarks = face.landmarks;
  item.label = label;
  return item;
}

}  // namespace aikd::test
