// The weight gradient: sums over all pixels of all images, in pieces that are added in order. By
// tiles, or where these would be nearly empty, a block for each piece of a result.
#include "cuda/core/block.h"
#include "cuda/ops/conv_tiles.h"

namespace dlx::cuda {
namespace {

template <class Int>
struct WeightProduct {
  ConvProduct<Int> product;

  explicit WeightProduct(const Conv2dShape& s) : product(backward_weight_product<Int>(s)) {}
  constexpr const ConvProduct<Int>& at(int64_t) const { return product; }
};

// dw: one for each piece, n results in each
template <class T, class Int>
__global__ void sum_pixels(WeightProduct<Int> whole, int64_t n, DepthCut cut,
                           const T* __restrict__ dy, const T* __restrict__ x, T* __restrict__ dw) {
  const ConvProduct<Int>& p = whole.product;
  for (int64_t task = blockIdx.x; task < n * cut.pieces; task += gridDim.x) {
    const Division piece = divide(task, n), by_col = divide(piece.rest, p.n);
    const Division by_row = divide(by_col.quotient, p.m);
    const ChannelLoader<T, Int> a(p, dy, by_row.quotient, kBlockThreads);
    const ImageLoader<T, Int, Along::depth> b(p, x, by_row.quotient, kBlockThreads);
    const auto line_a = a.line(by_row.rest);
    const auto line_b = b.line(by_col.rest);
    const int64_t begin = piece.quotient * cut.depth + threadIdx.x;
    const int64_t end = min((piece.quotient + 1) * cut.depth, p.k);
    auto step_a = a.step(begin);
    auto step_b = b.step(begin);
    T sum = 0;
    for (int64_t k = begin; k < end; k += kBlockThreads) {
      sum = fused(a.load(line_a, step_a).value[0], b.load(line_b, step_b).value[0], sum);
      a.advance(step_a, kBlockThreads);
      b.advance(step_b, kBlockThreads);
    }
    sum = reduce_block(sum, [](T left, T right) { return left + right; });
    if (threadIdx.x == 0) dw[task] = sum;
  }
}

// Few channels, of dy and of x, leave tiles nearly empty.
bool sums_directly(const Conv2dShape& s) {
  const int64_t rows = s.K / s.groups, cols = s.C / s.groups * s.R * s.S;
  return !conv_is_small(s) ||
         filled(rows, SmallTile::kRows) * filled(cols, SmallTile::kCols) < kLeastFilled;
}

DepthCut cut_pixels(const Conv2dShape& s) {
  return cut_depth(s.N * s.P * s.Q, s.w_size(), kBlockThreads);
}

ConvPlan plan_of(const Conv2dShape& s) {
  return plan_tiles(s, 1, s.K / s.groups, s.C / s.groups * s.R * s.S, s.N * s.P * s.Q, s.w_size());
}

template <class T, class Int>
void run_direct(Stream stream, const Conv2dShape& s, const T* dy, const T* x,
                const ConvFinish<T>& finish, void* workspace) {
  const DepthCut cut = cut_pixels(s);
  const int64_t n = s.w_size();
  T* dw = cut.pieces > 1 ? static_cast<T*>(workspace) : finish.c;
  launch_grid<sum_pixels<T, Int>>(grid_of(n * cut.pieces), kBlockThreads, 0, stream,
                                  WeightProduct<Int>(s), n, cut, dy, x, dw);
  if (cut.pieces > 1)
    launch_grid<sum_pieces<T, ConvFinish<T>>>(blocks_for(n), kBlockThreads, 0, stream, n,
                                              cut.pieces, dw, finish);
}

template <class T>
void run(Stream stream, const Conv2dShape& s, void* const* buffers, void* workspace) {
  const auto *x = static_cast<const T*>(buffers[0]), *dy = static_cast<const T*>(buffers[1]);
  const ConvFinish<T> finish{static_cast<T*>(buffers[2]), nullptr, 1, 1};
  if (!sums_directly(s))
    return run_tiles<T, Along::depth>(stream, plan_of(s), WeightProduct<int>(s), dy, x, finish,
                                      workspace);
  conv_is_small(s) ? run_direct<T, int>(stream, s, dy, x, finish, workspace)
                   : run_direct<T, int64_t>(stream, s, dy, x, finish, workspace);
}

}  // namespace

int64_t conv2d_backward_weight_workspace(const void* shape) {
  const Conv2dShape& s = conv_shape(shape);
  if (s.w_size() == 0) return 0;
  return pieces_bytes(sums_directly(s) ? cut_pixels(s) : plan_of(s).cut.depth, s.w_size(), s.dtype);
}

void conv2d_backward_weight(Ctx& ctx, const void* shape, void* const* buffers, void* workspace) {
  const Conv2dShape& s = conv_shape(shape);
  if (s.w_size() == 0) return;
  const auto run_as = s.dtype == DType::float32 ? run<float> : run<double>;
  run_as(context(ctx).stream, s, buffers, workspace);
}

}  // namespace dlx::cuda
