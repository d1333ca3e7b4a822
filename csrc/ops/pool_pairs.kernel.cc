// Windows of two columns beside one another, over one row or two: averages, maxima and their
// gradients, for one instruction set. The lanes of a vector are neighbouring windows; shuffles of
// two vectors take the two columns apart and put them together.
#include "ops/pool_blocks.h"

namespace dlx::DLX_ISA {

namespace {

bool pairs_apply(const PoolWindows& w) {
  const auto side_by_side = [](const PoolAxis& a) {
    return a.stride == a.kernel && (a.kernel == 1 || a.dilation == 1) && a.before == 0 &&
           a.inner_end() == a.m;
  };
  return w.columns.kernel == 2 && (w.rows.kernel == 1 || w.rows.kernel == 2) &&
         side_by_side(w.columns) && side_by_side(w.rows);
}

// The lower half of the lanes, each twice, and the upper half.
template <class T, class V>
[[gnu::always_inline]] inline V twice_low(V v) {
  return __builtin_shuffle(v, counting<T>(0, 1) / 2);
}
template <class T, class V>
[[gnu::always_inline]] inline V twice_high(V v) {
  return __builtin_shuffle(v, (counting<T>(0, 1) + Vec<T>::kWidth) / 2);
}

template <class T>
struct Pair {
  using Raw = typename Vec<T>::Raw;
  static constexpr int V = Vec<T>::kWidth;
  Raw a, b;

