// The batched warp, byte for byte the CPU kernel's, and within its fixed-point steps of the definition.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "kernels/warp_affine.h"
#include "tensor/random.h"
#include "tests/cuda/device_memory.h"
#include "tests/oracle/test_images.h"
#include "tests/oracle/warp_affine.h"

namespace {

using namespace aikd;
using namespace aikd::test;
using kernels::Storage;
using kernels::cuda::WarpJob;
using Bytes = std::vector<std::uint8_t>;
using Matrix = std::array<double, 6>;

struct Picture {
  int width, height;
  Bytes pixels;
  Matrix matrix;
};

// A similarity or general affine map that brings the middle of the source near the middle of the result.
Matrix random_matrix(Random& random, int width, int height, int out_width, int out_height) {
  const double scale = std::exp(random.uniform(-2.0, 1.0)), angle = random.uniform(-3.2, 3.2);
  const double shear = random.uniform(-0.5, 0.5) * (random.below(2) == 0 ? 0.0 : 1.0);
  Matrix m{scale * std::cos(angle), -scale * std::sin(angle) + shear, 0,
           scale * std::sin(angle), scale * std::cos(angle) - shear,  0};
  m[2] = out_width * random.uniform(0.3, 0.7) - m[0] * width / 2 - m[1] * height / 2;
  m[5] = out_height * random.uniform(0.3, 0.7) - m[3] * width / 2 - m[4] * height / 2;
  return m;
}

std::vector<Picture> random_pictures(std::uint64_t seed, int out_width, int out_height) {
  constexpr std::array<int, 2> kSizes[] = {{1, 1}, {1, 17}, {13, 1}, {15, 49}, {64, 33}, {112, 112}, {2, 2}};
  Random random(seed);
  std::vector<Picture> pictures;
  for (const auto& [width, height] : kSizes)
    pictures.push_back({width, height, make_pixels(seed + pictures.size(), width, height),
                        random_matrix(random, width, height, out_width, out_height)});
  return pictures;
}

// Images and jobs on the device; every image between guards of its own.
class Batch {
 public:
  explicit Batch(const std::vector<Picture>& pictures) : jobs_(make_jobs(pictures)) {}
  const WarpJob* jobs() const { return jobs_.data(); }
  std::int64_t count() const { return static_cast<std::int64_t>(jobs_.size()); }
  bool guards_intact() const {
    return jobs_.guards_intact() && std::all_of(images_.begin(), images_.end(),
                                                [](const auto& image) { return image.guards_intact(); });
  }

 private:
  std::vector<WarpJob> make_jobs(const std::vector<Picture>& pictures) {
    std::vector<WarpJob> jobs;
    for (const Picture& p : pictures) {
      images_.emplace_back(p.pixels);
      jobs.push_back(kernels::cuda::make_warp_job(p.matrix.data(), images_.back().data(), p.width, p.height));
    }
    return jobs;
  }
  std::vector<DeviceArray<std::uint8_t>> images_;
  DeviceArray<WarpJob> jobs_;
};

// `offset`: where y begins in its allocation.
Bytes warp_on_device(const Batch& batch, int out_width, int out_height, std::size_t offset = 0) {
  const auto bytes = static_cast<std::size_t>(batch.count() * out_width * out_height * 3);
  DeviceArray<std::uint8_t> y(Bytes(bytes + offset, 0xA5));
  DeviceTeam team;
  kernels::cuda::warp_affine(team.context(), batch.jobs(), batch.count(), out_width, out_height,
                             y.data() + offset);
  CHECK(y.guards_intact());
  CHECK(batch.guards_intact());
  Bytes got = y.download();
  CHECK(std::all_of(got.begin(), got.begin() + static_cast<std::ptrdiff_t>(offset),
                    [](int b) { return b == 0xA5; }));
  got.erase(got.begin(), got.begin() + static_cast<std::ptrdiff_t>(offset));
  return got;
}

Bytes warp_on_cpu(const std::vector<Picture>& pictures, int out_width, int out_height) {
  Bytes all;
  for (const Picture& p : pictures) {
    Bytes y(static_cast<std::size_t>(out_width) * static_cast<std::size_t>(out_height) * 3);
    kernels::warp_affine({}, {p.width, p.height, out_width, out_height}, p.matrix.data(), p.pixels.data(),
                         y.data());
    all.insert(all.end(), y.begin(), y.end());
  }
  return all;
}

// Three curves of 256 values each, no two alike, which no storage but fp32 holds exactly.
std::vector<float> make_table() {
  std::vector<float> table;
  for (int c = 0; c < 3; ++c)
    for (int byte = 0; byte < 256; ++byte)
      table.push_back((static_cast<float>(byte) / 255.0F - 0.45F - 0.01F * static_cast<float>(c)) / 0.226F);
  return table;
}

}  // namespace

