// Pooling windows, and what max_pool2d.kernel.cc and avg_pool2d.kernel.cc give for each instruction
// set.
#pragma once
#include <cstdint>

namespace dlx {

// The windows of one axis: window i covers the elements begin(i), begin(i) + dilation, ... < end(i)
// of x, which lie inside it.
struct PoolAxis {
  int64_t n, m;                      // extents of x and y
  int64_t kernel, stride, dilation;  // stride 0: adaptive, window i covers [i n / m, (i + 1) n / m)
  int64_t before, after;             // padding

  [[gnu::always_inline]] int64_t start(int64_t i) const { return i * stride - before; }
  [[gnu::always_inline]] int64_t begin(int64_t i) const {
    if (stride == 0) return i * n / m;
    const int64_t b = start(i);
    return b >= 0 ? b : b + (dilation - 1 - b) / dilation * dilation;
  }
  [[gnu::always_inline]] int64_t end(int64_t i) const {
    if (stride == 0) return ((i + 1) * n + m - 1) / m;
    const int64_t e = start(i) + (kernel - 1) * dilation + 1;
    return e < n ? e : n;
  }
  // Elements of window i, padding counted or not; dilation 1.
  [[gnu::always_inline]] int64_t count(int64_t i, bool padded) const {
    if (!padded) return end(i) - begin(i);
    const int64_t e = start(i) + kernel;
    return (e < n + after ? e : n + after) - start(i);
  }
  // No window outside [first_over(j), last_over(j)) holds element j.
  [[gnu::always_inline]] int64_t first_over(int64_t j) const {
    if (stride == 0) return j * m / n;
    const int64_t over = j + before - (kernel - 1) * dilation;
    return over > 0 ? (over + stride - 1) / stride : 0;
  }
  [[gnu::always_inline]] int64_t last_over(int64_t j) const {
    const int64_t last = stride == 0 ? ((j + 1) * m + n - 1) / n : (j + before) / stride + 1;
    return last < m ? last : m;
  }
  // Windows [inner_begin(), inner_end()) are whole: kernel elements, from start(i) on.
  [[gnu::always_inline]] int64_t inner_begin() const {
    const int64_t first = stride == 0 ? m : (before + stride - 1) / stride;
    return first < m ? first : m;
  }
  [[gnu::always_inline]] int64_t inner_end() const {
    const int64_t room = n + before - (kernel - 1) * dilation - 1;
    const int64_t end = stride == 0 || room < 0 ? 0 : room / stride + 1, first = inner_begin();
    return end < first ? first : end < m ? end : m;
  }
};

// x: (planes, H, W)  y: (planes, P, Q)
struct PoolWindows {
  int64_t planes;
  PoolAxis rows, columns;
};

// What the sum over a window is divided by: `fixed` where it is not 0, else its number of elements.
struct PoolDivisor {
  int64_t fixed;
  bool padded;  // padding counts
};

// [0]: float32, [1]: float64. Rows [begin, end) are counted through all planes.
struct MaxPoolTable {
  // rows of y; indices may be null
  void (*max_pool2d[2])(const PoolWindows&, int64_t begin, int64_t end, const void* x, void* y,
                        int64_t* indices);
  // rows of dx
  void (*max_pool2d_backward[2])(const PoolWindows&, int64_t begin, int64_t end, const void* dy,
                                 const int64_t* indices, void* dx);
};

struct AvgPoolTable {
  // rows of y
  void (*avg_pool2d[2])(const PoolWindows&, const PoolDivisor&, int64_t begin, int64_t end,
                        const void* x, void* y);
  // rows of dx
  void (*avg_pool2d_backward[2])(const PoolWindows&, const PoolDivisor&, int64_t begin, int64_t end,
                                 const void* dy, void* dx);
};

}  // namespace dlx
