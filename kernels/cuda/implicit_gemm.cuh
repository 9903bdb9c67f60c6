// Convolutions and linear layers as one matrix product whose left operand is never built ("implicit GEMM",
// Chetlur et al. 2014, section 3.1): what the kernels of conv2d_mma.cuh and conv2d_plain.cuh share, and their
// launcher.
//
//   result[row, k] = sum_j patch[row, j] filter[k, j]      row = (n, i, j') a pixel of the result, j = (tap
//   row, tap column, c)
//
// One map serves all uses. A result pixel in row `o` and tap `t` read source row
//
//   (o multiply + offset + t) / divide     where divisible and inside the image, else zero
//
//   convolution              multiply = stride, offset = -pad,           divide = 1
//   gradient of its input    multiply = 1,      offset = pad - (r - 1),  divide = stride
//                            (taps turned around, so that t grows)
//   linear                   a 1x1 convolution of an image of one row: its pixels are the matrix rows
//
// With divide = 2 three of four (pixel, tap) pairs are not divisible. Result pixels are therefore cut into
// divide^2 classes by their place modulo `divide`; in one class the taps that count are every divide-th one,
// for all pixels the same, and the others are never visited: the gradient of a convolution of stride 2 costs
// as many multiply-adds as the convolution.
//
// Parts. The reduction of a linear layer is cut into parts of part_length (of `in` alone); each part is
// summed by itself, from zero, and the parts are added in order, from zero. Blocks may share the parts of a
// result among them (partial sums in memory, gemm_parts.cuh) or one may do all (`kFolds`): the bits are the
// same, so they do not depend on the number of rows. Convolutions have one part: their sum is one chain.
#pragma once

#include "kernels/cuda/epilogue_device.cuh"

namespace aikd::kernels::cuda {

// Pixels of the result and taps times channels are below 2^31; elements need not be.
struct ImplicitGemm {
  std::int32_t n = 1, h = 1, w = 1, c = 1;   // source [n,h,w,c]
  std::int32_t r = 1, s = 1;                 // filter [k,r,s,c]
  std::int32_t out_h = 1, out_w = 1, k = 1;  // result [n,out_h,out_w,k]
  std::int32_t multiply = 1, divide = 1;
  std::int32_t offset_h = 0, offset_w = 0;
  std::int32_t parts = 1, part_length = 0x7fffffff;  // of the reduction
};

struct GemmPointers {
  const void* source = nullptr;
  const void* filter = nullptr;
  void* y = nullptr;
  float* partial = nullptr;  // [parts][rows][k]; null: one block does all parts, and the epilogue
  FusedEpilogue epilogue{};
  BorderGeometry border{};
  bool vector_result = false;  // y and what the epilogue reads allow vectors (16 bytes mma, 4 elements plain)
};

// Runs it: tensor cores where the storage has them (fp32: where `tf32`), 16 bytes hold whole channels and the
// pointers are 16-byte aligned; else the plain kernel. `pointers.vector_result` and `border` need not be set.
void run_implicit_gemm(const Context& ctx, Storage storage, bool tf32, const ImplicitGemm& gemm,
                       GemmPointers pointers);
// turned [c][r][s][k] from filter [k][r][s][c] with the taps in reverse order: the filter of the data
// gradient.
void turn_filter(const Context& ctx, Storage storage, std::int64_t k, std::int64_t r, std::int64_t s,
                 std::int64_t c, const void* filter, void* turned);

// One class of result pixels. All of its arithmetic is that of a convolution of stride `multiply` with
// `taps_h` x `taps_w` taps on an image of rows_h x rows_w results.
struct PixelClass {
  int first_h, first_w;  // result pixel (i, j) of the class is (first_h + divide i, first_w + divide j)
  int rows_h, rows_w;
  int base_h, base_w;  // its tap (0, 0) reads source row base_h + multiply i
  int tap_h, tap_w;    // tap (a, b) of the class is tap (tap_h + divide a, tap_w + divide b) of the filter
  int taps_h, taps_w;
};

// `place`: o modulo divide. Sets the members of one direction.
__device__ __forceinline__ void class_extent(int place, int divide, int offset, int extent, int filter,
                                             int* rows, int* base, int* tap, int* taps) {
  if (divide == 1) {
    *tap = 0;
  } else {
    const int beyond = (place + offset) % divide;  // may be negative
    *tap = beyond == 0 ? 0 : beyond > 0 ? divide - beyond : -beyond;
  }
  *rows = place < extent ? (extent - place + divide - 1) / divide : 0;
  *taps = *tap < filter ? (filter - *tap + divide - 1) / divide : 0;
  *base = (place + offset + *tap) / divide;  // exact
}
__device__ __forceinline__ PixelClass pixel_class(const ImplicitGemm& g, int index) {
  PixelClass out;
  out.first_h = index / g.divide;
  out.first_w = index - out.first_h * g.divide;
  class_extent(out.first_h, g.divide, g.offset_h, g.out_h, g.r, &out.rows_h, &out.base_h, &out.tap_h,
               &out.taps_h);
  class_extent(out.first_w, g.divide, g.offset_w, g.out_w, g.s, &out.rows_w, &out.base_w, &out.tap_w,
               &out.taps_w);
  return out;
}

// Pixel number `row` of the class, in the order n, i, j.
struct Pixel {
  int n, i, j;
};
__device__ __forceinline__ Pixel pixel_of(unsigned row, int rows_h, int rows_w) {
  const unsigned line = row / static_cast<unsigned>(rows_w), n = line / static_cast<unsigned>(rows_h);
  return {static_cast<int>(n), static_cast<int>(line - n * static_cast<unsigned>(rows_h)),
          static_cast<int>(row - line * static_cast<unsigned>(rows_w))};
}

// The source of one result pixel: where its tap (0, 0) lies. A pixel beyond the last lies outside of every
// image.
struct PatchRow {
  std::int64_t element;
  int h, w;
};
__device__ __forceinline__ PatchRow patch_row(const ImplicitGemm& g, const PixelClass& cls, int row,
                                              int rows) {
  if (row >= rows) return {0, -0x40000000, 0};
  const Pixel pixel = pixel_of(static_cast<unsigned>(row), cls.rows_h, cls.rows_w);
  const int h = pixel.i * g.multiply + cls.base_h, w = pixel.j * g.multiply + cls.base_w;
  return {((static_cast<std::int64_t>(pixel.n) * g.h + h) * g.w + w) * g.c, h, w};
}

// A place in the reduction, walked forwards.
struct TapWalker {
  int c, a, b;  // channel, tap row and column of the class
  int left;     // elements of the part from here on

