#include <stdexcept>
#include <string>

#include "cuda/gemm/gemm.h"
#include "cuda/gemm/matrix.h"
#include "cuda/gemm/split.h"

namespace dlx::cuda {
namespace {

int64_t cuts(int64_t extent, int64_t tile) { return (extent + tile - 1) / tile; }

// All tiles of all matrices: columns first, then rows, then the batch, then the pieces of k.
struct Plan {
  GemmShape shape;
  int64_t tiles_down, tiles_across, batches;
  DepthCut cut;
  bool large;

  constexpr int64_t blocks() const { return tiles_down * tiles_across * batches * cut.pieces; }
  constexpr int64_t results() const { return batches * shape.m * shape.n; }
};

template <class Tile>
Plan plan_of(const GemmShape& s, bool large) {
  Plan p{.shape = s,
         .tiles_down = cuts(s.m, Tile::kRows),
         .tiles_across = cuts(s.n, Tile::kCols),
         .batches = s.batches(),
         .cut = {1, 0},
         .large = large};
  if (p.blocks()) p.cut = cut_depth(s.k, p.blocks(), Tile::kDepth);
  return p;
}

// Large tiles where they keep half of the largest GPU busy.
Plan make_plan(const GemmShape& shape) {
  constexpr int64_t kEnoughBlocks = 132 / 2;
  GemmShape s = shape;
  s.fold_batch_into_rows();
  const Plan large =
      s.dtype == DType::float64 ? plan_of<LargeTileOfDouble>(s, true) : plan_of<LargeTile>(s, true);
  const bool wide = s.m > SmallTile::kRows && s.n > SmallTile::kCols;
  return wide && large.blocks() >= kEnoughBlocks ? large : plan_of<SmallTile>(s, false);
}

// How the threads read A and B, and write C: four elements at once, in one access where `wide`.
struct Access {
  bool deep_a, deep_b;  // along k, else along A's rows, B's columns
  bool wide_a, wide_b, wide_c;
};

// A matrix is wide if its neighbours are contiguous, and nothing cuts or shifts four of them.
bool is_wide(const GemmShape& s, const void* start, int64_t extent, int64_t neighbour_stride,
             int64_t other_stride, const int64_t* batch) {
  constexpr int kWidth = 4;
  bool wide = neighbour_stride == 1 && extent % kWidth == 0 && other_stride % kWidth == 0 &&
              reinterpret_cast<uintptr_t>(start) % kAccessBytes == 0;
  for (int d = 0; d < s.batch_ndim; ++d) wide &= batch[d] % kWidth == 0;
  return wide;
}

Access access_of(const GemmShape& s, const void* a, const void* b, const void* c, bool partials) {
  Access x{};
  x.deep_a = s.a_row != 1 || s.m == 1;
  x.deep_b = s.b_col != 1 || s.n == 1;
  x.wide_a = x.deep_a ? is_wide(s, a, s.k, s.a_col, s.a_row, s.a_batch)
                      : is_wide(s, a, s.m, s.a_row, s.a_col, s.a_batch);
  x.wide_b = x.deep_b ? is_wide(s, b, s.k, s.b_row, s.b_col, s.b_batch)
                      : is_wide(s, b, s.n, s.b_col, s.b_row, s.b_batch);
  x.wide_c = partials ? s.n % 4 == 0 : is_wide(s, c, s.n, 1, s.c_row, s.c_batch);
  return x;
}

template <class T, class Tile>
__global__ __launch_bounds__(Tile::kThreads,
                             1) void multiply(Plan p, Access x, const T* __restrict__ a,
                                              const T* __restrict__ b, const T* __restrict__ bias,
                                              T* c, typename ComputeOf<T>::type* partials) {
  using Sum = typename ComputeOf<T>::type;
  const GemmShape& s = p.shape;
  for (int64_t i = blockIdx.x; i < p.blocks(); i += gridDim.x) {
    const int64_t col = i % p.tiles_across * Tile::kCols;
    const int64_t row = i / p.tiles_across % p.tiles_down * Tile::kRows;
    const int64_t matrix = i / (p.tiles_across * p.tiles_down);
    const int64_t batch = matrix % p.batches, piece = matrix / p.batches;
    const Range depth{piece * p.cut.depth, min((piece + 1) * p.cut.depth, s.k)};
    const MatrixLoader<T> load_a{
        a + s.batch_offset(batch, s.a_batch), s.m, s.k, s.a_row, s.a_col, x.deep_a, x.wide_a};
    const MatrixLoader<T> load_b{
        b + s.batch_offset(batch, s.b_batch), s.n, s.k, s.b_col, s.b_row, x.deep_b, x.wide_b};
    MatrixStore<T, Sum> store{
        c + s.batch_offset(batch, s.c_batch), nullptr, s.c_row, x.wide_c, {bias, s.relu}};
    if (partials) store = {nullptr, partials + matrix * s.m * s.n, s.n, x.wide_c, {}};
    multiply_tile<Sum, Tile>(s.m, s.n, row, col, depth, load_a, load_b, store);
  }
}

// Partial sums, all added, to their place in C.
template <class T, class Sum>
struct FinishSums {
  GemmShape shape;
  Epilogue<T, Sum> epilogue;
  T* c;

