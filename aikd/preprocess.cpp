#include "aikd/preprocess.h"

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "io/text.h"
#include "kernels/warp_affine.h"
#include "tensor/error.h"

namespace aikd {
namespace {

using Json = nlohmann::ordered_json;

[[noreturn]] void fail_preprocess(const std::string& what) {
  fail(ErrorKind::kModel, "The pre-processing description of the model ", what);
}

int parse_side(const Json& value, const char* key) {
  if (!value.is_number_integer() || value < 1 || value > 4096)
    fail_preprocess(concat("has \"", key, "\": ", value.dump(), "; expected an integer from 1 to 4096."));
  return value.get<int>();
}

float parse_number(const Json& value, const std::string& key, bool nonzero) {
  const float number = value.is_number() ? value.get<float>() : std::nanf("");
  if (!std::isfinite(number) || (nonzero && number == 0.0F))
    fail_preprocess(concat("has \"", key, "\": ", value.dump(), "; expected a finite ",
                           nonzero ? "non-zero " : "", "number."));
  return number;
}

std::array<float, 3> parse_triple(const Json& value, const std::string& key, bool nonzero) {
  if (!value.is_array() || value.size() != 3)
    fail_preprocess(concat("has \"", key, "\": ", value.dump(), "; expected an array of three numbers."));
  std::array<float, 3> triple{};
  for (std::size_t c = 0; c < 3; ++c) triple[c] = parse_number(value[c], concat(key, "[", c, "]"), nonzero);
  return triple;
}

// The shortest decimal that reads back as the same float: 0.485 rather than 0.48500001430511475.
double shortest(float value) {
  for (int digits = 6; digits < 10; ++digits) {
    char text[32];
    std::snprintf(text, sizeof text, "%.*g", digits, static_cast<double>(value));
    const double decimal = std::strtod(text, nullptr);
    if (static_cast<float>(decimal) == value) return decimal;
  }
  return static_cast<double>(value);
}

void check_image(const io::Image& image, const char* operation) {
  require(image.width > 0 && image.height > 0 &&
              image.pixels.size() ==
                  static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.height) * 3,
          ErrorKind::kInternal, operation, " was given an image of ", image.width, " x ", image.height,
          " pixels in ", image.pixels.size(), " bytes; expected sides of at least 1 and 3 bytes per pixel.");
}

void check_target(int width, int height, const char* operation) {
  require(width > 0 && height > 0, ErrorKind::kUsage, operation, " to ", width, " x ", height,
          " pixels was asked for; both sides must be at least 1.");
}

}  // namespace

Preprocessing Preprocessing::parse(std::string_view json) {
  constexpr std::size_t kMaxBytes = 4096;  // what is quoted below is thereby short and not deeply nested
  if (json.size() > kMaxBytes)
    fail_preprocess(concat("has ", json.size(), " bytes; expected at most ", kMaxBytes, "."));
  const Json root = Json::parse(json, nullptr, false);
  if (root.is_discarded()) fail_preprocess("is not valid JSON.");
  if (!root.is_object()) fail_preprocess("must be a JSON object.");
  Preprocessing p;
  for (const auto& [key, value] : root.items()) {
    if (key == "width") {
      p.width = parse_side(value, "width");
    } else if (key == "height") {
      p.height = parse_side(value, "height");
    } else if (key == "order") {
      if (value != "RGB" && value != "BGR")
        fail_preprocess(concat("has \"order\": ", value.dump(), "; expected \"RGB\" or \"BGR\"."));
      p.bgr = value == "BGR";
    } else if (key == "divide") {
      p.divide = parse_number(value, key, true);
    } else if (key == "mean") {
      p.mean = parse_triple(value, key, false);
    } else if (key == "std") {
      p.std = parse_triple(value, key, true);
    } else {
      fail_preprocess(concat("has the unknown key ", Json(key).dump(),
                             "; expected width, height, order, divide, mean or std."));
    }
  }
  return p;
}

std::string Preprocessing::to_json() const {
  const auto triple = [](const std::array<float, 3>& v) {
    return Json::array({shortest(v[0]), shortest(v[1]), shortest(v[2])});
  };
  Json root;
  root["width"] = width;
  root["height"] = height;
  root["order"] = bgr ? "BGR" : "RGB";
  root["divide"] = shortest(divide);
  root["mean"] = triple(mean);
  root["std"] = triple(std);
  return root.dump();
}

nn::InputTable Preprocessing::table() const {
  nn::InputTable table;
  table.width = width;
  table.height = height;
  for (std::size_t c = 0; c < 3; ++c) {
    table.source[c] = static_cast<int>(bgr ? 2 - c : c);
    // torchvision: ToTensor divides, Normalize subtracts, then divides, each rounded to float32.
    for (std::size_t byte = 0; byte < 256; ++byte)
      table.table[c][byte] = (static_cast<float>(byte) / divide - mean[c]) / std[c];
  }
  return table;
}

kernels::ResizeOrder parse_resize_order(std::string_view name) {
  if (name == "horizontal-first") return kernels::ResizeOrder::kHorizontalFirst;
  if (name == "pillow13") return kernels::ResizeOrder::kPillow13;
  fail(ErrorKind::kUsage, "The resize order ", io::in_quotes(name),
       " is not known; expected horizontal-first or pillow13.");
}

io::Image resize(const io::Image& image, int width, int height, kernels::ResizeOrder order) {
  check_image(image, "A resize");
  check_target(width, height, "A resize");
  io::Image out(width, height);
  const kernels::ResizeDims dims{image.width, image.height, width, height, order};
  kernels::Context context;
  context.workspace_bytes = kernels::resize_workspace_bytes(dims);
  std::vector<std::max_align_t> workspace(context.workspace_bytes / sizeof(std::max_align_t) + 1);
  context.workspace = workspace.data();
  kernels::resize_bilinear(context, dims, image.pixels.data(), out.pixels.data());
  return out;
}

io::Image warp_affine(const io::Image& image, const Affine& m, int width, int height) {
  check_image(image, "A warp");
  check_target(width, height, "A warp");
  io::Image out(width, height);
  const double matrix[6] = {m.a, m.b, m.c, m.d, m.e, m.f};
  kernels::warp_affine({}, {image.width, image.height, width, height}, matrix, image.pixels.data(),
                       out.pixels.data());
  return out;
}

io::Image align_face(const io::Image& image, const Landmarks& points, int width, int height) {
  return warp_affine(image, umeyama(points), width, height);
}

}  // namespace aikd
