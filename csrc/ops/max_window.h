// The maximum of one window, element by element, for every device.
#pragma once
#include "ops/pool_table.h"

namespace dlx {

// `next` replaces `best`: it is larger, or NaN.
template <class V>
[[gnu::always_inline]] constexpr auto wins(V next, V best) {
  return (next > best) | (next != next);
}

template <class T>
struct WindowMax {
  T value;
  int64_t row, column;  // where it stands; -1 in a window without an element

  [[gnu::always_inline]] constexpr int64_t index(const PoolWindows& w) const {
    return row < 0 ? -1 : row * w.columns.n + column;
  }
  // As a byte of window (p, q).
  [[gnu::always_inline]] constexpr uint8_t byte(const PoolWindows& w, int64_t p, int64_t q) const {
    if (row < 0) return kNoElement;
    const int64_t r = (row - w.rows.origin(p)) / w.rows.dilation;
    const int64_t c = (column - w.columns.origin(q)) / w.columns.dilation;
    return static_cast<uint8_t>(r * w.columns.extent() + c);
  }
};

// Of window (p, q) of plane x.
template <class T>
[[gnu::always_inline]] constexpr WindowMax<T> max_of_window(const PoolWindows& w, int64_t p,
                                                            int64_t q, const T* x) {
  const int64_t top = w.rows.begin(p), bottom = w.rows.end(p);
  const int64_t left = w.columns.begin(q), right = w.columns.end(q);
  const bool empty = top >= bottom || left >= right;
  WindowMax<T> best{-static_cast<T>(__builtin_inf()), empty ? -1 : top, empty ? -1 : left};
  for (int64_t h = top; h < bottom; h += w.rows.dilation)
    for (int64_t c = left; c < right; c += w.columns.dilation) {
      const T next = x[h * w.columns.n + c];
      if (wins(next, best.value)) best = {next, h, c};
    }
  return best;
}

}  // namespace dlx
