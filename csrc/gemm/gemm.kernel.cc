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
  static constexpr int kRows = kTiles<T>.mr, kCols = kTiles<T>.nr, kStep = 1;

  template <int W>
  static void pack(const T* x, int64_t across, int64_t along, int64_t width, int64_t depth,
                   T* packed) {
    pack_panels<T, W>(x, across, along, width, depth, packed);
  }

  static void multiply(const Tile<T>& t, int64_t depth, const T* a, const T* b,
                       const Ahead& ahead) {
    micro_kernel<T>(t.rows, t.cols, depth, a, b, t.c, t.c_row, !t.first, ahead);
    if (t.last) finish_block(t.c, t.c_row, t.rows, t.cols, t.bias, t.relu);
  }

  template <class B>
  static void multiply_whole(const Tile<T>& t, int64_t depth, const T* a, const T* b,
                             const Ahead& ahead, const B& source) {
    micro_tile<T, kRows, 2>(depth, a, b, t.c, t.c_row, Vec<T>::kWidth, !t.first, ahead, source);
    if (t.last) finish_block(t.c, t.c_row, t.rows, t.cols, t.bias, t.relu);
  }
};

}  // namespace

const GemmKernels gemm_kernels = {run_plan<Numbers<float>>, run_plan<Numbers<double>>};

}  // namespace dlx::DLX_ISA
