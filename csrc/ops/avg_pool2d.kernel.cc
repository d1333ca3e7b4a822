// Averages over windows and their gradients, across rows first, for one instruction set.
#include "ops/lanes.h"
#include "ops/pool_rows.h"

namespace dlx::DLX_ISA {

namespace {

// Windows and elements of a row at a time.
constexpr int64_t kWindows = 128, kElements = 512;

// Elements [left, right) of a row, and windows [first, last), all that share elements with them; of
// these [whole, whole_end) have all their elements among them.
struct Piece {
  int64_t first, last, left, right, whole, whole_end;

  Piece(const PoolAxis& a, int64_t from, int64_t to, int64_t left_, int64_t right_)
      : first(larger(from, a.first_over(left_))),
        last(smaller(to, a.last_over(right_ - 1))),
        left(left_),
        right(right_),
        whole(last),
        whole_end(last) {
    if (a.stride == 0) return;
    const int64_t inside = (left + a.before + a.stride - 1) / a.stride;
    const int64_t room = right + a.before - a.kernel;
    const int64_t end = smaller(a.inner_end(), room < 0 ? 0 : room / a.stride + 1);
    whole = smaller(larger(first, larger(a.inner_begin(), inside)), last);
    whole_end = larger(whole, smaller(last, end));
  }
};

// The windows of a row, looked up where there are few: adaptive ones take divisions.
struct Columns {
  const PoolAxis& axis;
  bool padded, few = axis.m <= kWindows;
  int64_t begins[kWindows], ends[kWindows], counts[kWindows];

  Columns(const PoolAxis& a, bool padded_) : axis(a), padded(padded_) {
    for (int64_t q = 0; few && q < a.m; ++q)
      begins[q] = a.begin(q), ends[q] = a.end(q), counts[q] = a.count(q, padded);
  }
  int64_t begin(int64_t q) const { return few ? begins[q] : axis.begin(q); }
  int64_t end(int64_t q) const { return few ? ends[q] : axis.end(q); }
  int64_t count(int64_t q) const { return few ? counts[q] : axis.count(q, padded); }
};

// body(from, to, divisor) for windows of [first, last), those of row p, that have one divisor.
struct Divisors {
  const PoolAxis& rows;
  const Columns& columns;
  const PoolDivisor& d;
  int64_t inner_begin = columns.axis.inner_begin(), inner_end = columns.axis.inner_end();

