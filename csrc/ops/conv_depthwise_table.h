// What the depthwise kernels give for each instruction set. [0]: float32, [1]: float64.
#pragma once
#include <cstdint>

namespace dlx {

// Planes (H, W) to planes (P, Q), each by its channel's own R x S kernel, x zero outside:
//   y[n,c,p,q] = bias[c] + sum over r,s of w[c,r,s] x[n,c, first_row + p + r dil_h,
//                                                        first_col + q + s dil_w]
// or 0 where that is negative (relu).
// A task (n, c, block) is at most `block` rows p of a plane, whose rows of x it copies to rows
// `pitch` apart, between zeros: no vector of pixels then reads beyond them.
struct DepthwiseShape {
  int64_t N, C, H, W, P, Q, R, S;
  int64_t first_row, first_col, dil_h, dil_w;
  bool flipped;  // w[c, R-1-r, S-1-s] instead
  bool relu;
  int64_t block, blocks, pitch;

  [[gnu::always_inline]] int64_t tasks() const { return N * C * blocks; }
  [[gnu::always_inline]] int64_t copied() const { return (block + (R - 1) * dil_h) * pitch; }
};

struct DepthwiseTable {
  int width[2];  // elements of a vector
  // Tasks [begin, end); scratch: copied() elements.
  void (*multiply[2])(const DepthwiseShape&, int64_t begin, int64_t end, const void* x,
                      const void* w, const void* bias, void* scratch, void* y);
  // parts[task, r, s] = sum over the task's p,q of dy[n,c,p,q] x[n,c, as above]
  void (*weight[2])(const DepthwiseShape&, int64_t begin, int64_t end, const void* x,
                    const void* dy, void* scratch, void* parts);
};

}  // namespace dlx
