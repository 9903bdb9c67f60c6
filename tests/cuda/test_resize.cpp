// The batched resize, byte for byte the CPU kernel's, and within the rounding of its weights of the
// definition.
#include <algorithm>
#include <array>

#include "kernels/resize.h"
#include "tests/cuda/device_memory.h"
#include "tests/oracle/resize.h"
#include "tests/oracle/test_images.h"

namespace {

using namespace aikd;
using namespace aikd::test;
using kernels::ResizeDims;
using kernels::ResizeOrder;
using kernels::cuda::ResizeJob;
using Bytes = std::vector<std::uint8_t>;

struct Picture {
  ResizeDims dims;
  Bytes pixels;
};

Bytes resize_on_cpu(const std::vector<Picture>& pictures) {
  Bytes all;
  for (const auto& [dims, pixels] : pictures) {
    std::vector<std::uint64_t> workspace(kernels::resize_workspace_bytes(dims) / 8 + 1);
    kernels::Context context;
    context.workspace = workspace.data();
    Bytes y(static_cast<std::size_t>(dims.out_width) * static_cast<std::size_t>(dims.out_height) * 3);
    kernels::resize_bilinear(context, dims, pixels.data(), y.data());
    all.insert(all.end(), y.begin(), y.end());
  }
  return all;
}

// Every image and every filter between guards of its own; the workspace has exactly the stated size. All have
// the same out_width and out_height.
Bytes resize_on_device(const std::vector<Picture>& pictures, std::size_t offset = 0) {
  std::vector<DeviceArray<std::uint8_t>> images;
  std::vector<DeviceArray<std::int32_t>> filters;
  std::vector<ResizeJob> jobs;
  std::size_t between = 0;
  for (const auto& [dims, pixels] : pictures) {
    images.emplace_back(pixels);
    std::vector<std::int32_t> ints(kernels::cuda::resize_filter_ints(dims));
    filters.emplace_back(ints.size());
    jobs.push_back(kernels::cuda::make_resize_job(
        dims, images.back().data(), static_cast<std::int64_t>(between), ints.data(), filters.back().data()));
    filters.back().upload(ints);
    between += kernels::cuda::resize_between_bytes(dims);
  }
  const ResizeDims& first = pictures.front().dims;
  const auto bytes = pictures.size() * static_cast<std::size_t>(first.out_width) *
                     static_cast<std::size_t>(first.out_height) * 3;
  const DeviceArray<ResizeJob> device_jobs(jobs);
  const DeviceArray<std::uint8_t> y(Bytes(bytes + offset, 0xA5));
  DeviceTeam team(between);
  kernels::cuda::resize_bilinear(team.context(), device_jobs.data(), static_cast<std::int64_t>(jobs.size()),
                                 first.out_width, first.out_height, y.data() + offset);
  CHECK(y.guards_intact());
  CHECK(team.guards_intact());
  for (const auto& image : images) CHECK(image.guards_intact());
  for (const auto& filter : filters) CHECK(filter.guards_intact());
  Bytes got = y.download();
  CHECK(std::all_of(got.begin(), got.begin() + static_cast<std::ptrdiff_t>(offset),
                    [](int b) { return b == 0xA5; }));
  got.erase(got.begin(), got.begin() + static_cast<std::ptrdiff_t>(offset));
  return got;
}

}  // namespace

TEST_CASE("resize on the device: every byte is the CPU kernel's, in either order of passes") {
  AIKD_NEEDS_DEVICE();
  // Up, down, one axis alone, neither, extremes; words and odd bytes down the columns.
  constexpr std::array<int, 2> kIn[] = {{1, 1},   {1, 13},  {17, 1},  {49, 15}, {15, 49},
                                        {16, 12}, {13, 11}, {13, 60}, {20, 12}, {16, 31}};
  constexpr std::array<int, 2> kOut[] = {{16, 12}, {1, 1}, {13, 7}, {20, 1}};
  for (const auto& [out_width, out_height] : kOut) {
    CAPTURE(out_width);
    CAPTURE(out_height);
    std::vector<Picture> pictures;
    for (const ResizeOrder order : {ResizeOrder::kHorizontalFirst, ResizeOrder::kPillow13})
      for (const auto& [width, height] : kIn)
        pictures.push_back(
            {{width, height, out_width, out_height, order}, make_pixels(pictures.size(), width, height)});
    const Bytes expected = resize_on_cpu(pictures);
    CHECK(resize_on_device(pictures) == expected);
    CHECK(resize_on_device(pictures, 1) == expected);
  }
}

TEST_CASE("resize on the device: to the size that the networks take") {
  AIKD_NEEDS_DEVICE();
  std::vector<Picture> pictures;
  pictures.push_back({{150, 131, 112, 112}, make_pixels(3, 150, 131)});
  pictures.push_back({{112, 112, 112, 112}, make_pixels(4, 112, 112)});
  pictures.push_back({{97, 260, 112, 112, ResizeOrder::kPillow13}, make_pixels(1, 97, 260)});
  CHECK(resize_on_device(pictures) == resize_on_cpu(pictures));
  CHECK(resize_on_cpu({{{97, 260, 112, 112}, pictures[2].pixels}}) !=
        resize_on_cpu({pictures[2]}));  // the order counts
}

TEST_CASE("resize on the device agrees with the definition") {
  AIKD_NEEDS_DEVICE();
  for (const auto& [iw, ih, ow, oh] :
       {std::array{9, 7, 4, 3}, std::array{4, 3, 9, 7}, std::array{60, 5, 11, 5}, std::array{5, 60, 5, 11},
        std::array{33, 47, 16, 64}}) {
    const Bytes x = make_pixels(12, iw, ih), y = resize_on_device({{{iw, ih, ow, oh}, x}});
    const auto exact = oracle::resize(x, iw, ih, ow, oh);
    REQUIRE(exact.size() == y.size());
    for (std::size_t i = 0; i < y.size(); ++i) {
      // Half a level by rounding; the weights' 22 bits move a sum by at most 255 taps 2^-23.
      CHECK_MESSAGE(!(y[i] < exact[i].low - 0.502), "byte ", i);
      CHECK_MESSAGE(!(y[i] > exact[i].high + 0.502), "byte ", i);
    }
  }
}

TEST_CASE("resize on the device: an empty batch is left alone") {
  AIKD_NEEDS_DEVICE();
  const DeviceArray<ResizeJob> jobs(std::size_t{0});
  const DeviceArray<std::uint8_t> y(Bytes(16, 7));
  DeviceTeam team;
  kernels::cuda::resize_bilinear(team.context(), jobs.data(), 0, 112, 112, y.data());
  CHECK(y.download() == Bytes(16, 7));
}
