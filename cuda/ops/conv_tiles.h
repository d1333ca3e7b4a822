// Implicit GEMM: the tiles of cuda/gemm on the products of conv_product.h. For .cu files only.
#pragma once
#include <climits>
#include <type_traits>

#include "cuda/core/context.h"
#include "cuda/gemm/matrix.h"
#include "cuda/gemm/split.h"
#include "cuda/gemm/tile.h"
#include "cuda/ops/conv_product.h"

namespace dlx::cuda {

// A: neighbouring threads take neighbouring taps or pixels of a channel. depth: of a panel
template <class T, class Int>
struct ChannelLoader {
  using Element = T;
  static constexpr Along kAlong = Along::depth;
  static constexpr int kWidth = 1;
  using Line = const T*;  // null: outside
  using Step = typename Places<Int>::Place;

  const ConvProduct<Int>& product;
  const T* start;  // of the group
  Step by;         // from one panel to the next

  __device__ ChannelLoader(const ConvProduct<Int>& p, const T* a, int64_t group, int depth)
      : product(p), start(a + group * p.a.group), by(p.a.steps.at(depth)) {}

  __device__ Line line(int64_t i) const {
    return i < product.m ? start + i * product.a.row : nullptr;
  }
  __device__ Step step(int64_t k) const { return product.a.steps.at(k); }
  __device__ void advance(Step& s, int) const { product.a.steps.advance(s, by); }
  __device__ Pack<T, 1> load(Line line, const Step& s) const {
    const ConvChannels<Int>& a = product.a;
    if (!line || s.plane >= a.steps.end) return {};
    return {line[s.plane + int64_t{a.steps.row(s)} * a.width + a.steps.col(s)]};
  }
};

// B: neighbouring threads take neighbouring pixels, whichever index counts these.
template <class T, class Int, Along along>
struct ImageLoader {
  using Element = T;
  static constexpr Along kAlong = along;
  static constexpr int kWidth = 1;
  using Step = typename Places<Int>::Place;
  struct Line {
    const T* plane;
    Int row, col;
  };

  const ConvImages<Int>& images;
  const T* start;
  Step by;

  __device__ ImageLoader(const ConvProduct<Int>& p, const T* b, int64_t group, int depth)
      : images(p.b), start(b + group * p.b.group), by(p.b.steps.at(depth)) {}

  __device__ Line line(int64_t i) const {
    constexpr Int kOutside = sizeof(Int) == 8 ? LLONG_MIN / 2 : INT_MIN / 2;  // whatever is added
    const auto p = images.columns.at(i);
    return {start + p.plane, p.plane < images.columns.end ? images.columns.row(p) : kOutside,
            images.columns.col(p)};
  }
  __device__ Step step(int64_t k) const { return images.steps.at(k); }
  __device__ void advance(Step& s, int) const { images.steps.advance(s, by); }
  __device__ Pack<T, 1> load(const Line& line, const Step& s) const {
    const Int row = line.row + images.steps.row(s), col = line.col + images.steps.col(s);
    if (row < 0 || row >= images.height || col < 0 || col >= images.width ||
        s.plane >= images.steps.end)
      return {};
    return {line.plane[s.plane + int64_t{row} * images.width + col]};
  }
};

template <class T, class Int>
struct ConvStore {
  const ConvResults<Int>& results;
  T* start;       // of the group
  const T* bias;  // of the group's rows, or null
  bool relu;
  bool wide;  // fours of columns are one access

  __device__ T* column(int64_t j) const {
    const auto place = results.columns.at(j);
    return start + place.plane + int64_t{results.columns.row(place)} * results.width +
           results.columns.col(place);
  }
  __device__ void operator()(int64_t row, T* column, T sum) const {
    column[row * results.row] = Epilogue<T, T>{bias, relu}.finish(sum, row);
  }
  template <int count>
  __device__ void run(int64_t row, T* column, const Pack<T, count>& sums) const {
    Pack<T, count> run = sums;
#pragma unroll
    for (T& sum : run.value) sum = Epilogue<T, T>{bias, relu}.finish(sum, row);
    write_run(column + row * results.row, run);
  }
};

// How the products of an op are cut: rows of tiles first, then columns, groups, phases, pieces of
// k.
struct ConvCut {
  int64_t groups, phases, tiles_down, tiles_across;
  DepthCut depth;

