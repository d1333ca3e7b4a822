// Small products: the micro-kernel of GEMM reading A, and mostly B, where they lie.
#include "gemm/epilogue.h"
#include "gemm/pack.h"
#include "gemm/thin_tasks.h"

namespace dlx::DLX_ISA {
namespace {

// Most vectors of columns beside so many rows of a tile: all sums, one vector of B and the
// broadcasts of A fit into the 32 or 16 registers.
#if defined(__AVX512F__)
constexpr int kMaxRows = 8;
constexpr int kVectors[kMaxRows + 1] = {0, 8, 8, 8, 6, 4, 4, 3, 3};
#else
constexpr int kMaxRows = 4;
constexpr int kVectors[kMaxRows + 1] = {0, 8, 6, 3, 3};
#endif
static_assert(kVectors[1] * kVecBytes <= kThinPanelBytes);

template <class T>
Vec<T> load_tail(const T* p, int n) {
#if defined(__AVX2__)
  return {load_first(p, n)};  // a mask costs nothing
#else
  return Vec<T>::load(p, n);
#endif
}

template <class T>
struct Tile {
  const T* a;
  int64_t a_row, a_col;
  const T* b;
  int64_t b_row;
  T* c;
  int64_t c_row;
  int64_t k;
  const T* bias;  // of the tile's columns, or null
  bool relu;
};

// C (ROWS, (NV - 1) * width + tail), 1 <= tail <= width
template <class T, int ROWS, int NV>
void tile(const Tile<T>& t, int tail) {
  constexpr int W = Vec<T>::kWidth;
  Vec<T> sum[ROWS][NV];
  const T* a[ROWS];
#pragma GCC unroll 8
  for (int i = 0; i < ROWS; ++i) {
    a[i] = t.a + i * t.a_row;
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) sum[i][v] = Vec<T>::zero();
  }
  const T* b = t.b;
  const int64_t a_col = t.a_col, b_row = t.b_row;
  for (int64_t p = 0, left = t.k; left > 0; --left, p += a_col, b += b_row) {
    Vec<T> row[NV];
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) {
      row[v] = v + 1 < NV ? Vec<T>::load(b + v * W) : load_tail(b + v * W, tail);
    }
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; ++i) {
      const Vec<T> x = Vec<T>::broadcast(a[i][p]);
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) sum[i][v] = fma(x, row[v], sum[i][v]);
    }
  }
  T* c = t.c;
#pragma GCC unroll 8
  for (int i = 0; i < ROWS; ++i, c += t.c_row) {
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) {
      const int n = v + 1 < NV ? W : tail;
      finish(sum[i][v], t.bias ? t.bias + v * W : nullptr, n, t.relu).store(c + v * W, n);
    }
  }
}

template <class T, int ROWS, int NV = kVectors[ROWS]>
void tile_of_vectors(const Tile<T>& t, int vectors, int tail) {
  if (vectors == NV) {
    tile<T, ROWS, NV>(t, tail);
  } else if constexpr (NV > 1) {
    tile_of_vectors<T, ROWS, NV - 1>(t, vectors, tail);
  }
}

template <class T, int ROWS = kMaxRows>
void tile_of_rows(const Tile<T>& t, int64_t rows, int vectors, int tail) {
  if (rows == ROWS) {
    tile_of_vectors<T, ROWS>(t, vectors, tail);
  } else if constexpr (ROWS > 1) {
    tile_of_rows<T, ROWS - 1>(t, rows, vectors, tail);
  }
}

// One row of C, and B in place: whole rows of B pass by, several at a time so that C, in the L1
// cache, is loaded and stored less often.
template <class T>
void row_times_matrix(const Tile<T>& t, int64_t cols) {
  constexpr int W = Vec<T>::kWidth, kDepth = 8;
  for (int64_t p = 0; p < t.k; p += kDepth) {
    const int depth = static_cast<int>(min(kDepth, t.k - p));
    const bool last = p + depth == t.k;
    Vec<T> x[kDepth];
    for (int q = 0; q < depth; ++q) x[q] = Vec<T>::broadcast(t.a[(p + q) * t.a_col]);
    const T* b = t.b + p * t.b_row;
    for (int64_t j = 0; j < cols; j += W) {
      const int n = static_cast<int>(min(W, cols - j));
      Vec<T> y = p > 0 ? Vec<T>::load(t.c + j, n) : Vec<T>::zero();
      if (n == W && depth == kDepth) {
#pragma GCC unroll 8
        for (int q = 0; q < kDepth; ++q) y = fma(x[q], Vec<T>::load(b + q * t.b_row + j), y);
      } else {
        for (int q = 0; q < depth; ++q) y = fma(x[q], Vec<T>::load(b + q * t.b_row + j, n), y);
      }
      if (last) y = finish(y, t.bias ? t.bias + j : nullptr, n, t.relu);
      y.store(t.c + j, n);
    }
  }
}

