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

  [[gnu::always_inline]] constexpr int64_t start(int64_t i) const { return i * stride - before; }
  [[gnu::always_inline]] constexpr int64_t begin(int64_t i) const {
    if (stride == 0) return i * n / m;
    const int64_t b = start(i);
    return b >= 0 ? b : b + (dilation - 1 - b) / dilation * dilation;
  }
  [[gnu::always_inline]] constexpr int64_t end(int64_t i) const {
    if (stride == 0) return ((i + 1) * n + m - 1) / m;
    const int64_t e = start(i) + (kernel - 1) * dilation + 1;
    return e < n ? e : n;
  }
  // Element j of window i stands at origin(i) + j dilation, 0 <= j < extent().
  [[gnu::always_inline]] constexpr int64_t origin(int64_t i) const {
    return stride ? start(i) : begin(i);
  }
  [[gnu::always_inline]] constexpr int64_t extent() const {
    return stride ? kernel : m ? (n + m - 1) / m + 1 : 0;
  }
  // Elements of window i, padding counted or not; dilation 1.
  [[gnu::always_inline]] constexpr int64_t count(int64_t i, bool padded) const {
    if (!padded) return end(i) - begin(i);
    const int64_t e = start(i) + kernel;
    return (e < n + after ? e : n + after) - start(i);
  }
  // No window outside [first_over(j), last_over(j)) holds element j.
  [[gnu::always_inline]] constexpr int64_t first_over(int64_t j) const {
    if (stride == 0) return j * m / n;
    const int64_t over = j + before - (kernel - 1) * dilation;
    return over > 0 ? (over + stride - 1) / stride : 0;
  }
  [[gnu::always_inline]] constexpr int64_t last_over(int64_t j) const {
    const int64_t last = stride == 0 ? ((j + 1) * m + n - 1) / n : (j + before) / stride + 1;
    return last < m ? last : m;
  }
  // Windows [inner_begin(), inner_end()) are whole: kernel elements, from start(i) on.
  [[gnu::always_inline]] constexpr int64_t inner_begin() const {
    const int64_t first = stride == 0 ? m : (before + stride - 1) / stride;
    return first < m ? first : m;
  }
  [[gnu::always_inline]] constexpr int64_t inner_end() const {
    const int64_t room = n + before - (kernel - 1) * dilation - 1;
    const int64_t end = stride == 0 || room < 0 ? 0 : room / stride + 1, first = inner_begin();
    return end < first ? first : end < m ? end : m;
  }
  bool operator==(const PoolAxis&) const = default;
};

// x: (planes, H, W)  y: (planes, P, Q)
struct PoolWindows {
  int64_t planes;
  PoolAxis rows, columns;
  bool operator==(const PoolWindows&) const = default;
};

// What the sum over a window is divided by: `fixed` where it is not 0, else its number of elements.
struct PoolDivisor {
  int64_t fixed;
  bool padded;  // padding counts

  [[gnu::always_inline]] constexpr int64_t of(const PoolWindows& w, int64_t p, int64_t q) const {
    return fixed ? fixed : w.rows.count(p, padded) * w.columns.count(q, padded);
  }
  bool operator==(const PoolDivisor&) const = default;
};

// A sum over a window of many elements is kept in float64.
[[gnu::always_inline]] constexpr bool is_wide(const PoolWindows& w) {
  const PoolAxis &rows = w.rows, &columns = w.columns;
  return rows.stride == 0 || columns.stride == 0 || rows.kernel + columns.kernel > 8;
}

// Where the maxima stand, as bytes or as indices, one of which is null. A byte is r S + s for the
// element r, s of its window (PoolAxis::origin), S the extent along the row; kNoElement for a
// window without one.
struct MaxPlaces {
  uint8_t* bytes;
  int64_t* indices;
};
constexpr uint8_t kNoElement = 255;

// Of element i of y, the index; -1 for a window without an element.
[[gnu::always_inline]] constexpr int64_t index_of(const PoolWindows& w, const MaxPlaces& places,
                                                  int64_t i) {
  if (places.indices) return places.indices[i];
  const int64_t byte = places.bytes[i], across = w.columns.extent();
  if (byte == kNoElement) return -1;
  const int64_t p = i / w.columns.m % w.rows.m, q = i % w.columns.m;
  const int64_t h = w.rows.origin(p) + byte / across * w.rows.dilation;
  return h * w.columns.n + w.columns.origin(q) + byte % across * w.columns.dilation;
}

// [0]: float32, [1]: float64. Rows [begin, end) are counted through all planes.
// Forward: rows of y. Backward: rows of dx. Of the places both may be null. y: null, or where it is
// not positive, dy counts as 0.
using MaxForward = void (*)(const PoolWindows&, int64_t begin, int64_t end, const void* x, void* y,
                            const MaxPlaces&);
using MaxBackward = void (*)(const PoolWindows&, int64_t begin, int64_t end, const void* dy,
                             const MaxPlaces&, const void* y, void* dx);
using AvgForward = void (*)(const PoolWindows&, const PoolDivisor&, int64_t begin, int64_t end,
                            const void* x, void* y);
using AvgBackward = void (*)(const PoolWindows&, const PoolDivisor&, int64_t begin, int64_t end,
                             const void* dy, void* dx);

struct MaxPoolTable {
  MaxForward windows[2], blocks[2];
  MaxBackward scatter[2], gather[2];  // gather: from bytes only
  // which of these serve such windows
  bool (*blocks_apply[2])(const PoolWindows&);
  bool (*gather_applies[2])(const PoolWindows&);
};

struct AvgPoolTable {
  AvgForward avg_pool2d[2];
  AvgBackward avg_pool2d_backward[2];
};

// For windows of two columns beside one another, over one row or two. [1][]: x is far away, beyond
// all caches.
struct PoolPairsTable {
  bool (*apply)(const PoolWindows&);
  AvgForward avg[2][2];
  AvgBackward avg_backward[2];
  MaxForward max[2][2];         // places as bytes, or none
  MaxBackward max_backward[2];  // from bytes only
};

}  // namespace dlx
