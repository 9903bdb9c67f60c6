// The epilogue of blocked kernels (kernels/blocked.h), per target: included by kernels below foreach_target.
#include <hwy/highway.h>

#include "kernels/blocked.h"

#if defined(AIKD_KERNELS_CPU_EPILOGUE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef AIKD_KERNELS_CPU_EPILOGUE_INL_H_
#undef AIKD_KERNELS_CPU_EPILOGUE_INL_H_
#else
#define AIKD_KERNELS_CPU_EPILOGUE_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace aikd::kernels::cpu::HWY_NAMESPACE {

// A pointer that may be null, moved along with the others.
inline const float* Offset(const float* pointer, std::int64_t floats) {
  return pointer == nullptr ? nullptr : pointer + floats;
}

// `slope` and `residual` point at the lanes of v (residual is not read when epilogue.residual is null).
template <class D, class V = hwy::HWY_NAMESPACE::Vec<D>>
HWY_INLINE V ApplyEpilogue(D d, const Epilogue& epilogue, const float* slope, const float* residual, V v) {
  namespace hn = hwy::HWY_NAMESPACE;
  if (epilogue.residual != nullptr && epilogue.residual_first) v = hn::Add(v, hn::LoadU(d, residual));
  if (epilogue.slope != nullptr) {
    v = hn::IfThenElse(hn::Gt(v, hn::Zero(d)), v, hn::Mul(v, hn::LoadU(d, slope)));
  } else if (epilogue.clamps) {
    const V lo = hn::Set(d, epilogue.lo), hi = hn::Set(d, epilogue.hi);
    v = hn::IfThenElse(hn::Lt(v, lo), lo, hn::IfThenElse(hn::Gt(v, hi), hi, v));
  }
  if (epilogue.residual != nullptr && !epilogue.residual_first) v = hn::Add(v, hn::LoadU(d, residual));
  return v;
}

}  // namespace aikd::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
