// Maxima of windows, for one instruction set: blocks of windows, a vector at a time; large windows
// a vector of elements at a time; others one element after the other.
#include "ops/max_window.h"
#include "ops/pool_blocks.h"

namespace dlx::DLX_ISA {

namespace {

// One window element by element.
template <class T>
WindowMax<T> max_of_any(const PoolWindows& w, int64_t p, int64_t q, const T* x) {
  return max_of_window(w, p, q, x);
}

// One window without dilation, a vector of its elements at a time. Each lane keeps the first of its
// maxima or its last NaN, of the lanes the same is taken.
template <class T>
WindowMax<T> max_of_large(const PoolWindows& w, int64_t p, int64_t q, const T* x) {
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
  return {value, (corner + place) / w.columns.n, (corner + place) % w.columns.n};
}

// Whether the windows of a row are few and large.
template <class T>
bool is_large(const PoolWindows& w) {
  const PoolAxis &rows = w.rows, &columns = w.columns;
  const auto elements = [](const PoolAxis& a) { return a.stride ? a.kernel : a.n / a.m; };
  // The lanes count elements from the window's first one on, in 32 bits.
  const int64_t reach = rows.stride ? rows.kernel : rows.n;
  return rows.dilation == 1 && columns.dilation == 1 && columns.m < Vec<T>::kWidth / 2 &&
         reach < (int64_t{1} << 31) / columns.n &&
         elements(rows) * elements(columns) >= 2 * Vec<T>::kWidth;
}

// One window after the other.
template <class T>
void max_windows(const PoolWindows& w, int64_t begin, int64_t end, const void* x, void* y0,
                 const MaxPlaces& places) {
  const PoolAxis &rows = w.rows, &columns = w.columns;
  const auto one = is_large<T>(w) ? max_of_large<T> : max_of_any<T>;
  over_planes(rows.m, begin, end, [&](int64_t plane, int64_t first, int64_t last) {
    const T* from = static_cast<const T*>(x) + plane * rows.n * columns.n;
    for (int64_t p = first; p < last; ++p)
      for (int64_t q = 0; q < columns.m; ++q) {
        const int64_t i = (plane * rows.m + p) * columns.m + q;
        const WindowMax<T> max = one(w, p, q, from);
        static_cast<T*>(y0)[i] = max.value;
        if (places.indices) places.indices[i] = max.index(w);
        if (places.bytes) places.bytes[i] = max.byte(w, p, q);
      }
  });
}

// ---------------------------------------------------------------------------- blocks of windows

template <class T>
struct Best {
  typename Vec<T>::Raw value;
  typename Lanes<T>::IntVec at;  // r * step + s of the window's element
};

// Rows [first, last) of y in one block. kKernel 0: any; kEdge: windows reach out of the row.
template <class T, int kKernel, bool kEdge, bool kPlaced>
void max_of_block(const PoolWindows& w, const PoolBlock<T>& b, int64_t first, int64_t last,
                  const T* x, T* y, const MaxPlaces& places) {
  using Int = typename Lanes<T>::Int;
  using Raw = typename Vec<T>::Raw;
  const PoolAxis &rows = w.rows, &columns = w.columns;
  const Int kernel = static_cast<Int>(kKernel ? kKernel : columns.kernel);
  const Int step = static_cast<Int>(places.indices ? columns.n : columns.kernel);
  const Raw lowest = Vec<T>::broadcast(-static_cast<T>(__builtin_inf())).raw;

  const auto all = [](Int s) { return s - typename Lanes<T>::IntVec{}; };

  const auto across = [&](const T* row) {
    Raw lower, upper;
    b.load(row, lower, upper);
    const auto tap = [&](Int s) {
      const Raw taken = b.take(lower, upper, s);
      return kEdge ? (b.inside(s) ? taken : lowest) : taken;
    };
    Best<T> best{tap(0), {}};
    if (kEdge && kPlaced) {  // the first element that is there
      for (Int s = kernel - 1; s > 0; --s) best.at = b.inside(s) ? all(s) : best.at;
      best.at = b.inside(0) ? all(0) : best.at;
    }
#pragma GCC unroll 3
    for (Int s = 1; s < kernel; ++s) {
      const Raw next = tap(s);
      const auto mask = wins(next, best.value);
      best.value = mask ? next : best.value;
      if (kPlaced) best.at = mask ? all(s) : best.at;
    }
    return best;
  };

  Best<T> recent[kBlockRows];  // of the rows before, which windows share
  int64_t known = 0;
  for (int64_t p = first; p < last; ++p) {
    const int64_t top = rows.begin(p), bottom = rows.end(p);
    for (int64_t h = larger(top, known); h < bottom; ++h)
      recent[h % kBlockRows] = across(x + h * columns.n);
    known = bottom;
    Best<T> best = recent[top % kBlockRows];
    Int at = static_cast<Int>(top - rows.start(p)) * step;
    if (kPlaced) best.at += at;
    for (int64_t h = top + 1; h < bottom; ++h) {
      const Best<T>& next = recent[h % kBlockRows];
      const auto mask = wins(next.value, best.value);
      best.value = mask ? next.value : best.value;
      at += step;
      if (kPlaced) best.at = mask ? next.at + at : best.at;
    }
    const int64_t i = p * columns.m + b.q;
    Vec<T>{best.value}.store(y + i, b.count);
    if (!kPlaced) continue;
    if (places.bytes) {
      store_bytes<T>(best.at, places.bytes + i, b.count);
    } else {
      alignas(64) Int lanes[Vec<T>::kWidth];
      memcpy(lanes, &best.at, sizeof lanes);
      const int64_t corner = rows.start(p) * columns.n + columns.start(b.q);
      for (int k = 0; k < b.count; ++k)
        places.indices[i + k] = corner + k * columns.stride + lanes[k];
    }
  }
}

template <class T>
bool blocks_apply(const PoolWindows& w) {
  return w.rows.stride != 0 && w.rows.dilation == 1 && w.rows.kernel <= kBlockRows &&
         w.columns.n < (int64_t{1} << 27) && windows_of_block<T>(w.columns) > 0 && !is_large<T>(w);
}

template <class T, int kKernel, bool kPlaced>
void max_blocks_of(const PoolWindows& w, int64_t begin, int64_t end, const T* x, T* y,
                   const MaxPlaces& places) {
  const PoolAxis &rows = w.rows, &columns = w.columns;
  const int64_t strip = larger(1, (16 << 10) / (columns.n * rows.stride * sizeof(T)));  // in L1
  over_planes(rows.m, begin, end, [&](int64_t plane, int64_t first, int64_t last) {
    const T* from = x + plane * rows.n * columns.n;
    const int64_t to = plane * rows.m * columns.m;
    const MaxPlaces at{places.bytes ? places.bytes + to : nullptr,
                       places.indices ? places.indices + to : nullptr};
    for (int64_t p = first; p < last; p += strip)
      for_blocks<T>(columns, [&](const PoolBlock<T>& b) {
        const auto f = b.edge ? max_of_block<T, kKernel, true, kPlaced>
                              : max_of_block<T, kKernel, false, kPlaced>;
        f(w, b, p, smaller(p + strip, last), from, y + to, at);
      });
  });
}

template <class T>
void max_blocks(const PoolWindows& w, int64_t begin, int64_t end, const void* x, void* y,
                const MaxPlaces& places) {
  const bool placed = places.bytes || places.indices;
  const auto f =
      w.columns.kernel == 2   ? placed ? max_blocks_of<T, 2, true> : max_blocks_of<T, 2, false>
      : w.columns.kernel == 3 ? placed ? max_blocks_of<T, 3, true> : max_blocks_of<T, 3, false>
      : placed                ? max_blocks_of<T, 0, true>
                              : max_blocks_of<T, 0, false>;
  f(w, begin, end, static_cast<const T*>(x), static_cast<T*>(y), places);
}

// ------------------------------------------------------------------------------------- backward

// Terms come in rising order of (p, q), wherever the rows are cut.
template <class T>
void max_scatter(const PoolWindows& w, int64_t begin, int64_t end, const void* dy,
                 const MaxPlaces& places, const void* y, void* dx) {
  const PoolAxis &rows = w.rows, &columns = w.columns;
  over_planes(rows.n, begin, end, [&](int64_t plane, int64_t first, int64_t last) {
    T* to = static_cast<T*>(dx) + (plane * rows.n + first) * columns.n;
    const int64_t origin = first * columns.n, size = (last - first) * columns.n;
    memset(to, 0, static_cast<size_t>(size) * sizeof(T));
    const int64_t windows = plane * rows.m * columns.m;
    const int64_t stop = windows + rows.last_over(last - 1) * columns.m;
    for (int64_t i = windows + rows.first_over(first) * columns.m; i < stop; ++i) {
      if (y && static_cast<const T*>(y)[i] <= 0) continue;
      const int64_t at = index_of(w, places, i) - origin;
      if (static_cast<uint64_t>(at) < static_cast<uint64_t>(size))
        to[at] += static_cast<const T*>(dy)[i];
    }
  });
}

template <class T>
bool gather_applies(const PoolWindows& w) {
  return w.rows.stride != 0 && w.rows.dilation == 1 && w.columns.dilation == 1 &&
         (w.columns.stride == 1 || w.columns.stride == 2) && w.columns.kernel <= kBlockRows &&
         w.columns.m < (int64_t{1} << 30);
}

// Gradients and places of all windows, and where a relu was before them, the maxima.
template <class T>
struct Placed {
  const T *dy, *y;
  const uint8_t* bytes;
  int64_t n;
};

// The kernel along the row, its stride and padding % stride, as far as they are known.
template <int kStride_, int kKernel_, int kFirst_>
struct Pattern {
  static constexpr int kStride = kStride_, kKernel = kKernel_, kFirst = kFirst_;
};

// The lanes of a block: element stride (j + i) + f of a row for lane i of phase f. Windows p of
// [top, bottom) hold the row, as their element r, r - stride, ...; `from`: where window (top, j)
// stands. kSafe: all that is loaded is there; kEdge: windows may be out of the row.
template <class T, class P, bool kSafe, bool kEdge>
[[gnu::always_inline]] inline void gather_block(const PoolWindows& w, const Placed<T>& all,
                                                int64_t j, int64_t from, int64_t top,
                                                int64_t bottom, int64_t r, T* row) {
  using Int = typename Lanes<T>::Int;
  using IntVec = typename Lanes<T>::IntVec;
  constexpr int64_t V = Vec<T>::kWidth;
  constexpr int kStride = P::kStride;
  const PoolAxis& columns = w.columns;
  const int64_t kernel = P::kKernel ? P::kKernel : columns.kernel;
  const int64_t start = P::kKernel ? P::kFirst : columns.before % kStride;
  const int64_t whole = (columns.before - start) / kStride;
  typename Vec<T>::Raw sum[kStride] = {};
  for (int64_t p = top, code = r * kernel; p < bottom;
       ++p, from += columns.m, code -= w.rows.stride * kernel) {
#pragma GCC unroll 2
    for (int f = 0; f < kStride; ++f) {
      const int64_t last = kernel - 1 - (kernel - 1 - f - start + 2 * kStride) % kStride;
#pragma GCC unroll 3
      for (int64_t s = last; s >= 0; s -= kStride) {  // windows from left to right
        const int64_t shift = whole + (f + start - s) / kStride, i = from + shift;
        typename Vec<T>::Raw g;
        IntVec found;
        if (kSafe) {
          g = through_relu(Vec<T>::load(all.dy + i), all.y ? all.y + i : nullptr, V).raw;
          found = load_bytes<T>(all.bytes + i);
        } else {
          alignas(64) T dy[V] = {};
          uint8_t bytes[V] = {};
          for (int64_t k = larger(0, -i); k < V && i + k < all.n; ++k)
            dy[k] = all.y && all.y[i + k] <= 0 ? T(0) : all.dy[i + k], bytes[k] = all.bytes[i + k];
          g = Vec<T>::load(dy).raw;
          found = load_bytes<T>(bytes);
        }
        const auto with = sum[f] + g;
        if (kEdge) {
          const IntVec lane = counting<T>(j + shift, 1);
          const auto inside = (lane >= Int{0}) & (lane < static_cast<Int>(columns.m));
          sum[f] = (found == static_cast<Int>(code + s)) & inside ? with : sum[f];
        } else {
          sum[f] = found == static_cast<Int>(code + s) ? with : sum[f];
        }
      }
    }
  }
  store_phases<T, kStride>(sum, row, j, columns.n);
}

// As max_scatter, the terms in the same order.
template <class T, class P>
void gather_rows(const PoolWindows& w, int64_t begin, int64_t end, const Placed<T>& all, T* dx) {
  constexpr int64_t V = Vec<T>::kWidth;
  const PoolAxis &rows = w.rows, &columns = w.columns;
  const int64_t lanes = (columns.n + P::kStride - 1) / P::kStride;
  const int64_t left = (columns.before - columns.kernel + 1) / P::kStride,
                right = (columns.before + P::kStride - 1) / P::kStride;  // the furthest shifts
  over_planes(rows.n, begin, end, [&](int64_t plane, int64_t first, int64_t last) {
    int64_t top = rows.first_over(first), bottom = top;
    for (int64_t h = first; h < last; ++h) {
      while (top < rows.m && rows.end(top) <= h) ++top;
      bottom = larger(bottom, top);
      while (bottom < rows.m && rows.begin(bottom) <= h) ++bottom;
      T* row = dx + (plane * rows.n + h) * columns.n;
      const int64_t r = h - rows.start(top), place = (plane * rows.m + top) * columns.m;
      const bool safe =
          place + left >= 0 && place + (bottom - top) * columns.m + lanes + right + V <= all.n;
      for (int64_t j = 0; j < lanes; j += V) {
        j = larger(0, smaller(j, lanes - V));
        if (!safe) {
          gather_block<T, P, false, true>(w, all, j, place + j, top, bottom, r, row);
        } else if (j + left < 0 || j + right + V > columns.m) {
          gather_block<T, P, true, true>(w, all, j, place + j, top, bottom, r, row);
        } else {
          gather_block<T, P, true, false>(w, all, j, place + j, top, bottom, r, row);
        }
      }
    }
  });
}

template <class T>
void max_gather(const PoolWindows& w, int64_t begin, int64_t end, const void* dy,
                const MaxPlaces& places, const void* y, void* dx) {
  const PoolAxis& a = w.columns;
  const Placed<T> all{static_cast<const T*>(dy), static_cast<const T*>(y), places.bytes,
                      w.planes * w.rows.m * a.m};
  const bool by_two = a.stride == 2, even = a.before % 2 == 0;
  const auto f = !by_two                 ? gather_rows<T, Pattern<1, 0, 0>>
                 : a.kernel == 2 && even ? gather_rows<T, Pattern<2, 2, 0>>
                 : a.kernel == 3 && even ? gather_rows<T, Pattern<2, 3, 0>>
                 : a.kernel == 3         ? gather_rows<T, Pattern<2, 3, 1>>
                                         : gather_rows<T, Pattern<2, 0, 0>>;
  f(w, begin, end, all, static_cast<T*>(dx));
}

}  // namespace

extern const MaxPoolTable max_pool_table;
const MaxPoolTable max_pool_table = {
    {max_windows<float>, max_windows<double>},   {max_blocks<float>, max_blocks<double>},
    {max_scatter<float>, max_scatter<double>},   {max_gather<float>, max_gather<double>},
    {blocks_apply<float>, blocks_apply<double>}, {gather_applies<float>, gather_applies<double>},
};

}  // namespace dlx::DLX_ISA