// Columns [0, cols) of B as rows of ld >= cols elements; those behind cols are zero.
template <class T>
void pack_columns(const GemmShape& s, const T* b, int64_t cols, T* panel, int64_t ld) {
  int64_t j = 0;
  if (s.b_row == 1) {
    const int64_t whole = s.k / 4 * 4;
    for (; j + 4 <= cols; j += 4) {
      const T* from = b + j * s.b_col;
      for (int64_t p = 0; p < whole; p += 4)
        transpose_4x4(from + p, s.b_col, panel + p * ld + j, ld);
      for (int64_t p = whole; p < s.k; ++p)
        for (int64_t i = 0; i < 4; ++i) panel[p * ld + j + i] = from[i * s.b_col + p];
    }
  }
  for (int64_t p = 0; p < s.k; ++p) {
    for (int64_t i = j; i < ld; ++i)
      panel[p * ld + i] = i < cols ? b[i * s.b_col + p * s.b_row] : T(0);
  }
}

// Columns [j, j + cols) of one task.
template <class T>
void multiply_columns(const Tile<T>& task, const ThinTask<T>& block, int64_t first_row,
                      int64_t end_row, int64_t rows, int64_t j, int64_t cols) {
  constexpr int W = Vec<T>::kWidth;
  Tile<T> t = task;
  t.c = block.c + first_row * t.c_row + j, t.a = block.a + first_row * t.a_row;
  if (t.bias) t.bias += j;
  const int vectors = static_cast<int>(ceil_div(cols, W));
  const int tail = static_cast<int>(cols - (vectors - 1) * W);
  for (int64_t i = first_row; i < end_row; i += rows) {
    tile_of_rows(t, min(rows, end_row - i), vectors, tail);
    t.a += rows * t.a_row, t.c += rows * t.c_row;
  }
}

template <class T>
void multiply(void* state, int64_t begin, int64_t end, int worker) {
  const auto& run = *static_cast<const ThinRun<T>*>(state);
  const GemmShape& s = run.plan.shape;
  constexpr int W = Vec<T>::kWidth;
  T* panel = reinterpret_cast<T*>(run.privates + worker * run.plan.private_bytes);
  for (int64_t task = begin; task < end; ++task) {
    const ThinTask<T> block = thin_task(run, task);
    Tile<T> t{.a = block.a,
              .a_row = s.a_row,
              .a_col = s.a_col,
              .b = block.b,
              .b_row = s.b_row,
              .c = block.c,
              .c_row = s.c_row,
              .k = s.k,
              .bias = block.bias,
              .relu = s.relu};
    if (block.rows == 1 && s.b_col == 1) {
      row_times_matrix(t, block.cols);
      continue;
    }
    const int64_t rows = even(block.rows, kMaxRows);
    const int64_t cols = even(ceil_div(block.cols, W), kVectors[rows]) * W;
    // Where B stays in the L1 cache C is written row by row, or else B is read once.
    const bool b_stays = s.b_col == 1 && block.cols * s.k <= kL1Bytes / int64_t{sizeof(T)};
    const int64_t strip = b_stays ? rows : block.rows;
    for (int64_t i = 0; i < block.rows; i += strip) {
      for (int64_t j = 0; j < block.cols; j += cols) {
        const int64_t width = min(cols, block.cols - j);
        if (s.b_col == 1) {
          t.b = block.b + j;
        } else {
          t.b = panel, t.b_row = ceil_div(width, W) * W;
          pack_columns(s, block.b + j * s.b_col, width, panel, t.b_row);
        }
        multiply_columns(t, block, i, min(i + strip, block.rows), rows, j, width);
      }
    }
  }
}

template <class T>
void direct(const ThinPlan& plan, const void* a, const void* b, void* c, const void* bias,
            void* workspace) {
  run_thin<T>(plan, a, b, c, bias, workspace, multiply<T>);
}

}  // namespace

const ThinKernels direct_kernels = {{direct<float>, direct<double>, nullptr, nullptr}};

}  // namespace dlx::DLX_ISA
