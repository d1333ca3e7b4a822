// GEMM of float32 and float64.
#include "gemm/epilogue.h"
#include "gemm/loops.h"
#include "gemm/pack.h"

namespace dlx::DLX_ISA {
namespace {

template <class T>
struct Numbers {
  using Element = T;
  using Packed = T;
  using Word = T;
  static constexpr int kRows = kTiles<T>.mr, kCols = kTiles<T>.nr, kStep = 1;

  template <int W>
  static void pack(const T* x, int64_t across, int64_t along, int64_t width, int64_t depth,
                   T* packed) {
    pack_panel<T, W>(x, across, along, width, depth, packed);
  }

  static void copy_step(const T* x, int64_t, int64_t rows, T* packed) {
    constexpr int W = Vec<T>::kWidth;
    if (rows == kRows) {
      memcpy(packed, x, kRows * sizeof(T));
      return;
    }
    for (int64_t i = 0; i < rows; i += W) {
      const int n = static_cast<int>(min(W, rows - i));
      Vec<T>::load(x + i, n).store(packed + i, n);
    }
  }

  template <class A>
  static void multiply(const Tile<T>& t, int64_t depth, const T* a, A& source_a, const T* b) {
    micro_kernel<T>(t.rows, t.cols, depth, a, b, t.c, t.c_row, !t.first, source_a);
    if (t.last) finish_block(t.c, t.c_row, t.rows, t.cols, t.bias, t.relu);
  }

  template <class A, class B>
  static void multiply_whole(const Tile<T>& t, int64_t depth, const T* a, A& source_a, const T* b,
                             const B& source_b) {
    micro_tile<T, kRows, 2>(depth, a, b, t.c, t.c_row, Vec<T>::kWidth, !t.first, source_a,
                            source_b);
    if (t.last) finish_block(t.c, t.c_row, t.rows, t.cols, t.bias, t.relu);
  }
};

}  // namespace

const GemmKernels gemm_kernels = {run_plan<Numbers<float>>, run_plan<Numbers<double>>};

}  // namespace dlx::DLX_ISA