  __device__ __forceinline__ void start(const ImplicitGemm& g, const PixelClass& cls, int at, int end) {
    left = end - at;
    c = a = b = 0;
    if (left <= 0) return;
    const int tap = at / g.c;
    c = at - tap * g.c;
    a = tap / cls.taps_w;
    b = tap - a * cls.taps_w;
  }
  __device__ __forceinline__ void advance(const ImplicitGemm& g, const PixelClass& cls, int by) {
    left -= by;
    c += by;
    while (c >= g.c) {
      c -= g.c;
      if (++b == cls.taps_w) {
        b = 0;
        ++a;
      }
    }
  }
  // Whether the element of a patch is there, and where: relative to PatchRow::element.
  __device__ __forceinline__ bool inside(const ImplicitGemm& g, const PatchRow& row) const {
    return left > 0 && static_cast<unsigned>(row.h + a) < static_cast<unsigned>(g.h) &&
           static_cast<unsigned>(row.w + b) < static_cast<unsigned>(g.w);
  }
  __device__ __forceinline__ std::int64_t source_offset(const ImplicitGemm& g) const {
    return (static_cast<std::int64_t>(a) * g.w + b) * g.c + c;
  }
  // Relative to the filter's row [r,s,c].
  __device__ __forceinline__ int filter_offset(const ImplicitGemm& g, const PixelClass& cls) const {
    return ((cls.tap_h + g.divide * a) * g.s + cls.tap_w + g.divide * b) * g.c + c;
  }
};

// What one block computes.
struct BlockWork {
  PixelClass cls;
  int rows;              // pixels in the class
  int row0, k0;          // first row and column of the tile
  int part, begin, end;  // of the reduction
  bool empty;            // no row of the class is in the tile
};
// Grid: x = tiles, columns fastest (neighbouring blocks read the same patches); y = parts; z = classes.
template <int kRows, int kColumns, bool kFolds>
__device__ __forceinline__ BlockWork block_work(const ImplicitGemm& g) {
  BlockWork work;
  work.cls = pixel_class(g, static_cast<int>(blockIdx.z));
  work.rows = g.n * work.cls.rows_h * work.cls.rows_w;
  const int columns = (g.k + kColumns - 1) / kColumns;
  const int tile = static_cast<int>(blockIdx.x) / columns;
  work.row0 = tile * kRows;
  work.k0 = (static_cast<int>(blockIdx.x) - tile * columns) * kColumns;
  const int depth = work.cls.taps_h * work.cls.taps_w * g.c;
  work.part = static_cast<int>(blockIdx.y);
  work.begin = g.parts == 1 || kFolds ? 0 : work.part * g.part_length;
  work.end =
      g.parts == 1 || kFolds || depth - work.begin < g.part_length ? depth : work.begin + g.part_length;
  work.empty = work.row0 >= work.rows;
  return work;
}

// Stores N neighbouring channels of one result row: to y through the epilogue, or as partial sums.
template <class T, int N>
struct ResultColumns {
  EpilogueChannels<N> channels;
  int k, count;

  __device__ __forceinline__ void start(const ImplicitGemm& g, const GemmPointers& to, int first) {
    k = first;
    count = g.k - first < N ? g.k - first : N;
    channels.load(to.epilogue, first, g.k);
  }
  __device__ __forceinline__ void store(const ImplicitGemm& g, const GemmPointers& to, const BlockWork& work,
                                        int row, const Vec<float, N>& sums) {
    if (to.partial != nullptr) {
      float* const out = to.partial + (static_cast<std::int64_t>(work.part) * work.rows + row) * g.k + k;
      store_floats<N>(out, sums, count, g.k % 4 == 0);
      return;
    }
    const Pixel pixel = pixel_of(static_cast<unsigned>(row), work.cls.rows_h, work.cls.rows_w);
    const int p = work.cls.first_h + g.divide * pixel.i, q = work.cls.first_w + g.divide * pixel.j;
    if (to.epilogue.bias != nullptr && to.epilogue.bias_classes != 1)
      channels.load_border_bias(to.epilogue, k, g.k, border_class(to.border, p, q));
    const std::int64_t element = ((static_cast<std::int64_t>(pixel.n) * g.out_h + p) * g.out_w + q) * g.k + k;
    store_epilogue<T, N>(to.epilogue, channels, sums, static_cast<T*>(to.y), element, count,
                         to.vector_result);
  }
};

}  // namespace aikd::kernels::cuda
