// Places of the extremes of dense rows and columns of floats, for one instruction set: the first of
// equal values, or the first NaN. A lane keeps its best value and where that was; NaNs are watched
// aside, and what holds one is gone through again.
#include <type_traits>

#include "ops/reduce_table.h"
#include "ops/segments.h"

namespace dlx::DLX_ISA {

namespace {

template <bool kMax, class V>
[[gnu::always_inline]] inline V better(V best, V x) {
  return kMax ? (x > best ? x : best) : (x < best ? x : best);
}
template <bool kMax, class V, class I>
[[gnu::always_inline]] inline I better_at(V best, V x, I at, I x_at) {
  return kMax ? (x > best ? x_at : at) : (x < best ? x_at : at);
}

template <class T>
using Lane = std::remove_reference_t<decltype(Index<T>{}[0])>;

// 0, 1, 2, ...
template <class T>
[[gnu::always_inline]] inline Index<T> lane_numbers() {
  Index<T> lane;
#pragma GCC unroll 16
  for (int i = 0; i < Vec<T>::kWidth; ++i) lane[i] = i;
  return lane;
}

// Every other lane, from kFirst on, a's before b's.
template <class T, int kFirst, class Lanes>
[[gnu::always_inline]] inline Lanes alternate(Lanes a, Lanes b) {
  return __builtin_shuffle(a, b, lane_numbers<T>() * 2 + kFirst);
}

// Of numbers. kInOrder: what is joined second lies behind what is joined first.
template <bool kMax, bool kInOrder, class T>
struct Place {
  Raw<T> value;
  Index<T> at;