  __device__ void operator()(int64_t i, Sum sum) const {
    const GemmShape& s = shape;
    const int64_t col = i % s.n, row = i / s.n % s.m, batch = i / s.n / s.m;
    c[s.batch_offset(batch, s.c_batch) + row * s.c_row + col] = epilogue.finish(sum, col);
  }
};

constexpr int64_t kMostGrid = INT32_MAX;  // blocks of a grid in x

template <class T, class Tile>
void run_plan(Stream stream, const Plan& p, const void* a, const void* b, void* c_start,
              void* workspace, const void* bias_start) {
  using Sum = typename ComputeOf<T>::type;
  using Finish = FinishSums<T, Sum>;
  const GemmShape& s = p.shape;
  const auto* bias = s.bias ? static_cast<const T*>(bias_start) : nullptr;
  T* c = static_cast<T*>(c_start);
  Sum* partials = p.cut.pieces > 1 ? static_cast<Sum*>(workspace) : nullptr;
  launch_grid<multiply<T, Tile>>(static_cast<unsigned>(std::min(p.blocks(), kMostGrid)),
                                 Tile::kThreads, 0, stream, p, access_of(s, a, b, c, partials),
                                 static_cast<const T*>(a), static_cast<const T*>(b), bias, c,
                                 partials);
  if (partials)
    launch_grid<sum_pieces<Sum, Finish>>(blocks_for(p.results()), kBlockThreads, 0, stream,
                                         p.results(), p.cut.pieces, partials,
                                         Finish{s, {bias, s.relu}, c});
}

}  // namespace

int64_t gemm_workspace(const GemmShape& shape) {
  const Plan p = make_plan(shape);
  const int64_t bytes = shape.dtype == DType::float64 ? sizeof(double) : sizeof(float);
  return p.cut.pieces > 1 ? p.cut.pieces * p.results() * bytes : 0;
}

void gemm(Stream stream, const GemmShape& shape, const void* a, const void* b, void* c,
          void* workspace, const void* bias) {
  const Plan p = make_plan(shape);
  if (p.blocks() == 0) return;
  const auto run = [&]<class T, class Large>() {
    return p.large ? run_plan<T, Large>(stream, p, a, b, c, workspace, bias)
                   : run_plan<T, SmallTile>(stream, p, a, b, c, workspace, bias);
  };
  switch (shape.dtype) {
    case DType::float32:
      return run.template operator()<float, LargeTile>();
    case DType::float64:
      return run.template operator()<double, LargeTileOfDouble>();
    case DType::bfloat16:
      return run.template operator()<bfloat16_t, LargeTile>();
    case DType::float16:
      return run.template operator()<float16_t, LargeTile>();
    default:
      throw std::invalid_argument(std::string("gemm: expects a floating dtype, got ") +
                                  name_of(shape.dtype));
  }
}

}  // namespace dlx::cuda