  // Of n windows; n is V or what a row has.
  [[gnu::always_inline]] static Pair load(const T* row, int n) {
    if (n == V) return {Vec<T>::load(row).raw, Vec<T>::load(row + V).raw};
    const int low = static_cast<int>(smaller(V, 2 * n)), high = 2 * n - low;
    return {Vec<T>::load(row, low).raw, Vec<T>::load(row + low, high).raw};
  }
  // What V windows share with both of their columns.
  [[gnu::always_inline]] static Pair twice(Raw v) { return {twice_low<T>(v), twice_high<T>(v)}; }
  [[gnu::always_inline]] void store(T* row, int n) const {
    if (n == V) return Vec<T>{a}.store(row), Vec<T>{b}.store(row + V);
    const int low = static_cast<int>(smaller(V, 2 * n)), high = 2 * n - low;
    Vec<T>{a}.store(row, low);
    Vec<T>{b}.store(row + low, high);
  }
  // The first and the second columns of windows that lie one after the other.
  [[gnu::always_inline]] Pair apart() const {
    return {__builtin_shuffle(a, b, counting<T>(0, 2)), __builtin_shuffle(a, b, counting<T>(1, 2))};
  }
};

// Far: the lines of a pair of vectors are asked for kAhead bytes before they are read, which covers
// the time that a block of results takes on its way past the caches. Out of a cache the hardware
// fetches soon enough.
template <bool kFar, class T>
[[gnu::always_inline]] inline void ask_for(const T* p) {
  constexpr int64_t kAhead = 16384, kLine = 64;
  if constexpr (kFar) {
    const char* next = reinterpret_cast<const char*>(p) + kAhead;
    for (int64_t i = 0; i < 2 * kVecBytes; i += kLine) __builtin_prefetch(next + i);
  }
}

// body(rows of x, row of y, n) for n windows that begin there, of rows [begin, end) of y: whole
// vectors, the last of a row reaching back. A row that is shorter than a vector is taken as one
// where what follows is written later.
template <class T, class Body>
[[gnu::always_inline]] inline void over_windows(const PoolWindows& w, int64_t begin, int64_t end,
                                                const Body& body) {
  constexpr int V = Vec<T>::kWidth;
  const int64_t m = w.columns.m, step = w.rows.kernel * w.columns.n;
  const int64_t spilling = (end - (V + m - 1) / m) * m;
  over_planes(w.rows.m, begin, end, [&](int64_t plane, int64_t first, int64_t last) {
    int64_t from = plane * w.rows.n * w.columns.n + first * step;
    int64_t to = (plane * w.rows.m + first) * m;
    for (const int64_t stop = to + (last - first) * m; to < stop; from += step, to += m) {
      if (m < V) {
        body(from, to, to <= spilling ? V : static_cast<int>(m));
      } else {
        for (int64_t q = 0; q < m; q += V) {
          const int64_t at = smaller(q, m - V);
          body(from + 2 * at, to + at, V);
        }
      }
    }
  });
}

// What no window holds.
template <class T>
[[gnu::noinline]] void clear(T* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] = 0;
}

// write(window of y, r, to, below, n) for n windows from there on: of dx, rows [begin, end) of
// which are wanted, their rows from row r on, at `to` and, unless it is 0, `below` elements behind.
template <class T, class Write>
[[gnu::always_inline]] inline void over_gradients(const PoolWindows& w, int64_t begin, int64_t end,
                                                  T* dx, const Write& write) {
  constexpr int V = Vec<T>::kWidth;
  const int64_t n = w.columns.n, m = w.columns.m, kernel = w.rows.kernel, left = n - 2 * m;
  const int64_t spilling = (end - (2 * V + n - 1) / n) * n;
  const int64_t readable = w.planes * w.rows.m * m - V;
  over_planes(w.rows.n, begin, end, [&](int64_t plane, int64_t first, int64_t last) {
    int64_t to = (plane * w.rows.n + first) * n, from = (plane * w.rows.m + first / kernel) * m;
    const int64_t stop = to + (last - first) * n;
    const int64_t held = to + (smaller(last, w.rows.m * kernel) - first) * n;
    for (int64_t r = first % kernel, rows; to < held; r = 0, from += m, to += rows * n) {
      rows = kernel == 2 && r == 0 && to + n < held ? 2 : 1;
      const int64_t below = (rows - 1) * n;
      if (m < V) {
        const bool spills = to + below <= spilling && from <= readable;
        write(from, r, dx + to, below, spills ? V : static_cast<int>(m));
      } else {
        for (int64_t q = 0; q < m; q += V) {
          const int64_t at = smaller(q, m - V);
          write(from + at, r, dx + to + 2 * at, below, V);
        }
      }
      if (left > 0) clear(dx + to + 2 * m, left);
      if (left > 0 && below) clear(dx + to + below + 2 * m, left);
    }
    if (to < stop) clear(dx + to, stop - to);
  });
}

// ------------------------------------------------------------------------------------- averages

// f(what divides a vector): by a multiplication where that gives the same.
template <class T, class F>
[[gnu::always_inline]] inline void with_divisor(const PoolWindows& w, const PoolDivisor& d,
                                                const F& f) {
  const int64_t divisor = d.fixed ? d.fixed : w.rows.kernel * w.columns.kernel;
  if (divisor == 2 || divisor == 4) {
    f([by = 1 / static_cast<T>(divisor)](auto v) { return v * by; });
  } else {
    f([by = static_cast<T>(divisor)](auto v) { return v / by; });
  }
}

template <bool kFar, class T>
void avg_pairs(const PoolWindows& w, const PoolDivisor& d, int64_t begin, int64_t end,
               const void* x0, void* y0) {
  const T* x = static_cast<const T*>(x0);
  T* y = static_cast<T*>(y0);
  const int64_t below = (w.rows.kernel - 1) * w.columns.n;
  with_divisor<T>(w, d, [&](const auto& divided) {
    over_windows<T>(w, begin, end, [&](int64_t from, int64_t to, int n) {
      ask_for<kFar>(x + from);
      Pair<T> sum = Pair<T>::load(x + from, n);
      if (below) {
        ask_for<kFar>(x + from + below);
        const Pair<T> other = Pair<T>::load(x + from + below, n);
        sum.a += other.a, sum.b += other.b;
      }
      const Pair<T> columns = sum.apart();
      Vec<T>{divided(columns.a + columns.b)}.store(y + to, n);
    });
  });
}

template <class T>
void avg_pairs_backward(const PoolWindows& w, const PoolDivisor& d, int64_t begin, int64_t end,
                        const void* dy0, void* dx0) {
  const T* dy = static_cast<const T*>(dy0);
  with_divisor<T>(w, d, [&](const auto& divided) {
    const auto write = [&](int64_t from, int64_t, T* to, int64_t below, int n) {
      const Pair<T> pair = Pair<T>::twice(divided(Vec<T>::load(dy + from, n).raw));
      pair.store(to, n);
      if (below) pair.store(to + below, n);
    };
    over_gradients(w, begin, end, static_cast<T*>(dx0), write);
  });
}

// --------------------------------------------------------------------------------------- maxima

// a > b ? a : b in one instruction, where there is one. The masked ones because gcc 12 warns of the
// others.
#if defined(__AVX512F__)
FloatVec larger_of(FloatVec a, FloatVec b) { return _mm512_maskz_max_ps(0xffff, a, b); }
DoubleVec larger_of(DoubleVec a, DoubleVec b) { return _mm512_maskz_max_pd(0xff, a, b); }
#elif defined(__AVX2__)
FloatVec larger_of(FloatVec a, FloatVec b) { return _mm256_max_ps(a, b); }
DoubleVec larger_of(DoubleVec a, DoubleVec b) { return _mm256_max_pd(a, b); }
#elif defined(__SSE2__)
FloatVec larger_of(FloatVec a, FloatVec b) { return _mm_max_ps(a, b); }
DoubleVec larger_of(DoubleVec a, DoubleVec b) { return _mm_max_pd(a, b); }
#else
template <class Raw>
Raw larger_of(Raw a, Raw b) {
  return a > b ? a : b;
}
#endif

template <bool kPlaced, class T>
struct BestColumn {
  typename Vec<T>::Raw value;
  typename Lanes<T>::IntVec at;

