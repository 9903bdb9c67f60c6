// Pixels: warp, resize, normalise, for batches of 512 images.
#include <cmath>

#include "bench/cuda/kernel_bench.h"
#include "kernels/normalise.h"
#include "kernels/resize.h"
#include "kernels/warp_affine.h"
#include "tensor/error.h"
#include "tensor/random.h"

namespace aikd::bench {
namespace {

namespace cuda_kernels = kernels::cuda;
using kernels::Context;
using kernels::Storage;

constexpr int kOut = 112;

// Any bytes are pixels: those of random floats vary in all their bits.
Arrays random_pixels(Card& card, int sets, std::int64_t bytes) {
  return Arrays(card, sets, Storage::kF32, (bytes + 3) / 4);
}

void run_warps(KernelBench& bench, std::int64_t images) {
  constexpr int kIn = 160;
  Card& card = bench.card();
  const std::int64_t in_bytes = std::int64_t{3} * kIn * kIn, out_pixels = std::int64_t{kOut} * kOut;
  const double source = static_cast<double>(images * in_bytes),
               pixels = static_cast<double>(images * out_pixels);
  const int sets = card.sets(source);
  Arrays x = random_pixels(card, sets, images * in_bytes);
  Arrays y(card, sets, Storage::kF32, images * out_pixels * 4);
  Uploaded<float> table(card, std::vector<float>(3 * 256, 0.25F));

  // The whole picture scaled to 112 x 112 and turned a little, each image by another angle.
  std::vector<Uploaded<cuda_kernels::WarpJob>> jobs;
  Random random(3);
  for (int set = 0; set < sets; ++set) {
    std::vector<cuda_kernels::WarpJob> list;
    for (std::int64_t image = 0; image < images; ++image) {
      const double angle = random.uniform(-0.1, 0.1), scale = static_cast<double>(kOut) / kIn;
      const double a = scale * std::cos(angle), b = scale * std::sin(angle), centre = 0.5 * kIn;
      const double matrix[6] = {a, -b, 0.5 * kOut - centre * (a - b), b, a, 0.5 * kOut - centre * (a + b)};
      const auto* from = static_cast<const std::uint8_t*>(x(set)) + image * in_bytes;
      list.push_back(cuda_kernels::make_warp_job(matrix, from, kIn, kIn));
    }
    jobs.emplace_back(card, list);
  }
  const std::string shape = concat(images, " of ", kIn, "^2");
  bench.run({.name = "warp_affine",
             .shape = shape,
             .bytes = source + 3 * pixels,
             .sets = sets,
             .launch = [&](const Context& c, int i) {
               cuda_kernels::warp_affine(c, jobs[static_cast<std::size_t>(i)].data(), images, kOut, kOut,
                                         static_cast<std::uint8_t*>(y(i)));
             }});
  const kernels::NormaliseTable values{table.data(), {0, 1, 2}};
  for (const Storage storage : {Storage::kF32, Storage::kF16, Storage::kBF16}) {
    const std::int64_t y_pixel = 16 / static_cast<std::int64_t>(kernels::bytes_of(storage));
    bench.run({.name = "warp_normalise",
               .shape = shape,
               .storage = storage,
               .bytes = source + 16 * pixels,
               .sets = sets,
               .launch = [&, storage, y_pixel](const Context& c, int i) {
                 cuda_kernels::warp_normalise(c, storage, jobs[static_cast<std::size_t>(i)].data(), images,
                                              kOut, kOut, values, y_pixel, y(i));
               }});
    bench.run({.name = "normalise",
               .shape = concat(images, " of ", kOut, "^2"),
               .storage = storage,
               .bytes = (3 + 16) * pixels,
               .sets = sets,
               .launch = [&, storage, y_pixel](const Context& c, int i) {
                 cuda_kernels::normalise(c, storage, values, images * out_pixels,
                                         static_cast<const std::uint8_t*>(x(i)), y_pixel, y(i));
               }});
  }
  card.context().synchronize();
}

void run_resize(KernelBench& bench, std::int64_t images) {
  const int in = 250;  // the size of LFW's pictures
  Card& card = bench.card();
  const kernels::ResizeDims dims{.in_width = in, .in_height = in, .out_width = kOut, .out_height = kOut};
  const std::int64_t in_bytes = std::int64_t{3} * in * in, out_bytes = std::int64_t{3} * kOut * kOut;
  const std::size_t between = cuda_kernels::resize_between_bytes(dims),
                    ints = cuda_kernels::resize_filter_ints(dims);
  const int sets = card.sets(static_cast<double>(images * in_bytes));
  Arrays x = random_pixels(card, sets, images * in_bytes), y = random_pixels(card, sets, images * out_bytes);
  Buffer filters(ints * 4, card.context().device());  // one size: one pair of filters
  std::vector<std::int32_t> host(ints);
  std::vector<Uploaded<cuda_kernels::ResizeJob>> jobs;
  for (int set = 0; set < sets; ++set) {
    std::vector<cuda_kernels::ResizeJob> list;
    for (std::int64_t image = 0; image < images; ++image) {
      const auto* from = static_cast<const std::uint8_t*>(x(set)) + image * in_bytes;
      list.push_back(cuda_kernels::make_resize_job(dims, from, image * static_cast<std::int64_t>(between),
                                                   host.data(),
                                                   static_cast<const std::int32_t*>(filters.data())));
    }
    jobs.emplace_back(card, list);
  }
  cuda::copy_to_device(filters.mutable_data(), host.data(), ints * 4, card.context().stream());
  card.context().synchronize();
  const double first_pass = 3.0 * kOut * in;
  bench.run({.name = "resize_bilinear",
             .shape = concat(images, " of ", in, "^2"),
             .bytes = static_cast<double>(images) *
                      (static_cast<double>(in_bytes) + 2 * first_pass + static_cast<double>(out_bytes)),
             .sets = sets,
             .workspace = between * static_cast<std::size_t>(images),
             .launch = [&](const Context& c, int i) {
               cuda_kernels::resize_bilinear(c, jobs[static_cast<std::size_t>(i)].data(), images, kOut, kOut,
                                             static_cast<std::uint8_t*>(y(i)));
             }});
  card.context().synchronize();
}

}  // namespace

void bench_images(KernelBench& bench) {
  const std::int64_t images = bench.options().trial ? 2 : 512;
  run_warps(bench, images);
  run_resize(bench, images);
}

}  // namespace aikd::bench
