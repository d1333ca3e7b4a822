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

template <class T>
struct Pair {
  using Raw = typename Vec<T>::Raw;
  using IntVec = typename Lanes<T>::IntVec;
  static constexpr int V = Vec<T>::kWidth;
  Raw a, b;

  // Of n windows; n is V or what a row has.
  [[gnu::always_inline]] static Pair load(const T* row, int n) {
    if (n == V) return {Vec<T>::load(row).raw, Vec<T>::load(row + V).raw};
    const int low = static_cast<int>(smaller(V, 2 * n)), high = 2 * n - low;
    return {Vec<T>::load(row, low).raw, Vec<T>::load(row + low, high).raw};
  }
  [[gnu::always_inline]] void store(T* row, int n) const {
    const int low = static_cast<int>(smaller(V, 2 * n)), high = 2 * n - low;
    Vec<T>{a}.store(row, low);
    Vec<T>{b}.store(row + low, high);
  }
  // The first and the second columns of windows that lie one after the other.
  [[gnu::always_inline]] Pair apart() const {
    return {__builtin_shuffle(a, b, counting<T>(0, 2)), __builtin_shuffle(a, b, counting<T>(1, 2))};
  }
  [[gnu::always_inline]] Pair together() const {
    IntVec low, high;
#pragma GCC unroll 16
    for (int i = 0; i < V; ++i) low[i] = i / 2 + i % 2 * V, high[i] = low[i] + V / 2;
    return {__builtin_shuffle(a, b, low), __builtin_shuffle(a, b, high)};
  }
};

// Far: the lines of a pair of vectors are asked for kAhead bytes before they are read. Rows come in
// pairs and are short: the hardware stays too close behind.
template <bool kFar, class T>
[[gnu::always_inline]] inline void ask_for(const T* p) {
  constexpr int64_t kAhead = 4096, kLine = 64;
  if constexpr (kFar) {
    const char* next = reinterpret_cast<const char*>(p) + kAhead;
    for (int64_t i = 0; i < 2 * kVecBytes; i += kLine) __builtin_prefetch(next + i);
  }
}

// body(q, n) for n windows from q on: whole vectors, the last of which reaches back. spills: a row
// that is shorter than a vector may be taken as one, for what follows is written later.
template <class T, class Body>
[[gnu::always_inline]] inline void over_windows(int64_t m, bool spills, const Body& body) {
  constexpr int V = Vec<T>::kWidth;
  if (m < V) return body(int64_t{0}, spills ? V : static_cast<int>(m));
  for (int64_t q = 0; q < m; q += V) body(smaller(q, m - V), V);
}

// body(rows of x, row of y, whether it spills) for rows [begin, end) of y.
template <class T, class Body>
[[gnu::always_inline]] inline void over_rows(const PoolWindows& w, int64_t begin, int64_t end,
                                             const Body& body) {
  const int64_t m = w.columns.m, spilling = end - (Vec<T>::kWidth + m - 1) / m;
  over_planes(w.rows.m, begin, end, [&](int64_t plane, int64_t first, int64_t last) {
    for (int64_t p = first; p < last; ++p) {
      const int64_t row = plane * w.rows.m + p;
      body((plane * w.rows.n + p * w.rows.kernel) * w.columns.n, row * m, row <= spilling);
    }
  });
}

// write(row of y, r, end, row of dx, whether that spills) for rows [begin, end) of dx, which are
// rows [r, end) of their windows; what no window holds becomes zero.
template <class T, class Write>
[[gnu::always_inline]] inline void over_gradients(const PoolWindows& w, int64_t begin, int64_t end,
                                                  T* dx, const Write& write) {
  constexpr int V = Vec<T>::kWidth;
  const int64_t n = w.columns.n, held = 2 * w.columns.m, kernel = w.rows.kernel;
  const int64_t spilling = end - (2 * V + n - 1) / n;
  const int64_t readable = w.planes * w.rows.m * w.columns.m - V;
  over_planes(w.rows.n, begin, end, [&](int64_t plane, int64_t first, int64_t last) {
    for (int64_t h = first, rows; h < last; h += rows) {
      T* to = dx + (plane * w.rows.n + h) * n;
      const int64_t p = kernel == 2 ? h / 2 : h, r = h - p * kernel;
      const bool inside = p < w.rows.m;
      rows = inside ? smaller(kernel - r, last - h) : 1;
      const int64_t from = (plane * w.rows.m + p) * w.columns.m;
      const bool spills = plane * w.rows.n + h + rows - 1 <= spilling && from <= readable;
      if (inside) write(from, r, r + rows, to, spills);
      for (int64_t j = 0; j < rows; ++j, to += n)
        for (int64_t i = inside ? held : 0; i < n; ++i) to[i] = 0;
    }
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
    over_rows<T>(w, begin, end, [&](int64_t from, int64_t to, bool spills) {
      over_windows<T>(w.columns.m, spills, [&](int64_t q, int n) {
        ask_for<kFar>(x + from + 2 * q);
        Pair<T> sum = Pair<T>::load(x + from + 2 * q, n);
        if (below) {
          ask_for<kFar>(x + from + below + 2 * q);
          const Pair<T> other = Pair<T>::load(x + from + below + 2 * q, n);
          sum.a += other.a, sum.b += other.b;
        }
        const Pair<T> columns = sum.apart();
        Vec<T>{divided(columns.a + columns.b)}.store(y + to + q, n);
      });
    });
  });
}

