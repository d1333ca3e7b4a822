// Sums over columns, in the order that lanes.h gives to rows. Of few rows a strip of columns is
// taken at a time, lane by lane, and four lanes are joined in registers; of more the sums of all
// lanes lie in a near cache, and groups of rows are added to those of a tile. For kernel files
// only.
#pragma once
#include "ops/lanes.h"
#include "ops/reduce_table.h"

namespace dlx::DLX_ISA {

namespace {

// Squares are computed in float64, because their centre is.
template <bool kSquares, class T>
struct TermOf {
  using type = T;
};
template <class T>
struct TermOf<true, T> {
  using type = double;
};

// n rows, row i at x + offset[i]; for squares a centre per column.
template <class T, bool kSquares>
struct Columns {
  using W = typename TermOf<kSquares, T>::type;
  static constexpr bool kExact = kIsDouble<W>;
  const T* x;
  const int64_t* offset;
  int64_t n;
  const double* centre;

  Columns from(int64_t column) const {
    return {x + column, offset, n, kSquares ? centre + column : nullptr};
  }
};

// kVectors vectors of columns.
template <class T, bool kSquares, int kVectors>
struct Strip {
  using In = Columns<T, kSquares>;
  using W = typename In::W;
  static constexpr bool kExact = In::kExact;
  static constexpr int V = Vec<W>::kWidth, kColumns = kVectors * V;
  static constexpr int kHalves = V / Vec<double>::kWidth, kDoubles = kVectors * kHalves;

  struct Total {
    DoubleVec sum[kDoubles], error[kExact ? kDoubles : 1];  // error: of float64 terms only

    [[gnu::always_inline]] void add(int d, DoubleVec v) {
      add_term<kExact>(sum[d], error[kExact ? d : 0], v);
    }
    [[gnu::always_inline]] void take(const Total& other) {
      unrolled<kDoubles>([&](int d) __attribute__((always_inline)) {
        add(d, other.sum[d]);
        if constexpr (kExact) error[d] += other.error[d];
      });
    }
  };

  // Adds the tree of kTerms terms of a lane, 16 rows apart, or of one less, and then reads row
  // i % 16 for it.
  template <int kTerms>
  [[gnu::always_inline]] static void add_group(const In& in, int64_t i, bool whole, Total& to) {
    const T* row[kTerms];
    unrolled<kTerms>([&](int g) __attribute__((always_inline)) {
      row[g] = in.x + in.offset[g < kTerms - 1 || whole ? i + g * kSumLanes : i % kSumLanes];
      // Rows far apart: the hardware does not see where the next strip lies.
      for (int j = 0; j < kColumns; j += 64 / static_cast<int>(sizeof(T)))
        __builtin_prefetch(row[g] + kColumns + j);
    });
    unrolled<kVectors>([&](int c) __attribute__((always_inline)) {
      const auto t = tree_sum<kTerms>([&](int g) __attribute__((always_inline)) {
        auto v = load_as<W>(row[g] + c * V);
        if constexpr (kSquares) {
          v -= Vec<double>::load(in.centre + c * V).raw;
          v *= v;
        }
        return g < kTerms - 1 || whole ? v : decltype(v){};
      });
      if constexpr (kHalves == 1) {
        to.add(c, t);
      } else {
        to.add(2 * c, widened_half<false>(t));
        to.add(2 * c + 1, widened_half<true>(t));
      }
    });
  }

  // kTerms: behind the last whole block, or one less.
  template <int kTerms>
  [[gnu::always_inline]] static Total lane(const In& in, int64_t i) {
    Total to;
    unrolled<kVectors>([&](int c) __attribute__((always_inline)) {
      unrolled<kHalves>([&](int h) {
        to.sum[c * kHalves + h] = to.error[kExact ? c * kHalves + h : 0] = DoubleVec{};
      });
    });
    for (int64_t left = in.n; left > kSumBlock; left -= kSumBlock, i += kSumBlock)
      add_group<kSumGroup>(in, i, true, to);
    add_group<kTerms>(in, i, i + (kTerms - 1) * kSumLanes < in.n, to);
    return to;
  }

  // Lanes l, l + kStep, l + 2 kStep, ..., joined.
  template <int kTerms, int kStep>
  [[gnu::always_inline]] static Total joined(const In& in, int l) {
    if constexpr (kStep == kSumLanes) {
      return lane<kTerms>(in, l);
    } else {
      Total total = joined<kTerms, 2 * kStep>(in, l);
      if (kTerms > 1 || l + kStep < in.n) total.take(joined<kTerms, 2 * kStep>(in, l + kStep));
      return total;
    }
  }
  template <int kTerms>
  [[gnu::noinline]] static void quarter(const In& in, int l, Total& to) {
    to = joined<kTerms, 4>(in, l);
  }

