// Sums of rows that lie anywhere, for one instruction set: the sums stay in registers.
#include "ops/lanes.h"
#include "ops/scatter_table.h"

namespace dlx::DLX_ISA {

namespace {

// kVectors vectors of columns.
template <int kVectors, class T>
[[gnu::always_inline]] inline void add_columns(const T* g, int64_t inner, const int64_t* order,
                                               int64_t rows, int64_t ahead, T* y) {
  constexpr int V = Vec<double>::kWidth;
  constexpr int64_t kAhead = 6, kLine = 64 / sizeof(T);  // rows that are on their way
  typedef T Narrow __attribute__((vector_size(V * sizeof(T))));
  DoubleVec sum[kVectors] = {};
  for (int64_t j = 0; j < rows; ++j) {
    if (j + kAhead < ahead) {
      const T* next = g + order[j + kAhead] * inner;
#pragma GCC unroll 16
      for (int64_t i = 0; i < kVectors * V; i += kLine) __builtin_prefetch(next + i);
    }
    const T* row = g + order[j] * inner;
#pragma GCC unroll 8
    for (int r = 0; r < kVectors; ++r) sum[r] += load_as<double>(row + r * V);
  }
#pragma GCC unroll 8
  for (int r = 0; r < kVectors; ++r) {
    const Narrow narrow = __builtin_convertvector(sum[r], Narrow);
    memcpy(y + r * V, &narrow, sizeof narrow);
  }
}

template <class T>
void add_rows(const void* g0, int64_t inner, const int64_t* order, int64_t rows, int64_t ahead,
              void* y0, int64_t count) {
  constexpr int V = Vec<double>::kWidth, kVectors = 8;
  const T* g = static_cast<const T*>(g0);
  T* y = static_cast<T*>(y0);
  int64_t k = 0;
  for (; k + kVectors * V <= count; k += kVectors * V)
    add_columns<kVectors>(g + k, inner, order, rows, ahead, y + k);
  for (; k + V <= count; k += V) add_columns<1>(g + k, inner, order, rows, ahead, y + k);
  for (; k < count; ++k) {
    double sum = 0;
    for (int64_t j = 0; j < rows; ++j) sum += static_cast<double>(g[order[j] * inner + k]);
    y[k] = static_cast<T>(sum);
  }
}

}  // namespace

extern const ScatterTable scatter_table;
const ScatterTable scatter_table = {{add_rows<float>, add_rows<double>}};

}  // namespace dlx::DLX_ISA