  [[gnu::always_inline]] static Place better_of(const Place& a, const Place& b) {
    Index<T> at = better_at<kMax>(a.value, b.value, a.at, b.at);
    if constexpr (!kInOrder) {
      const Index<T> first = a.at < b.at ? a.at : b.at;
      at = a.value == b.value ? first : at;
    }
    return {better<kMax>(a.value, b.value), at};
  }
  // Of neighbouring lanes, so that their order stays.
  template <int>
  [[gnu::always_inline]] static Place joined(const Place& a, const Place& b) {
    return better_of({alternate<T, 0>(a.value, b.value), alternate<T, 0>(a.at, b.at)},
                     {alternate<T, 1>(a.value, b.value), alternate<T, 1>(a.at, b.at)});
  }
};

// Where there is a NaN.
template <bool kMax, class T>
[[gnu::noinline]] void places_with_nan(const T* x, int64_t x_step, int64_t rows, int64_t n,
                                       int64_t* y) {
  for (int64_t r = 0; r < rows; ++r, x += x_step) {
    const T found = extreme_of<kMax>(x, n);
    int64_t at = 0;
    while (x[at] != found && (x[at] == x[at] || found == found)) ++at;
    y[r] = at;
  }
}

// The lanes' places in a row of kVectors vectors, the last of which reaches back for its elements.
template <int kVectors, bool kMax, class T>
[[gnu::always_inline]] inline Place<kMax, false, T> place_of_short_row(const T* x, int64_t n,
                                                                       Raw<T>& nan) {
  constexpr int V = Vec<T>::kWidth;
  Place<kMax, true, T> best{Vec<T>::load(x).raw, lane_numbers<T>()};
  nan = best.value != best.value ? best.value : nan;
#pragma GCC unroll 4
  for (int k = 1; k < kVectors; ++k) {
    const int64_t from = k < kVectors - 1 ? k * V : n - V;
    const Raw<T> v = Vec<T>::load(x + from).raw;
    best = best.better_of(best, {v, lane_numbers<T>() + static_cast<Lane<T>>(from)});
    nan = v != v ? v : nan;
  }
  return {best.value, best.at};
}

// The same of more than kVectors vectors.
template <int kVectors, bool kMax, class T>
[[gnu::always_inline]] inline Place<kMax, false, T> place_of_long_row(const T* x, int64_t n,
                                                                      Raw<T>& nan) {
  constexpr int V = Vec<T>::kWidth, kStep = kVectors * V;
  const Raw<T> none = Vec<T>::broadcast(neutral<kMax, T>()).raw;
  const Index<T> lane = lane_numbers<T>();
  Place<kMax, false, T> best[kVectors];
#pragma GCC unroll 4
  for (int k = 0; k < kVectors; ++k) {
    best[k] = {Vec<T>::load(x + k * V).raw, Index<T>{}};
    nan = best[k].value != best[k].value ? best[k].value : nan;
  }
  Index<T> now = Index<T>{} + kStep;
  const auto take = [&](int k, Raw<T> v) __attribute__((always_inline)) {
    best[k].at = better_at<kMax>(best[k].value, v, best[k].at, now);
    best[k].value = better<kMax>(best[k].value, v);
    nan = v != v ? v : nan;
  };
  int64_t i = kStep;
  for (; i + kStep <= n; i += kStep, now += kStep) {
#pragma GCC unroll 4
    for (int k = 0; k < kVectors; ++k) take(k, Vec<T>::load(x + i + k * V).raw);
  }
#pragma GCC unroll 4
  for (int k = 0; k < kVectors; ++k) {
    const int64_t left = n - i - k * V;
    if (left <= 0) break;
    if (left >= V) {
      take(k, Vec<T>::load(x + i + k * V).raw);
    } else {
      const Raw<T> v = Vec<T>::load(x + i + k * V, static_cast<int>(left)).raw;
      take(k, lane < static_cast<int>(left) - Index<T>{} ? v : none);
    }
  }
#pragma GCC unroll 4
  for (int k = 0; k < kVectors; ++k) best[k].at += lane + k * V;
#pragma GCC unroll 4
  for (int k = 1; k < kVectors; ++k) best[0] = best[0].better_of(best[0], best[k]);
  return best[0];
}

// The first n lanes, as int64.
template <class T, class Y>
[[gnu::always_inline]] inline void store_places(Index<T> at, Y* y, int64_t n) {
  constexpr int V = Vec<T>::kWidth, W = Vec<double>::kWidth;
  typedef Lane<T> Part __attribute__((vector_size(W * sizeof(Lane<T>))));
  typedef Y Wide __attribute__((vector_size(W * sizeof(Y))));
  alignas(64) Lane<T> narrow[V];
  alignas(64) Y wide[V];
  memcpy(narrow, &at, sizeof at);
  Y* to = n == V ? y : wide;
#pragma GCC unroll 2
  for (int i = 0; i < V; i += W) {
    Part part;
    memcpy(&part, narrow + i, sizeof part);
    const Wide w = __builtin_convertvector(part, Wide);
    memcpy(to + i, &w, sizeof w);
  }
  if (n < V) memcpy(y, wide, static_cast<size_t>(n) * sizeof(Y));
}

template <int kSegment, bool kMax, class T>
void places_of_rows(const T* x, int64_t x_step, int64_t rows, int64_t n, int64_t* y) {
  constexpr int V = Vec<T>::kWidth;
  const auto finish = [&](Index<T> at, Raw<T> nan, int64_t r, int64_t count) {
    if (any_nan<T>(nan)) {
      places_with_nan<kMax>(x + r * x_step, x_step, count, n, y + r);
    } else {
      store_places<T>(at, y + r, count);
    }
  };
  if constexpr (kSegment > V) {
    constexpr int kVectors = kSegment / V, kMost = 4;
    if constexpr (kVectors <= kMost) {
      if (n > kSegment) return places_of_rows<kSegment + V, kMax>(x, x_step, rows, n, y);
    }
    for (int64_t r = 0; r < rows; r += V) {
      const int64_t count = at_most(V, rows - r);
      Place<kMax, false, T> part[V];
      Raw<T> nan = {};
      for (int64_t k = 0; k < V; ++k) {
        const T* row = x + (r + at_most(k, count - 1)) * x_step;
        if constexpr (kVectors <= kMost) {
          part[k] = place_of_short_row<kVectors, kMax>(row, n, nan);
        } else {
          part[k] = place_of_long_row<kMost, kMax>(row, n, nan);
        }
      }
      join_segments<V>(part);
      finish(part[0].at, nan, r, count);
    }
  } else {
    if (n > kSegment) return places_of_rows<2 * kSegment, kMax>(x, x_step, rows, n, y);
    const Spread<T, kSegment> spread(n, neutral<kMax, T>());
    over_dense<V>(x, x_step, rows, n, [&](const T* from, int64_t r, int64_t count) {
      Place<kMax, true, T> part[kSegment];
      Raw<T> nan = {};
#pragma GCC unroll 16
      for (int k = 0; k < kSegment; ++k) {
        const Raw<T> v = spread.load(from + k * (V / kSegment) * n);
        nan = v != v ? v : nan;
        part[k] = {v, lane_numbers<T>() % kSegment};
      }
      join_segments<kSegment>(part);
      finish(part[0].at, nan, r, count);
    });
  }
}

template <bool kMax, class T>
void arg_rows(const void* x, int64_t x_step, int64_t rows, int64_t n, double, void* y) {
  places_of_rows<2, kMax>(static_cast<const T*>(x), x_step, rows, n, static_cast<int64_t*>(y));
}

// --------------------------------------------------------------------------------------- columns

template <bool kMax, class T>
[[gnu::noinline]] void columns_with_nan(const T* x, const int64_t* offset, int64_t n,
                                        int64_t columns, int64_t* y) {
  for (int64_t j = 0; j < columns; ++j) {
    int64_t at = 0;
    T best = x[offset[0] + j];
    for (int64_t i = 1; i < n && best == best; ++i) {
      const T v = x[offset[i] + j];
      if ((kMax ? v > best : v < best) || v != v) best = v, at = i;
    }
    y[j] = at;
  }
}

constexpr int kPairs = kVecBytes == 64 ? 8 : 4;  // of value and place: half of the registers

// kPairs vectors of a row at most, in kPairs / kVectors turns: turn t has rows t, t + turns, ...
template <int kVectors, bool kMax, class T>
void places_of_strip(const T* x, const int64_t* offset, int64_t n, int64_t columns, int64_t* y) {
  constexpr int V = Vec<T>::kWidth, kTurns = kPairs / kVectors;
  const int last = static_cast<int>(columns - (kVectors - 1) * V);
  Place<kMax, false, T> best[kTurns][kVectors];
#pragma GCC unroll 8
  for (int t = 0; t < kTurns; ++t)
#pragma GCC unroll 8
    for (int k = 0; k < kVectors; ++k)
      best[t][k] = {Vec<T>::broadcast(neutral<kMax, T>()).raw, Index<T>{} + t};
  Raw<T> nan = {};
  Index<T> now = {};
  const auto take = [&](int t, const T* row) __attribute__((always_inline)) {
#pragma GCC unroll 8
    for (int k = 0; k < kVectors; ++k) {
      const Raw<T> v =
          k < kVectors - 1 ? Vec<T>::load(row + k * V).raw : Vec<T>::load(row + k * V, last).raw;
      Place<kMax, false, T>& b = best[t][k];
      b.at = better_at<kMax>(b.value, v, b.at, now);
      b.value = better<kMax>(b.value, v);
      nan = v != v ? v : nan;
    }
    now += 1;
  };
  int64_t i = 0;
  for (; i + kTurns <= n; i += kTurns) {
#pragma GCC unroll 8
    for (int t = 0; t < kTurns; ++t) take(t, x + offset[i + t]);
  }
#pragma GCC unroll 8
  for (int t = 0; t < kTurns - 1; ++t) {
    if (i + t == n) break;
    take(t, x + offset[i + t]);
  }
#pragma GCC unroll 8
  for (int t = 1; t < kTurns; ++t)
#pragma GCC unroll 8
    for (int k = 0; k < kVectors; ++k)
      best[0][k] = Place<kMax, false, T>::better_of(best[0][k], best[t][k]);
  if (any_nan<T>(nan)) return columns_with_nan<kMax>(x, offset, n, columns, y);
#pragma GCC unroll 8
  for (int k = 0; k < kVectors; ++k)
    store_places<T>(best[0][k].at, y + k * V, k < kVectors - 1 ? V : last);
}

template <int kVectors, bool kMax, class T>
void places_of_columns(const T* x, const int64_t* offset, int64_t n, int64_t columns, int64_t* y) {
  constexpr int64_t kWide = kVectors * Vec<T>::kWidth;
  for (; columns >= kWide; x += kWide, y += kWide, columns -= kWide)
    places_of_strip<kVectors, kMax>(x, offset, n, kWide, y);
  if constexpr (kVectors > 1) {
    if (columns > 0) places_of_columns<kVectors / 2, kMax>(x, offset, n, columns, y);
  } else {
    if (columns > 0) places_of_strip<1, kMax>(x, offset, n, columns, y);
  }
}

template <bool kMax, class T>
void arg_columns(const void* x, const int64_t* offset, int64_t n, int64_t columns, double,
                 void* y) {
  places_of_columns<kPairs, kMax>(static_cast<const T*>(x), offset, n, columns,
                                  static_cast<int64_t*>(y));
}

}  // namespace

extern const ReduceArgTable reduce_arg_table;
const ReduceArgTable reduce_arg_table = {
    {{arg_rows<true, float>, arg_rows<true, double>},
     {arg_rows<false, float>, arg_rows<false, double>}},
    {{arg_columns<true, float>, arg_columns<true, double>},
     {arg_columns<false, float>, arg_columns<false, double>}},
};

}  // namespace dlx::DLX_ISA