  template <class Body>
  [[gnu::always_inline]] void over(int64_t p, int64_t first, int64_t last, const Body& body) const {
    if (d.fixed) return body(first, last, d.fixed);
    const int64_t count = rows.count(p, d.padded);
    const int64_t begin = smaller(larger(inner_begin, first), last);
    const int64_t end = larger(smaller(inner_end, last), begin);
    for (int64_t q = first; q < begin; ++q) body(q, q + 1, count * columns.count(q));
    body(begin, end, count * columns.axis.kernel);
    for (int64_t q = end; q < last; ++q) body(q, q + 1, count * columns.count(q));
  }
};

// ------------------------------------------------------------------------------------- forward

// sum[i] += over the window's elements of column[i stride ...].
template <int kStride, class A>
void add_whole(int64_t n, int64_t kernel, int64_t stride, const A* column, A* sum) {
  const int64_t step = kStride ? kStride : stride;
  int64_t t = 0;
  for (; t + 3 <= kernel && kernel - t != 4; t += 3)
    for (int64_t i = 0; i < n; ++i) {
      const A* c = column + i * step + t;
      sum[i] += (c[0] + c[1]) + c[2];
    }
  for (; t + 2 <= kernel; t += 2)
    for (int64_t i = 0; i < n; ++i) sum[i] += column[i * step + t] + column[i * step + t + 1];
  for (; t < kernel; ++t)
    for (int64_t i = 0; i < n; ++i) sum[i] += column[i * step + t];
}

// sum[q - base] += the piece's part of window q; column: sums down the piece's columns.
template <class A>
void add_columns(const Columns& columns, const Piece& s, const A* column, A* sum, int64_t base) {
  const PoolAxis& axis = columns.axis;
  const auto each = [&](int64_t from, int64_t to) {
    for (int64_t q = from; q < to; ++q) {
      A total{};
      const int64_t end = smaller(columns.end(q), s.right);
      for (int64_t c = larger(columns.begin(q), s.left); c < end; ++c) total += column[c - s.left];
      sum[q - base] += total;
    }
  };
  const auto add = axis.stride == 1   ? add_whole<1, A>
                   : axis.stride == 2 ? add_whole<2, A>
                                      : add_whole<0, A>;
  each(s.first, s.whole);
  if (s.whole < s.whole_end)
    add(s.whole_end - s.whole, axis.kernel, axis.stride, column + axis.start(s.whole) - s.left,
        sum + s.whole - base);
  each(s.whole_end, s.last);
}

// Rows of y.
template <class T, class A>
void avg_rows(const PoolWindows& w, const PoolDivisor& d, int64_t begin, int64_t end, const T* x,
              T* y) {
  const PoolAxis &rows = w.rows, &columns = w.columns;
  const Columns windows(columns, d.padded);
  const Divisors divisors{rows, windows, d};
  const int64_t left = columns.begin(0), right = columns.end(columns.m - 1);
  const bool single = columns.m <= kWindows && right - left <= kElements;
  const Piece only(columns, 0, columns.m, left, right);
  alignas(64) A sum[kWindows], column[kElements];
  // Windows [first, last) of one row of y, from rows [top, bottom) of x.
  const auto add_rows = [&](const Piece& s, const T* row, int64_t height, int64_t base) {
    const int64_t n = s.right - s.left;
    row += s.left;
    for (int64_t i = 0; i < n; ++i) column[i] = static_cast<A>(row[i]);
    for (int64_t h = 1; h < height; ++h) {
      row += columns.n;
      for (int64_t i = 0; i < n; ++i) column[i] += static_cast<A>(row[i]);
    }
    add_columns(windows, s, column, sum, base);
  };
  over_planes(rows.m, begin, end, [&](int64_t plane, int64_t first_row, int64_t last_row) {
    for (int64_t p = first_row; p < last_row; ++p) {
      const int64_t top = rows.begin(p), height = rows.end(p) - top;
      const T* from = x + (plane * rows.n + top) * columns.n;
      for (int64_t q = 0; q < columns.m; q += kWindows) {
        const int64_t last = smaller(q + kWindows, columns.m);
        for (int64_t i = 0; i < last - q; ++i) sum[i] = 0;
        if (single) {
          add_rows(only, from, height, 0);
        } else {
          const int64_t stop = columns.end(last - 1);
          for (int64_t c = columns.begin(q); c < stop; c += kElements)
            add_rows(Piece(columns, q, last, c, smaller(c + kElements, stop)), from, height, q);
        }
        T* to = y + (plane * rows.m + p) * columns.m;
        divisors.over(p, q, last, [&](int64_t a, int64_t b, int64_t divisor) {
          for (int64_t i = a; i < b; ++i)
            to[i] = static_cast<T>(sum[i - q] / static_cast<A>(divisor));
        });
      }
    }
  });
}

// The sum of a few numbers, in float64: sum_of would spend its time on joining its lanes.
template <class T>
double short_sum(const T* x, int64_t n) {
  constexpr int V = Vec<double>::kWidth, R = kSumLanes / V;
  DoubleVec sum[R] = {};
  int64_t i = 0;
  for (; i + kSumLanes <= n; i += kSumLanes)
    for (int r = 0; r < R; ++r) sum[r] += load_as<double>(x + i + r * V);
  alignas(64) double lanes[kSumLanes];
  memcpy(lanes, sum, sizeof lanes);
  for (int l = 0; i < n; ++i, ++l) lanes[l] += static_cast<double>(x[i]);
  return tree_sum<8>([&](int l) { return lanes[l] + lanes[l + 8]; });
}

// One window for each row of y, as wide as x.
template <class T>
void avg_of_rows(const PoolWindows& w, const PoolDivisor& d, int64_t begin, int64_t end, const T* x,
                 T* y) {
  const PoolAxis &rows = w.rows, &columns = w.columns;
  const Columns windows(columns, d.padded);
  const Divisors divisors{rows, windows, d};
  over_planes(rows.m, begin, end, [&](int64_t plane, int64_t first, int64_t last) {
    for (int64_t p = first; p < last; ++p) {
      const int64_t top = rows.begin(p), height = rows.end(p) - top;
      const T* from = x + (plane * rows.n + top) * columns.n;
      const int64_t n = height * columns.n;
      const double sum = n < 1024 ? short_sum(from, n) : total_of(from, n);
      divisors.over(p, 0, 1, [&](int64_t a, int64_t b, int64_t divisor) {
        if (a < b) y[plane * rows.m + p] = static_cast<T>(sum / static_cast<double>(divisor));
      });
    }
  });
}

template <class T>
void avg_pool2d(const PoolWindows& w, const PoolDivisor& d, int64_t begin, int64_t end,
                const void* x, void* y) {
  const bool full = w.columns.m == 1 && w.columns.begin(0) == 0 && w.columns.end(0) == w.columns.n;
  const auto f = full ? avg_of_rows<T> : is_wide(w) ? avg_rows<T, double> : avg_rows<T, T>;
  f(w, d, begin, end, static_cast<const T*>(x), static_cast<T*>(y));
}

// ------------------------------------------------------------------------------------ backward

// sum[i stride + t] += column[i], t < kernel.
template <int kStride, class A>
void spread_whole(int64_t n, int64_t kernel, int64_t stride, const A* column, A* sum) {
  const int64_t step = kStride ? kStride : stride;
  for (int64_t t = 0; t < kernel; ++t)
    for (int64_t i = 0; i < n; ++i) sum[i * step + t] += column[i];
}

// sum[c - left] += column[q - base] for the elements c of window q in the piece.
template <class A>
void spread_columns(const Columns& columns, const Piece& s, const A* column, int64_t base, A* sum) {
  const PoolAxis& axis = columns.axis;
  const auto each = [&](int64_t from, int64_t to) {
    for (int64_t q = from; q < to; ++q) {
      const int64_t end = smaller(columns.end(q), s.right);
      for (int64_t c = larger(columns.begin(q), s.left); c < end; ++c)
        sum[c - s.left] += column[q - base];
    }
  };
  const auto spread = axis.stride == 1   ? spread_whole<1, A>
                      : axis.stride == 2 ? spread_whole<2, A>
                                         : spread_whole<0, A>;
  each(s.first, s.whole);
  if (s.whole < s.whole_end)
    spread(s.whole_end - s.whole, axis.kernel, axis.stride, column + s.whole - base,
           sum + axis.start(s.whole) - s.left);
  each(s.whole_end, s.last);
}

// Rows of dx. Those in the same windows are equal.
template <class T, class A>
void avg_backward_rows(const PoolWindows& w, const PoolDivisor& d, int64_t begin, int64_t end,
                       const T* dy, T* dx) {
  const PoolAxis &rows = w.rows, &columns = w.columns;
  const Columns windows(columns, d.padded);
  const Divisors divisors{rows, windows, d};
  const bool single = columns.m <= kWindows && columns.n <= kElements;
  const Piece only(columns, 0, columns.m, 0, columns.n);
  alignas(64) A sum[kElements], column[kWindows];
  // What windows [first, last) of rows [top, bottom) of dy add to the piece.
  const auto spread_rows = [&](const Piece& s, const T* image, int64_t top, int64_t bottom) {
    for (int64_t i = 0; i < s.last - s.first; ++i) column[i] = 0;
    for (int64_t p = top; p < bottom; ++p) {
      const T* row = image + p * columns.m;
      divisors.over(p, s.first, s.last, [&](int64_t a, int64_t b, int64_t divisor) {
        for (int64_t q = a; q < b; ++q)
          column[q - s.first] += static_cast<A>(row[q]) / static_cast<A>(divisor);
      });
    }
    spread_columns(windows, s, column, s.first, sum);
  };
  over_planes(rows.n, begin, end, [&](int64_t plane, int64_t first_row, int64_t last_row) {
    const T* image = dy + plane * rows.m * columns.m;
    int64_t top = rows.first_over(first_row), bottom = top, top_above = -1, bottom_above = -1;
    for (int64_t h = first_row; h < last_row; ++h) {
      while (top < rows.m && rows.end(top) <= h) ++top;
      bottom = larger(bottom, top);
      while (bottom < rows.m && rows.begin(bottom) <= h) ++bottom;
      T* to = dx + (plane * rows.n + h) * columns.n;
      if (top == top_above && bottom == bottom_above) {
        memcpy(to, to - columns.n, static_cast<size_t>(columns.n) * sizeof(T));
        continue;
      }
      top_above = top, bottom_above = bottom;
      for (int64_t c = 0; c < columns.n; c += kElements) {
        const int64_t n = smaller(kElements, columns.n - c);
        for (int64_t i = 0; i < n; ++i) sum[i] = 0;
        if (single) {
          spread_rows(only, image, top, bottom);
        } else {
          const int64_t stop = columns.last_over(c + n - 1);
          for (int64_t q = columns.first_over(c); q < stop; q += kWindows)
            spread_rows(Piece(columns, q, smaller(q + kWindows, stop), c, c + n), image, top,
                        bottom);
        }
        for (int64_t i = 0; i < n; ++i) to[c + i] = static_cast<T>(sum[i]);
      }
    }
  });
}

template <class T>
void avg_pool2d_backward(const PoolWindows& w, const PoolDivisor& d, int64_t begin, int64_t end,
                         const void* dy, void* dx) {
  const auto f = is_wide(w) ? avg_backward_rows<T, double> : avg_backward_rows<T, T>;
  f(w, d, begin, end, static_cast<const T*>(dy), static_cast<T*>(dx));
}

}  // namespace

extern const AvgPoolTable avg_pool_table;
const AvgPoolTable avg_pool_table = {
    {avg_pool2d<float>, avg_pool2d<double>},
    {avg_pool2d_backward<float>, avg_pool2d_backward<double>},
};

}  // namespace dlx::DLX_ISA