  // `next` replaces `best`: it is larger, or NaN.
  [[gnu::always_inline]] static BestColumn of(const BestColumn& best, const BestColumn& next) {
    const auto is_nan = next.value != next.value;
    if (!kPlaced) return {is_nan ? next.value : larger_of(next.value, best.value), best.at};
    const auto wins = (next.value > best.value) | is_nan;
    return {wins ? next.value : best.value, wins ? next.at : best.at};
  }
  [[gnu::always_inline]] static BestColumn of_row(const T* row, int n, int first) {
    using Int = typename Lanes<T>::Int;
    const Pair<T> columns = Pair<T>::load(row, n).apart();
    const typename Lanes<T>::IntVec none = {};
    return of({columns.a, none + static_cast<Int>(first)},
              {columns.b, none + static_cast<Int>(first + 1)});
  }
};

template <bool kFar, bool kPlaced, class T>
void max_pairs(const PoolWindows& w, int64_t begin, int64_t end, const void* x0, void* y0,
               uint8_t* places) {
  using Best = BestColumn<kPlaced, T>;
  const T* x = static_cast<const T*>(x0);
  T* y = static_cast<T*>(y0);
  const int64_t below = (w.rows.kernel - 1) * w.columns.n;
  over_windows<T>(w, begin, end, [&](int64_t from, int64_t to, int n) {
    ask_for<kFar>(x + from);
    Best best = Best::of_row(x + from, n, 0);
    if (below) {
      ask_for<kFar>(x + from + below);
      best = Best::of(best, Best::of_row(x + from + below, n, 2));
    }
    Vec<T>{best.value}.store(y + to, n);
    if (kPlaced) store_bytes<T>(best.at, places + to, n);
  });
}

template <bool kFar, class T>
void max_pairs(const PoolWindows& w, int64_t begin, int64_t end, const void* x, void* y,
               const MaxPlaces& places) {
  const auto f = places.bytes ? max_pairs<kFar, true, T> : max_pairs<kFar, false, T>;
  f(w, begin, end, x, y, places.bytes);
}

template <bool kRelu, class T>
void max_pairs_backward(const PoolWindows& w, int64_t begin, int64_t end, const T* dy,
                        const uint8_t* places, const T* y, T* dx) {
  using Int = typename Lanes<T>::Int;
  using IntVec = typename Lanes<T>::IntVec;
  IntVec column;
#pragma GCC unroll 16
  for (int i = 0; i < Vec<T>::kWidth; ++i) column[i] = i % 2;
  over_gradients(w, begin, end, dx, [&](int64_t from, int64_t r, T* to, int64_t below, int n) {
    const auto shared = through_relu(Vec<T>::load(dy + from, n), kRelu ? y + from : nullptr, n);
    const Pair<T> g = Pair<T>::twice(shared.raw);
    const IntVec at = load_bytes<T>(places + from, n);
    const IntVec low = twice_low<T>(at), high = twice_high<T>(at);
    const auto zero = Vec<T>::zero().raw;
    const auto put = [&](IntVec here, T* row) {
      Pair<T>{low == here ? g.a : zero, high == here ? g.b : zero}.store(row, n);
    };
    put(column + static_cast<Int>(2 * r), to);
    if (below) put(column + Int{2}, to + below);
  });
}

template <class T>
void max_pairs_backward(const PoolWindows& w, int64_t begin, int64_t end, const void* dy,
                        const MaxPlaces& places, const void* y, void* dx) {
  const auto f = y ? max_pairs_backward<true, T> : max_pairs_backward<false, T>;
  f(w, begin, end, static_cast<const T*>(dy), places.bytes, static_cast<const T*>(y),
    static_cast<T*>(dx));
}

}  // namespace

extern const PoolPairsTable pool_pairs_table;
const PoolPairsTable pool_pairs_table = {
    pairs_apply,
    {{avg_pairs<false, float>, avg_pairs<false, double>},
     {avg_pairs<true, float>, avg_pairs<true, double>}},
    {avg_pairs_backward<float>, avg_pairs_backward<double>},
    {{max_pairs<false, float>, max_pairs<false, double>},
     {max_pairs<true, float>, max_pairs<true, double>}},
    {max_pairs_backward<float>, max_pairs_backward<double>},
};

}  // namespace dlx::DLX_ISA
