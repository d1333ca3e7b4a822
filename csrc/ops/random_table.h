// What random.kernel.cc gives for each instruction set.
#pragma once
#include <cstdint>

namespace dlx {

// Elements begin .. end of one draw; begin is a multiple of 4, so that a Philox block is never cut.
struct RandomRange {
  uint64_t seed, offset;  // the cell's, before the draw
  int64_t begin, end;
};

constexpr int kRandomFloats = 2;  // float32, float64

// y points at element begin.
struct RandomTable {
  // low + width * u, at most last
  void (*uniform[kRandomFloats])(const RandomRange&, double low, double width, double last,
                                 void* y);
  void (*normal[kRandomFloats])(const RandomRange&, double mean, double std, void* y);
  void (*words64)(const RandomRange&, uint64_t* y);
  // y = x * scale where the upper 24 bits of the element's word are >= threshold, else 0; y may be
  // x.
  void (*dropout[kRandomFloats])(const RandomRange&, int32_t threshold, double scale, const void* x,
                                 void* y);
};

}  // namespace dlx
