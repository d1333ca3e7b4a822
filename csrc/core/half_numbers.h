// bfloat16 and float16 to float32 and back, rounded to nearest even. For kernel files only.
#pragma once
#include <stdint.h>

#include "core/dtype.h"

namespace dlx::DLX_ISA {

#if defined(__ARM_FP16_FORMAT_IEEE)
using Half = __fp16;  // gcc 12 knows _Float16 in C++ on x86 only
#else
using Half = _Float16;
#endif

inline float widened(bfloat16_t x) { return __builtin_bit_cast(float, uint32_t{x.bits} << 16); }
inline float widened(float16_t x) { return static_cast<float>(__builtin_bit_cast(Half, x.bits)); }

inline void narrow(float x, bfloat16_t& y) {  // NaN stays NaN
  const uint32_t bits = __builtin_bit_cast(uint32_t, x);
  const uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  const bool nan = (bits & 0x7fffffff) > 0x7f800000;
  y.bits = static_cast<uint16_t>(nan ? bits >> 16 | 0x40 : rounded);
}
inline void narrow(float x, float16_t& y) {
  y.bits = __builtin_bit_cast(uint16_t, static_cast<Half>(x));
}

}  // namespace dlx::DLX_ISA