template <class T>
void avg_pairs_backward(const PoolWindows& w, const PoolDivisor& d, int64_t begin, int64_t end,
                        const void* dy0, void* dx0) {
  const T* dy = static_cast<const T*>(dy0);
  with_divisor<T>(w, d, [&](const auto& divided) {
    const auto write = [&](int64_t from, int64_t first, int64_t last, T* rows, bool spills) {
      over_windows<T>(w.columns.m, spills, [&](int64_t q, int n) {
        const auto share = divided(Vec<T>::load(dy + from + q, n).raw);
        const Pair<T> pair = Pair<T>{share, share}.together();
        T* row = rows + 2 * q;
        for (int64_t r = first; r < last; ++r, row += w.columns.n) pair.store(row, n);
      });
    };
    over_gradients(w, begin, end, static_cast<T*>(dx0), write);
  });
}

// --------------------------------------------------------------------------------------- maxima

template <class T>
struct BestColumn {
  typename Vec<T>::Raw value;
  typename Lanes<T>::IntVec at;

  // `next` replaces `best`: it is larger, or NaN.
  [[gnu::always_inline]] static BestColumn of(const BestColumn& best, const BestColumn& next) {
    const auto wins = (next.value > best.value) | (next.value != next.value);
    return {wins ? next.value : best.value, wins ? next.at : best.at};
  }
};

template <class T>
[[gnu::always_inline]] inline BestColumn<T> best_of_row(const T* row, int n, int first) {
  using Int = typename Lanes<T>::Int;
  const Pair<T> columns = Pair<T>::load(row, n).apart();
  const typename Lanes<T>::IntVec none = {};
  return BestColumn<T>::of({columns.a, none + static_cast<Int>(first)},
                           {columns.b, none + static_cast<Int>(first + 1)});
}

template <bool kFar, bool kPlaced, class T>
void max_pairs(const PoolWindows& w, int64_t begin, int64_t end, const void* x0, void* y0,
               uint8_t* places) {
  const T* x = static_cast<const T*>(x0);
  T* y = static_cast<T*>(y0);
  const int64_t below = (w.rows.kernel - 1) * w.columns.n;
  over_rows<T>(w, begin, end, [&](int64_t from, int64_t to, bool spills) {
    over_windows<T>(w.columns.m, spills, [&](int64_t q, int n) {
      ask_for<kFar>(x + from + 2 * q);
      BestColumn<T> best = best_of_row(x + from + 2 * q, n, 0);
      if (below) {
        ask_for<kFar>(x + from + below + 2 * q);
        best = BestColumn<T>::of(best, best_of_row(x + from + below + 2 * q, n, 2));
      }
      Vec<T>{best.value}.store(y + to + q, n);
      if (kPlaced) store_bytes<T>(best.at, places + to + q, n);
    });
  });
}

template <bool kFar, class T>
void max_pairs(const PoolWindows& w, int64_t begin, int64_t end, const void* x, void* y,
               const MaxPlaces& places) {
  const auto f = places.bytes ? max_pairs<kFar, true, T> : max_pairs<kFar, false, T>;
  f(w, begin, end, x, y, places.bytes);
}

template <class T>
void max_pairs_backward(const PoolWindows& w, int64_t begin, int64_t end, const void* dy0,
                        const MaxPlaces& places, const void* y0, void* dx0) {
  using Int = typename Lanes<T>::Int;
  const T *dy = static_cast<const T*>(dy0), *y = static_cast<const T*>(y0);
  const auto write = [&](int64_t from, int64_t first, int64_t last, T* rows, bool spills) {
    over_windows<T>(w.columns.m, spills, [&](int64_t q, int n) {
      const T* of_relu = y ? y + from + q : nullptr;
      const auto g = through_relu(Vec<T>::load(dy + from + q, n), of_relu, n).raw;
      const auto at = load_bytes<T>(places.bytes + from + q, n);
      const auto zero = Vec<T>::zero().raw;
      const auto put = [&](Int left, T* row) {
        Pair<T>{at == left ? g : zero, at == left + 1 ? g : zero}.together().store(row + 2 * q, n);
      };
      if (first == 0) put(0, rows);
      if (last == 2) put(2, rows + (1 - first) * w.columns.n);
    });
  };
  over_gradients(w, begin, end, static_cast<T*>(dx0), write);
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
