// A value per channel, added. 4 bytes in, 4 out (fp32).
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/context.h"
#include "kernels/storage.h"

namespace aikd::kernels::cuda {

// y[i,c] = x[i,c] + bias[c]. Assigns y [rows,channels]; y may be x. Device pointers, no alignment needed.
void add_bias(const Context& ctx, Storage storage, std::int64_t rows, std::int64_t channels, const void* x,
              const float* bias, void* y);

// dbias[c] = sum_i dy[i,c]. Assigns dbias [channels]; rows may be 0. Order and workspace as sum() of
// reduce.h.
std::size_t bias_backward_workspace_bytes(std::int64_t rows, std::int64_t channels);
void bias_backward(const Context& ctx, Storage storage, std::int64_t rows, std::int64_t channels,
                   const void* dy, float* dbias);

}  // namespace aikd::kernels::cuda