TEST_CASE("warp_affine on the device: every byte is the CPU kernel's") {
  AIKD_NEEDS_DEVICE();
  // Tiles are 128 x 8; rows that are no whole words are stored byte by byte.
  constexpr std::array<int, 2> kSizes[] = {{112, 112}, {1, 1}, {5, 7}, {129, 9}, {256, 8}, {13, 17}, {4, 1}};
  for (const auto& [width, height] : kSizes) {
    CAPTURE(width);
    CAPTURE(height);
    const auto pictures = random_pictures(static_cast<std::uint64_t>(width + height), width, height);
    const Bytes expected = warp_on_cpu(pictures, width, height);
    const Batch batch(pictures);
    CHECK(warp_on_device(batch, width, height) == expected);
    if (width % 4 == 0) CHECK(warp_on_device(batch, width, height, 1) == expected);
    if (width > 4) {  // the comparison means something
      std::size_t black = 0;
      for (const std::uint8_t b : expected) black += b == 0 ? 1U : 0U;
      CHECK(black < expected.size() * 19 / 20);
    }
  }
}

TEST_CASE("warp_affine on the device: meaningless matrices give the CPU kernel's picture") {
  AIKD_NEEDS_DEVICE();
  constexpr double kInf = std::numeric_limits<double>::infinity(),
                   kNan = std::numeric_limits<double>::quiet_NaN();
  constexpr Matrix kMatrices[] = {{0, 0, 0, 0, 0, 0},
                                  {1, 1, 0, 1, 1, 0},
                                  {1, 2, 5, 2, 4, -3},
                                  {kNan, 0, 0, 0, 1, 0},
                                  {1, 0, kNan, 0, 1, 0},
                                  {kInf, 0, 0, 0, 1, 0},
                                  {1, 0, -kInf, 0, 1, 3},
                                  {1, 0, 1e300, 0, 1, -1e300},
                                  {1e-300, 0, 0, 0, 1e-300, 0},
                                  {1e-9, 0, 5, 0, 1e-9, 5},
                                  {1, 0, 3e6, 0, 1, 3e6},
                                  {1, 0, -2097150.75, 0, 1, 2097151.5},
                                  {1, 0, 32767, 0, 1, -32768},
                                  {1e300, 0, 0, 0, 1e300, 0},
                                  {1e-5, 1e-5, 0, 0, 1, 1e9},
                                  {1, 0, 2097151.99951171875, 0, 1, -2097152.00048828125},
                                  {1, 0, -2097151.99951171875, 0, 1, 2097152.00048828125},
                                  {4.8e-6, 0, 0, 0, 4.8e-6, 0}};
  std::vector<Picture> pictures;
  for (const Matrix& matrix : kMatrices) pictures.push_back({40, 31, make_pixels(9, 40, 31), matrix});
  for (const auto& [width, height] : {std::array{20, 19}, std::array{135, 2}})
    CHECK(warp_on_device(Batch(pictures), width, height) == warp_on_cpu(pictures, width, height));
}

TEST_CASE("warp_affine on the device: coordinates beyond 16 bits saturate, as the CPU kernel's do") {
  AIKD_NEEDS_DEVICE();
  const std::vector<Picture> pictures = {{33000, 2, make_pixels(3, 33000, 2), {1, 0, -32750.25, 0, 1, 0.5}},
                                         {2, 33000, make_pixels(6, 2, 33000), {1, 0, 0.5, 0, 1, -32760.25}}};
  const Bytes expected = warp_on_cpu(pictures, 24, 12);
  CHECK(warp_on_device(Batch(pictures), 24, 12) == expected);
  CHECK(std::equal(expected.begin() + 20 * 3, expected.begin() + 21 * 3, expected.begin() + 21 * 3));
}

