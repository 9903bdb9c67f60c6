#include "simt/fiber_switch.h"

#include <cstdint>
#include <cstring>

#if defined(__x86_64__)

// System V ABI: rbx, rbp, r12 to r15 and the stack pointer belong to the caller; the rest may be lost over a
// call.
asm(R"(
.text
.align 16
aikd_simt_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
)");
extern "C" void aikd_simt_switch(void** from, void* to);

namespace aikd::simt {

void* prepare_stack(unsigned char* stack, std::size_t bytes, void (*entry)()) {
  auto top = reinterpret_cast<std::uintptr_t>(stack + bytes) & ~std::uintptr_t{15};
  // At entry the stack must be 8 bytes off a multiple of 16, as after a call.
  top -= 8;
  auto* words = reinterpret_cast<void**>(top);
  *words = nullptr;  // a return address that stops unwinders
  *--words = reinterpret_cast<void*>(entry);
  for (int i = 0; i < 6; ++i) *--words = nullptr;
  return words;
}

void switch_stack(void** from, void* to) {
  aikd_simt_switch(from, to);
}

}  // namespace aikd::simt

#else

#include <ucontext.h>

#include <map>
#include <memory>

namespace aikd::simt {
namespace {

std::map<void*, std::unique_ptr<ucontext_t> > contexts;  // by the stack they belong to; null: the scheduler's

}  // namespace

void* prepare_stack(unsigned char* stack, std::size_t bytes, void (*entry)()) {
  auto& context = contexts[stack];
  if (context == nullptr) context = std::make_unique<ucontext_t>();
  getcontext(context.get());
  context->uc_stack.ss_sp = stack;
  context->uc_stack.ss_size = bytes;
  context->uc_link = nullptr;
  makecontext(context.get(), entry, 0);
  return context.get();
}

void switch_stack(void** from, void* to) {
  if (*from == nullptr) {
    auto& own = contexts[nullptr];
    if (own == nullptr) own = std::make_unique<ucontext_t>();
    *from = own.get();
  }
  swapcontext(static_cast<ucontext_t*>(*from), static_cast<ucontext_t*>(to));
}

}  // namespace aikd::simt

#endif
