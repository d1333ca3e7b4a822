// Maxima of windows, for one instruction set. Whole windows (PoolAxis::inner_begin) go a vector of
// windows at a time, large ones a vector of elements, the others one element after the other.
#include "ops/pool_rows.h"

namespace dlx::DLX_ISA {

namespace {

template <class T>
struct Lanes;
template <>
struct Lanes<float> {
  using Int = int32_t;
  typedef int32_t IntVec __attribute__((vector_size(kVecBytes)));
};
template <>
struct Lanes<double> {
  using Int = int64_t;
  typedef int64_t IntVec __attribute__((vector_size(kVecBytes)));
};

// x[0], x[stride], ..., n elements; kStride 0: any stride.
template <int kStride, class T>
[[gnu::always_inline]] inline typename Vec<T>::Raw load_strided(const T* x, int64_t stride, int n) {
  constexpr int V = Vec<T>::kWidth;
  if constexpr (kStride == 1) {
    return Vec<T>::load(x, n).raw;
  } else if constexpr (kStride == 2) {
    using Int = typename Lanes<T>::IntVec;
    const int all = 2 * n - 1;
    const auto low = Vec<T>::load(x, all < V ? all : V).raw;
    const auto high = Vec<T>::load(x + V, all < V ? 0 : all - V).raw;
    Int even;
#pragma GCC unroll 16
    for (int i = 0; i < V; ++i) even[i] = 2 * i;
    return __builtin_shuffle(low, high, even);
  } else {
    alignas(64) T lanes[V] = {};
    for (int i = 0; i < n; ++i) lanes[i] = x[i * stride];
    return Vec<T>::load(lanes).raw;
  }
}

// `next` replaces `best`: it is larger, or NaN.
template <class V>
[[gnu::always_inline]] inline auto wins(V next, V best) {
  return (next > best) | (next != next);
}

// One window element by element; x: its plane.
template <class T>
void max_of_window(const PoolWindows& w, int64_t p, int64_t q, const T* x, T& y, int64_t& index) {
  const int64_t top = w.rows.begin(p), bottom = w.rows.end(p);
  const int64_t left = w.columns.begin(q), right = w.columns.end(q);
  T best = -static_cast<T>(__builtin_inf());
  int64_t at = top < bottom && left < right ? top * w.columns.n + left : -1;
  for (int64_t h = top; h < bottom; h += w.rows.dilation)
    for (int64_t c = left; c < right; c += w.columns.dilation) {
      const T next = x[h * w.columns.n + c];
      if (wins(next, best)) best = next, at = h * w.columns.n + c;
    }
  y = best;
  index = at;
}

// One window without dilation, a vector of its elements at a time. Each lane keeps the first of its
// maxima or its last NaN, of the lanes the same is taken.
template <class T>
void max_of_large(const PoolWindows& w, int64_t p, int64_t q, const T* x, T& y, int64_t& index) {
  using Int = typename Lanes<T>::Int;
  using IntVec = typename Lanes<T>::IntVec;
  constexpr int V = Vec<T>::kWidth;
  int64_t top = w.rows.begin(p), bottom = w.rows.end(p);
  const int64_t left = w.columns.begin(q), right = w.columns.end(q),
                corner = top * w.columns.n + left;
  int64_t length = right - left;
  if (length == w.columns.n) length *= bottom - top, bottom = top + 1;  // whole rows are one
  IntVec lane, at = {};
  for (int i = 0; i < V; ++i) lane[i] = static_cast<Int>(i);
  const auto lowest = Vec<T>::broadcast(-static_cast<T>(__builtin_inf())).raw;
  auto best = lowest;
  for (int64_t h = 0; h < (bottom - top) * w.columns.n; h += w.columns.n)
    for (int64_t c = 0; c < length; c += V) {
      const int n = static_cast<int>(smaller(V, length - c));
      const auto loaded = Vec<T>::load(x + corner + h + c, n).raw;
      const auto next = n == V ? loaded : lane < static_cast<Int>(n) - IntVec{} ? loaded : lowest;
      const auto mask = wins(next, best);
      best = mask ? next : best;
      at = mask ? static_cast<Int>(h + c) + lane : at;
    }
  T value = best[0];
  Int place = at[0];
  for (int i = 1; i < V; ++i) {
    const T other = best[i];
    const bool both_nan = value != value && other != other;
    const bool later = at[i] > place;
    if (both_nan ? later : other == value ? !later : wins(other, value) && value == value)
      value = other, place = at[i];
  }
  y = value;
  index = corner + place;
}

// Windows [first, last) of row p, all of them whole along the row.
template <int kStride, bool kIndexed, class T>
void max_of_whole(const PoolWindows& w, int64_t p, int64_t first, int64_t last, const T* x, T* y,
                  int64_t* indices) {
  using Int = typename Lanes<T>::Int;
  using IntVec = typename Lanes<T>::IntVec;
  constexpr int V = Vec<T>::kWidth;
  const int64_t top = w.rows.begin(p), bottom = w.rows.end(p), stride = w.columns.stride;
  const int64_t reach = w.columns.kernel * w.columns.dilation;
  for (int64_t q = first; q < last; q += V) {
    const int n = static_cast<int>(smaller(V, last - q));
    const int64_t corner = top * w.columns.n + w.columns.start(q);
    auto best = Vec<T>::broadcast(-static_cast<T>(__builtin_inf())).raw;
    IntVec at = {};  // from the first element of the window on
    for (int64_t h = 0; h < (bottom - top) * w.columns.n; h += w.rows.dilation * w.columns.n)
      for (int64_t c = 0; c < reach; c += w.columns.dilation) {
        const auto next = load_strided<kStride>(x + corner + h + c, stride, n);
        const auto mask = wins(next, best);
        best = mask ? next : best;
        if (kIndexed) at = mask ? static_cast<Int>(h + c) - IntVec{} : at;
      }
    Vec<T>{best}.store(y + q, n);
    if (kIndexed) {
      alignas(64) Int lanes[V];
      memcpy(lanes, &at, sizeof at);
      for (int i = 0; i < n; ++i) indices[q + i] = corner + i * stride + lanes[i];
    }
  }
}

// Whether the windows of a row are few and large.
template <class T>
bool is_large(const PoolWindows& w) {
  const PoolAxis &rows = w.rows, &columns = w.columns;
  const auto elements = [](const PoolAxis& a) { return a.stride ? a.kernel : a.n / a.m; };
  return rows.dilation == 1 && columns.dilation == 1 && columns.m < Vec<T>::kWidth / 2 &&
         elements(rows) * elements(columns) >= 2 * Vec<T>::kWidth;
}

template <bool kIndexed, class T>
void max_rows(const PoolWindows& w, int64_t begin, int64_t end, const T* x, T* y,
              int64_t* indices) {
  const PoolAxis &rows = w.rows, &columns = w.columns;
  // The lanes count elements from the window's first one on, in 32 bits.
  const auto reach = [](const PoolAxis& a) { return a.stride ? a.kernel * a.dilation : a.n; };
  const bool narrow = reach(rows) < (int64_t{1} << 31) / columns.n;
  const bool large = narrow && is_large<T>(w);
  const int64_t inner_begin = narrow && !large ? columns.inner_begin() : columns.m;
  const int64_t inner_end = narrow && !large ? columns.inner_end() : columns.m;
  const auto one = large ? max_of_large<T> : max_of_window<T>;
  const auto whole = columns.stride == 1   ? max_of_whole<1, kIndexed, T>
                     : columns.stride == 2 ? max_of_whole<2, kIndexed, T>
                                           : max_of_whole<0, kIndexed, T>;
  over_planes(rows.m, begin, end, [&](int64_t plane, int64_t first, int64_t last) {
    const T* from = x + plane * rows.n * columns.n;
    for (int64_t p = first; p < last; ++p) {
      const int64_t row = (plane * rows.m + p) * columns.m;
      int64_t unused;
      const auto border = [&](int64_t q) {
        one(w, p, q, from, y[row + q], kIndexed ? indices[row + q] : unused);
      };
      for (int64_t q = 0; q < inner_begin; ++q) border(q);
      whole(w, p, inner_begin, inner_end, from, y + row, kIndexed ? indices + row : nullptr);
      for (int64_t q = inner_end; q < columns.m; ++q) border(q);
    }
  });
}

template <class T>
void max_pool2d(const PoolWindows& w, int64_t begin, int64_t end, const void* x, void* y,
                int64_t* indices) {
  const auto f = indices ? max_rows<true, T> : max_rows<false, T>;
  f(w, begin, end, static_cast<const T*>(x), static_cast<T*>(y), indices);
}

// Terms come in rising order of (p, q), wherever the rows are cut.
template <class T>
void max_pool2d_backward(const PoolWindows& w, int64_t begin, int64_t end, const void* dy,
                         const int64_t* indices, void* dx) {
  const PoolAxis &rows = w.rows, &columns = w.columns;
  over_planes(rows.n, begin, end, [&](int64_t plane, int64_t first, int64_t last) {
    T* to = static_cast<T*>(dx) + (plane * rows.n + first) * columns.n;
    const int64_t origin = first * columns.n, size = (last - first) * columns.n;
    memset(to, 0, static_cast<size_t>(size) * sizeof(T));
    const int64_t y = plane * rows.m * columns.m;
    const int64_t stop = y + rows.last_over(last - 1) * columns.m;
    for (int64_t i = y + rows.first_over(first) * columns.m; i < stop; ++i) {
      const int64_t at = indices[i] - origin;
      if (static_cast<uint64_t>(at) < static_cast<uint64_t>(size))
        to[at] += static_cast<const T*>(dy)[i];
    }
  });
}

}  // namespace

extern const MaxPoolTable max_pool_table;
const MaxPoolTable max_pool_table = {
    {max_pool2d<float>, max_pool2d<double>},
    {max_pool2d_backward<float>, max_pool2d_backward<double>},
};

}  // namespace dlx::DLX_ISA