  constexpr int64_t blocks() const {
    return groups * phases * tiles_down * tiles_across * depth.pieces;
  }
};

// C, or where there are pieces, what each adds to it: c_size elements for each.
template <class T, class Tile, Along b_along, class Phases>
__global__ __launch_bounds__(Tile::kThreads,
                             1) void conv_tiles(Phases phases, ConvCut cut, const T* __restrict__ a,
                                                const T* __restrict__ b, const T* __restrict__ bias,
                                                bool relu, T* c, int64_t c_size, bool wide) {
  for (int64_t i = blockIdx.x; i < cut.blocks(); i += gridDim.x) {
    const Division down = divide(i, cut.tiles_down);
    const Division across = divide(down.quotient, cut.tiles_across);
    const Division groups = divide(across.quotient, cut.groups);
    const Division phase = divide(groups.quotient, cut.phases);
    const int64_t row = down.rest * Tile::kRows, col = across.rest * Tile::kCols;
    const int64_t group = groups.rest, piece = phase.quotient;
    const auto& p = phases.at(phase.rest);
    if (col >= p.n) continue;  // phases differ by a row or column of pixels
    using Int = std::remove_cvref_t<decltype(p.b.width)>;
    const ChannelLoader<T, Int> load_a(p, a, group, Tile::kDepth);
    const ImageLoader<T, Int, b_along> load_b(p, b, group, Tile::kDepth);
    const ConvStore<T, Int> store{p.c, c + piece * c_size + group * p.c.group,
                                  bias ? bias + group * p.m : nullptr, relu, wide};
    const Range depth{min(piece * cut.depth.depth, p.k), min((piece + 1) * cut.depth.depth, p.k)};
    multiply_tile<T, Tile>(p.m, p.n, row, col, depth, load_a, load_b, store);
  }
}

constexpr int64_t kMostGrid = INT_MAX;  // blocks of a grid in x

inline dim3 grid_of(int64_t blocks) { return static_cast<unsigned>(std::min(blocks, kMostGrid)); }
constexpr int64_t cuts(int64_t extent, int64_t tile) { return (extent + tile - 1) / tile; }

// What part of the tiles along an extent is filled.
constexpr double filled(int64_t extent, int64_t tile) {
  return static_cast<double>(extent) / static_cast<double>(cuts(extent, tile) * tile);
}
// Below this share a thread for each result, which reads two numbers for each product, is expected
// to do better than tiles, which read one for several.
constexpr double kLeastFilled = 1.0 / 8;

// Fewer rows than gemm's large tile has: channels come by the 64.
using ConvTile = Tile<64, 128, 8, 4, 8>;

struct ConvPlan {
  ConvCut cut;
  bool large;
  int64_t c_size;  // elements of C, all groups and phases
};

template <class Tile>
ConvCut cut_products(int64_t groups, int64_t phases, int64_t m, int64_t n, int64_t k) {
  ConvCut cut{groups, phases, cuts(m, Tile::kRows), cuts(n, Tile::kCols), {1, k}};
  cut.depth = cut_depth(k, cut.blocks(), Tile::kDepth);
  return cut;
}

// m, n, k: of the largest phase; not for empty results.
inline ConvPlan plan_tiles(const Conv2dShape& s, int64_t phases, int64_t m, int64_t n, int64_t k,
                           int64_t c_size) {
  constexpr int64_t kEnoughBlocks = 132 / 2;  // keep half of the largest GPU busy
  const auto cut_large =
      s.dtype == DType::float64 ? cut_products<LargeTileOfDouble> : cut_products<ConvTile>;
  const ConvCut large = cut_large(s.groups, phases, m, n, k);
  if (m > SmallTile::kRows && n > SmallTile::kCols &&
      large.blocks() / large.depth.pieces >= kEnoughBlocks)
    return {large, true, c_size};
  return {cut_products<SmallTile>(s.groups, phases, m, n, k), false, c_size};
}

inline int64_t pieces_bytes(const DepthCut& cut, int64_t c_size, DType dtype) {
  return cut.pieces > 1 ? cut.pieces * c_size * size_of(dtype) : 0;
}

// All pieces of an element of C added: + its channel's bias, and relu.
template <class T>
struct ConvFinish {
  T* c;
  const T* bias;  // or null
  int64_t plane, channels;
  bool relu = false;

  __device__ void operator()(int64_t i, T sum) const {
    const int64_t channel = bias ? divide(divide(i, plane).quotient, channels).rest : 0;
    c[i] = Epilogue<T, T>{bias, relu}.finish(sum, channel);
  }
};

template <class T, Along b_along, class Phases>
void run_tiles(Stream stream, const ConvPlan& plan, const Phases& phases, const T* a, const T* b,
               const ConvFinish<T>& finish, void* workspace) {
  using Large = std::conditional_t<sizeof(T) == 8, LargeTileOfDouble, ConvTile>;
  const int64_t pieces = plan.cut.depth.pieces;
  T* c = pieces > 1 ? static_cast<T*>(workspace) : finish.c;
  const T* bias = pieces > 1 ? nullptr : finish.bias;
  const bool relu = pieces == 1 && finish.relu;
  const bool wide = phases.at(0).c.fours() && is_aligned(c);
  const auto launch = [&]<class Tile>() {
    launch_grid<conv_tiles<T, Tile, b_along, Phases>>(grid_of(plan.cut.blocks()), Tile::kThreads, 0,
                                                      stream, phases, plan.cut, a, b, bias, relu, c,
                                                      plan.c_size, wide);
  };
  plan.large ? launch.template operator()<Large>() : launch.template operator()<SmallTile>();
  if (pieces > 1)
    launch_grid<sum_pieces<T, ConvFinish<T>>>(blocks_for(plan.c_size), kBlockThreads, 0, stream,
                                              plan.c_size, pieces, c, finish);
}

}  // namespace dlx::cuda
