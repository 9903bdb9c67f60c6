// Kernels with one fault each, for test_simt.cpp: the emulator must find every one of them. And their sound
// twins.
#pragma once

#include "kernels/context.h"

namespace aikd::planted {

using kernels::Context;

// y[i] = x[n-1-i] over one block of 64 through shared memory.
void reverse(const Context& ctx, const float* x, float* y, int n);
void reverse_missing_barrier(const Context& ctx, const float* x, float* y, int n);
void reverse_wrong_index(const Context& ctx, const float* x, float* y, int n);  // off by one inside the array
void reverse_beyond_shared(const Context& ctx, const float* x, float* y, int n);     // reads element 64 of 64
void copy_out_of_bounds(const Context& ctx, const float* x, float* y, int n);        // writes y[n]
void copy_reads_out_of_bounds(const Context& ctx, const float* x, float* y, int n);  // reads x[n]
void divergent_barrier(const Context& ctx, float* y);     // one warp waits elsewhere
void barrier_after_return(const Context& ctx, float* y);  // half the block has left
void divergent_shuffle(const Context& ctx, float* y);
void blocks_race(const Context& ctx, float* y);  // every block writes y[0]
void blocks_add(const Context& ctx, float* y);   // every block adds to y[0] atomically: sound
void warp_exchange(const Context& ctx, float* y,
                   bool with_syncwarp);  // neighbours within a warp, shared memory
void shared_never_written(const Context& ctx, float* y);
void misaligned_vector(const Context& ctx, const float* x, float* y);
void host_pointer(const Context& ctx, const float* x, float* y);  // x lies in memory no kernel was given
void forgets_to_wait(const Context& ctx, const float* x, float* y, bool waits);
void too_much_shared(const Context& ctx, float* y);
void odd_block(const Context& ctx, float* y);
void reads_after_others_write(const Context& ctx, float* y);  // write-after-read without a barrier
void warp_sum(const Context& ctx, const float* x, float* y);  // shuffles, ballots, partial masks: sound

}  // namespace aikd::planted
