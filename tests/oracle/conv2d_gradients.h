// Gradients of the convolution of oracle/conv2d.h from their definition, in double: every product of the
// forward sum hands its share of dy to both of its factors.
#pragma once

#include "tests/oracle/conv2d.h"

namespace aikd::oracle {

namespace detail {

// Calls visit(x index, weight index, y index) for every product of the forward pass that is inside the image.
template <class Visit>
void for_each_product(const ConvSize& size, const Visit& visit) {
  for (std::int64_t n = 0; n < size.n; ++n)
    for (std::int64_t p = 0; p < size.p(); ++p)
      for (std::int64_t q = 0; q < size.q(); ++q)
        for (std::int64_t r = 0; r < size.r; ++r)
          for (std::int64_t s = 0; s < size.s; ++s) {
            const std::int64_t row = p * size.stride + r - size.pad, column = q * size.stride + s - size.pad;
            if (row < 0 || row >= size.h || column < 0 || column >= size.w) continue;
            for (std::int64_t k = 0; k < size.k; ++k)
              for (std::int64_t c = 0; c < size.c; ++c)
                visit(((n * size.h + row) * size.w + column) * size.c + c,
                      ((k * size.r + r) * size.s + s) * size.c + c,
                      ((n * size.p() + p) * size.q() + q) * size.k + k);
          }
}

inline Sums zeros(std::int64_t count) {
  const auto size = static_cast<std::size_t>(count);
  return {std::vector<double>(size, 0.0), std::vector<double>(size, 0.0)};
}

inline void add(Sums& sums, std::int64_t at, double term) {
  sums.value[static_cast<std::size_t>(at)] += term;
  sums.magnitude[static_cast<std::size_t>(at)] += std::fabs(term);
}

}  // namespace detail

// dL/dx [n,h,w,c] for upstream dy [n,p,q,k].
template <class T>
Sums conv2d_data_gradient(const ConvSize& size, const T* dy, const T* weight) {
  Sums dx = detail::zeros(size.n * size.h * size.w * size.c);
  detail::for_each_product(size, [&](std::int64_t x, std::int64_t w, std::int64_t y) {
    detail::add(dx, x, static_cast<double>(dy[y]) * static_cast<double>(weight[w]));
  });
  return dx;
}

// dL/dweight [k,r,s,c].
template <class T>
Sums conv2d_filter_gradient(const ConvSize& size, const T* x, const T* dy) {
  Sums dweight = detail::zeros(size.k * size.r * size.s * size.c);
  detail::for_each_product(size, [&](std::int64_t at, std::int64_t w, std::int64_t y) {
    detail::add(dweight, w, static_cast<double>(dy[y]) * static_cast<double>(x[at]));
  });
  return dweight;
}

// Depthwise, weight and dweight [r,s,c]: the diagonal k = c of the dense filter.
template <class T>
Sums depthwise_data_gradient(ConvSize size, const T* dy, const T* weight) {
  size.k = size.c;
  Sums dx = detail::zeros(size.n * size.h * size.w * size.c);
  detail::for_each_product(size, [&](std::int64_t x, std::int64_t w, std::int64_t y) {
    if (y % size.c != x % size.c) return;
    const std::int64_t tap = w / size.c % (size.r * size.s);
    detail::add(dx, x, static_cast<double>(dy[y]) * static_cast<double>(weight[tap * size.c + x % size.c]));
  });
  return dx;
}
template <class T>
Sums depthwise_filter_gradient(ConvSize size, const T* x, const T* dy) {
  size.k = size.c;
  Sums dweight = detail::zeros(size.r * size.s * size.c);
  detail::for_each_product(size, [&](std::int64_t at, std::int64_t w, std::int64_t y) {
    if (y % size.c != at % size.c) return;
    const std::int64_t tap = w / size.c % (size.r * size.s);
    detail::add(dweight, tap * size.c + at % size.c, static_cast<double>(dy[y]) * static_cast<double>(x[at]));
  });
  return dweight;
}

}  // namespace aikd::oracle