TEST_CASE("warp_affine on the device agrees with the definition") {
  AIKD_NEEDS_DEVICE();
  // A ramp of 2 and 3 levels per pixel: a source position off by 1/64 + 2/1024 per axis moves the value by
  // 0.09.
  Picture picture{50, 40, {}, {0.8, -0.31, 9.5, 0.31, 0.8, -4.25}};
  for (int v = 0; v < 40; ++v)
    for (int u = 0; u < 50; ++u)
      for (int c = 0; c < 3; ++c) picture.pixels.push_back(static_cast<std::uint8_t>(2 * u + 3 * v + c));
  const Matrix& m = picture.matrix;
  const Bytes y = warp_on_device(Batch({picture}), 30, 30);
  const auto exact = oracle::warp_affine(picture.pixels, 50, 40, m.data(), 30, 30);
  int compared = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    const double du = static_cast<double>(i / 3 % 30) - m[2], dv = static_cast<double>(i / 90) - m[5];
    const double d = m[0] * m[4] - m[1] * m[3];
    const double sx = (m[4] * du - m[1] * dv) / d, sy = (m[0] * dv - m[3] * du) / d;
    // At the border, where the picture falls to 0, a small step of position is a large one of value.
    if (sx < 0.1 || sy < 0.1 || sx > 48.9 || sy > 38.9) continue;
    ++compared;
    CHECK_MESSAGE(!(std::abs(y[i] - exact[i]) > 0.5 + 5 * (1.0 / 64 + 2.0 / 1024)), "byte ", i);
  }
  CHECK(compared > 1500);
}

TEST_CASE("warp_affine on the device: an empty batch is left alone") {
  AIKD_NEEDS_DEVICE();
  const DeviceArray<WarpJob> jobs(std::size_t{0});
  const DeviceArray<std::uint8_t> y(Bytes(16, 7));
  DeviceTeam team;
  kernels::cuda::warp_affine(team.context(), jobs.data(), 0, 112, 112, y.data());
  kernels::cuda::warp_normalise(team.context(), Storage::kF32, jobs.data(), 0, 112, 112,
                                {.values = nullptr, .source = {0, 1, 2}}, 4, y.data());
  CHECK(y.download() == Bytes(16, 7));
}

TEST_CASE("warp_normalise is warp_affine and normalise, bit for bit") {
  AIKD_NEEDS_DEVICE();
  const std::vector<float> table = make_table();
  const DeviceArray<float> device_table(table);
  constexpr std::array<int, 2> kSizes[] = {{112, 20}, {5, 7}, {129, 9}};
  for (const auto& [width, height] : kSizes) {
    const auto pictures = random_pictures(static_cast<std::uint64_t>(width), width, height);
    const Batch batch(pictures);
    const Bytes bytes = warp_on_cpu(pictures, width, height);
    const std::size_t pixels = bytes.size() / 3;
    for (const Storage storage : kStorages) {
      for (const std::size_t y_pixel :
           {std::size_t{3}, std::size_t{4}, std::size_t{7}, std::size_t{8}, std::size_t{16}}) {
        CAPTURE(width);
        CAPTURE(static_cast<int>(storage));
        CAPTURE(y_pixel);
        const kernels::NormaliseTable order{.values = device_table.data(), .source = {2, 0, 1}};
        std::vector<float> expected(pixels * y_pixel, 0.0F);
        for (std::size_t i = 0; i < pixels; ++i)
          for (std::size_t c = 0; c < 3; ++c)
            expected[i * y_pixel + c] =
                rounded(storage, table[c * 256 + bytes[3 * i + static_cast<std::size_t>(order.source[c])]]);
        const auto run = [&](std::size_t offset) {  // in elements
          const DeviceFloats y(storage, std::vector<float>(pixels * y_pixel + offset, -7.0F));
          DeviceTeam team;
          kernels::cuda::warp_normalise(team.context(), storage, batch.jobs(), batch.count(), width, height,
                                        order, static_cast<std::int64_t>(y_pixel),
                                        static_cast<char*>(y.data()) + offset * kernels::bytes_of(storage));
          CHECK(y.guards_intact());
          CHECK(batch.guards_intact());
          std::vector<float> got = y.download();
          if (offset > 0) CHECK(got.front() == -7.0F);
          got.erase(got.begin(), got.begin() + static_cast<std::ptrdiff_t>(offset));
          return got;
        };
        const std::vector<float> got = run(0);
        CHECK(same_bits(got, expected));
        if (width == 5) {
          CHECK(same_bits(run(1), expected));
          CHECK(same_bits(run(0), got));
        }
      }
    }
  }
}