  template <int kTerms = 1, class Out>
  static void over(const In& in, int64_t columns, const Out& out) {
    if constexpr (kTerms < kSumGroup) {
      if ((in.n - 1) % kSumBlock >= kTerms * kSumLanes) return over<kTerms + 1>(in, columns, out);
    }
    for (int64_t j = 0; j < columns; j += kColumns) {
      const int64_t at = j + kColumns <= columns ? j : columns - kColumns;  // some of them again
      const In from = in.from(at);
      Total part[4];
      const int quarters = in.n < 4 ? static_cast<int>(in.n) : 4;
      for (int l = 0; l < quarters; ++l) quarter<kTerms>(from, l, part[l]);
      if (quarters > 2) part[0].take(part[2]);
      if (quarters > 3) part[1].take(part[3]);
      if (quarters > 1) part[0].take(part[1]);
      out(at, kColumns, reinterpret_cast<const double*>(part[0].sum),
          reinterpret_cast<const double*>(part[0].error));
    }
  }
};

// Few columns whose rows follow one another: 16 rows are one, of 16 times as many columns, which
// leaves less behind whole vectors.
template <class T>
constexpr int64_t kNarrow = 256 / static_cast<int64_t>(sizeof(T));

template <class T, class Out>
void sum_narrow(const T* x, int64_t n, int64_t columns, const Out& out) {
  constexpr bool kExact = kIsDouble<T>;
  constexpr int V = Vec<T>::kWidth, kWidth = Vec<double>::kWidth;
  const int64_t wide = kSumLanes * columns;
  alignas(64) double sum[kSumLanes * kNarrow<T>], error[kExact ? kSumLanes * kNarrow<T> : 1];
  memset(sum, 0, static_cast<size_t>(wide) * sizeof(double));
  if (kExact) memset(error, 0, static_cast<size_t>(wide) * sizeof(double));
  for (; n > 0; n -= kSumBlock, x += kSumBlock * columns) {
    alignas(64) T rest[kSumBlock * kNarrow<T>];
    const T* from = x;
    if (n < kSumBlock) {
      memcpy(rest, x, static_cast<size_t>(n * columns) * sizeof(T));
      memset(rest + n * columns, 0, static_cast<size_t>((kSumBlock - n) * columns) * sizeof(T));
      from = rest;
    }
    for (int64_t p = 0; p < wide; p += V) {
      const auto t =
          tree_sum<kSumGroup>([&](int g) { return Vec<T>::load(from + g * wide + p).raw; });
      const auto add = [&](int64_t at, DoubleVec v) {
        Vec<double> s = Vec<double>::load(sum + at), e = s;
        if constexpr (kExact) e = Vec<double>::load(error + at);
        add_term<kExact>(s.raw, e.raw, v);
        s.store(sum + at);
        if constexpr (kExact) e.store(error + at);
      };
      if constexpr (V == kWidth) {
        add(p, t);
      } else {
        add(p, widened_half<false>(t));
        add(p + kWidth, widened_half<true>(t));
      }
    }
  }
  for (int64_t half = wide / 2; half >= columns; half /= 2) {
#pragma GCC ivdep
    for (int64_t p = 0; p < half; ++p) {
      double lost = kExact ? error[p] : 0;
      add_term<kExact>(sum[p], lost, sum[p + half]);
      if constexpr (kExact) error[p] = lost + error[p + half];
    }
  }
  out(0, columns, sum, error);
}

// What sum_of does with a lane, for each column: adds the tree of kTerms terms, 16 rows apart.
template <int kTerms, bool kSquares, class T>
void add_group(const T* x, const int64_t* offset, int64_t columns, const double* centre, bool first,
               double* sum, double* error) {
  using W = typename TermOf<kSquares, T>::type;
  const T* row[kTerms];
  for (int g = 0; g < kTerms; ++g) row[g] = x + offset[g * kSumLanes];
  if (first) {
    // Few rows far apart: the hardware does not see where the next tile lies.
    for (int g = 0; g < kTerms; ++g)
      for (int64_t j = 0; j < columns; j += 64 / static_cast<int64_t>(sizeof(T)))
        __builtin_prefetch(row[g] + columns + j);
    memset(sum, 0, static_cast<size_t>(columns) * sizeof(double));
    if (kIsDouble<W>) memset(error, 0, static_cast<size_t>(columns) * sizeof(double));
  }
#pragma GCC ivdep
  for (int64_t j = 0; j < columns; ++j) {
    const W t = tree_sum<kTerms>([&](int g) {
      const W v = static_cast<W>(row[g][j]);
      if constexpr (kSquares) {
        return (v - centre[j]) * (v - centre[j]);
      } else {
        return v;
      }
    });
    add_term<kIsDouble<W>>(sum[j], error[j], static_cast<double>(t));
  }
}

template <class T, bool kSquares, class Out>
void sum_tile(const Columns<T, kSquares>& in, int64_t columns, const Out& out) {
  constexpr bool kExact = Columns<T, kSquares>::kExact;
  const int64_t n = in.n;
  alignas(64) double sum[kSumLanes][kReduceTile], error[kExact ? kSumLanes : 1][kReduceTile];
  const int lanes = n < kSumLanes ? static_cast<int>(n) : kSumLanes;
  for (int64_t i = 0; i < n; i += kSumBlock) {
    for (int l = 0; l < lanes && i + l < n; ++l) {
      const int64_t terms = (n - i - l + kSumLanes - 1) / kSumLanes;
      const auto add = [&]<int kTerms>() {
        add_group<kTerms, kSquares>(in.x, in.offset + i + l, columns, in.centre, i == 0, sum[l],
                                    error[kExact ? l : 0]);
      };
      switch (terms) {
        case 1:
          add.template operator()<1>();
          break;
        case 2:
          add.template operator()<2>();
          break;
        case 3:
          add.template operator()<3>();
          break;
        case 4:
          add.template operator()<4>();
          break;
        case 5:
          add.template operator()<5>();
          break;
        case 6:
          add.template operator()<6>();
          break;
        case 7:
          add.template operator()<7>();
          break;
        default:
          add.template operator()<8>();
      }
    }
  }
  for (int half = kSumLanes / 2; half; half /= 2) {
    for (int l = 0; l < half && l + half < lanes; ++l) {
      double *s = sum[l], *e = error[kExact ? l : 0];
      const double *other = sum[l + half], *lost = error[kExact ? l + half : 0];
#pragma GCC ivdep
      for (int64_t j = 0; j < columns; ++j) {
        add_term<kExact>(s[j], e[j], other[j]);
        if (kExact) e[j] += lost[j];
      }
    }
  }
  out(0, columns, sum[0], error[0]);
}

template <class In>
bool is_dense(const In& in, int64_t columns) {
  bool dense = true;
  for (int64_t i = 1; i < in.n; ++i) dense &= in.offset[i] - in.offset[0] == i * columns;
  return dense;
}

// out(j, count, sum, error): columns [j, j + count); error of float64 terms only.
template <class T, bool kSquares, class Out>
void sum_columns(const Columns<T, kSquares>& in, int64_t columns, const Out& out) {
  // Four vectors: 32 registers hold three totals. Vectors of a line make a strip of so many bytes
  // that it pays to ask for 512 rows of the next, which L2 holds.
  constexpr int64_t kMost = kVecBytes < 64 ? kSumBlock : 4 * kSumBlock;
  using Wide = Strip<T, kSquares, 4>;
  using Thin = Strip<T, kSquares, 1>;
  if (in.n <= kMost && columns >= Wide::kColumns) return Wide::over(in, columns, out);
  if (in.n <= kSumBlock && columns >= Thin::kColumns) return Thin::over(in, columns, out);
  if constexpr (!kSquares) {
    if (columns < kNarrow<T> && is_dense(in, columns))
      return sum_narrow(in.x + in.offset[0], in.n, columns, out);
  }
  for (int64_t j = 0; j < columns; j += kReduceTile) {
    const int64_t some = columns - j < kReduceTile ? columns - j : kReduceTile;
    sum_tile(in.from(j), some,
             [&](int64_t at, int64_t count, const double* sum, const double* error) {
               out(j + at, count, sum, error);
             });
  }
}

// As states, for what other chunks or steps follow.
template <class T, bool kSquares>
void column_states(const T* x, const int64_t* offset, int64_t n, int64_t columns,
                   const double* centre, ReduceState* state) {
  sum_columns<T, kSquares>({x, offset, n, centre}, columns,
                           [&](int64_t j, int64_t count, const double* sum, const double* error) {
                             for (int64_t i = 0; i < count; ++i) {
                               state[j + i].real = sum[i];
                               state[j + i].error = Columns<T, kSquares>::kExact ? error[i] : 0;
                             }
                           });
}

// At once to the results.
template <class T>
void column_results(const void* x, const int64_t* offset, int64_t n, int64_t columns,
                    double divisor, void* y0) {
  T* y = static_cast<T*>(y0);
  sum_columns<T, false>({static_cast<const T*>(x), offset, n, nullptr}, columns,
                        [&](int64_t j, int64_t count, const double* sum, const double* error) {
                          for (int64_t i = 0; i < count; ++i) {
                            double value = sum[i];
                            if constexpr (kIsDouble<T>) value = rounded(Sum{sum[i], error[i]});
                            if (divisor != 1) value /= divisor;
                            y[j + i] = static_cast<T>(value);
                          }
                        });
}

}  // namespace

}  // namespace dlx::DLX_ISA
