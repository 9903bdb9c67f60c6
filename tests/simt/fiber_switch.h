// Changing stacks. On x86-64 twenty instructions; elsewhere the C library's ucontext.
#pragma once

#include <cstddef>

namespace aikd::simt {

// A stack pointer that, when switched to for the first time, calls `entry` (which must not return).
void* prepare_stack(unsigned char* stack, std::size_t bytes, void (*entry)());
// Saves the running context in *from and goes on in `to`.
void switch_stack(void** from, void* to);

}  // namespace aikd::simt
