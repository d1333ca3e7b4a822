// Resampling, rows first, then along the row, for one instruction set.
#include <string.h>

#include "ops/upsample_table.h"

namespace dlx::DLX_ISA {

namespace {

#include "ops/upsample_axis.h"

// Elements of y and of x of a row at a time.
constexpr int64_t kColumns = 128, kSources = 512;

int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// body(q, last, left, right): columns [q, last) of y come from columns [left, right) of x, at most
// kColumns and kSources of them.
template <class Body>
void over_tiles(const UpsampleAxis& columns, const Body& body) {
  for (int64_t q = 0; q < columns.m;) {
    const int64_t left = columns.first[q];
    int64_t last = smaller(q + kColumns, columns.m);
    while (columns.first[last - 1] + 2 - left > kSources) --last;
    body(q, last, left, behind(columns, columns.first[last - 1]) + 1);
    q = last;
  }
}

template <class T>
void nearest_row(const UpsampleAxis& columns, const T* x, T* y) {
  for (int64_t q = 0; q < columns.m; ++q) y[q] = x[columns.first[q]];
}

template <class T>
void linear_row(const UpsampleAxis& rows, const UpsampleAxis& columns, int64_t p, const T* x,
                T* y) {
  const T *above = x + rows.first[p] * columns.n,
          *below = x + behind(rows, rows.first[p]) * columns.n;
  const T low = static_cast<T>(rows.weight[p]), high = static_cast<T>(1 - rows.weight[p]);
  alignas(64) T mixed[kSources];
  over_tiles(columns, [&](int64_t q, int64_t last, int64_t left, int64_t right) {
    for (int64_t i = 0; i < right - left; ++i)
      mixed[i] = high * above[left + i] + low * below[left + i];
    for (; q < last; ++q) {
      const int64_t at = columns.first[q];
      const T weight = static_cast<T>(columns.weight[q]);
      y[q] = static_cast<T>(1 - columns.weight[q]) * mixed[at - left] +
             weight * mixed[behind(columns, at) - left];
    }
  });
}

template <class T>
void forward(const UpsampleAxis& rows, const UpsampleAxis& columns, int64_t begin, int64_t end,
             const void* x, void* y) {
  const T* before = nullptr;  // the row of x that the row above came from
  for (int64_t r = begin; r < end; ++r) {
    const int64_t plane = r / rows.m, p = r % rows.m;
    const T* image = static_cast<const T*>(x) + plane * rows.n * columns.n;
    T* to = static_cast<T*>(y) + r * columns.m;
    if (rows.weight) {
      linear_row(rows, columns, p, image, to);
      continue;
    }
    const T* from = image + rows.first[p] * columns.n;
    if (from == before) {
      memcpy(to, to - columns.m, static_cast<size_t>(columns.m) * sizeof(T));
    } else {
      nearest_row(columns, from, to);
    }
    before = from;
  }
}

// Rows of dx, each by itself: rows of dy are added first, then along the row.
template <class T>
void backward_row(const UpsampleAxis& rows, const UpsampleAxis& columns, int64_t h, const T* dy,
                  T* dx) {
  const int64_t top = first_seeing(rows, h), bottom = rows.begin[h + 1];
  alignas(64) double sum[kSources], column[kColumns];
  memset(dx, 0, static_cast<size_t>(columns.n) * sizeof(T));
  over_tiles(columns, [&](int64_t q, int64_t last, int64_t left, int64_t right) {
    for (int64_t i = 0; i < last - q; ++i) column[i] = 0;
    for (int64_t p = top; p < bottom; ++p) {
      const double weight = weight_of(rows, p, h);
      const T* row = dy + p * columns.m + q;
      for (int64_t i = 0; i < last - q; ++i) column[i] += weight * static_cast<double>(row[i]);
    }
    for (int64_t i = 0; i < right - left; ++i) sum[i] = 0;
    for (int64_t i = 0; i < last - q; ++i) {
      const int64_t at = columns.first[q + i];
      const double weight = columns.weight ? columns.weight[q + i] : 0;
      sum[at - left] += (1 - weight) * column[i];
      if (columns.weight) sum[behind(columns, at) - left] += weight * column[i];
    }
    for (int64_t i = 0; i < right - left; ++i) dx[left + i] += static_cast<T>(sum[i]);
  });
}

template <class T>
void backward(const UpsampleAxis& rows, const UpsampleAxis& columns, int64_t begin, int64_t end,
              const void* dy, void* dx) {
  for (int64_t r = begin; r < end; ++r) {
    const T* image = static_cast<const T*>(dy) + r / rows.n * rows.m * columns.m;
    backward_row(rows, columns, r % rows.n, image, static_cast<T*>(dx) + r * columns.n);
  }
}

}  // namespace

extern const UpsampleTable upsample_table;
const UpsampleTable upsample_table = {
    {forward<float>, forward<double>},
    {backward<float>, backward<double>},
};

}  // namespace dlx::DLX_ISA
