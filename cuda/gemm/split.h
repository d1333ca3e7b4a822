// A small result of long sums, on many blocks: k is cut into pieces, each tile is computed once for
// each piece, into partial sums in the workspace, and these are added in order. The cut depends on
// the shape alone, so the bits do too.
#pragma once
#include <algorithm>
#include <cstdint>

#include "cuda/core/grid.h"

namespace dlx::cuda {

struct DepthCut {
  int64_t pieces;  // 1: there are no partial sums
  int64_t depth;   // of a piece, in multiples of the tile's; the last one may be shorter
};

// For so many tiles, the batch's included.
inline DepthCut cut_depth(int64_t k, int64_t tiles, int64_t tile_depth) {
  constexpr int64_t kBlocks = 132 * 2;  // that fill the largest GPU
  constexpr int64_t kLeastDepth = 128;  // of a piece: it repays its pass through memory
  const int64_t wanted = std::max<int64_t>(1, std::min(kBlocks / tiles, k / kLeastDepth));
  const int64_t panels = std::max<int64_t>(1, (k + tile_depth - 1) / tile_depth);
  const int64_t depth = (panels + wanted - 1) / wanted * tile_depth;
  return {std::max<int64_t>(1, (k + depth - 1) / depth), depth};
}

// finish(i, sum of partials[piece][i] over the pieces in order) for each i < n.
template <class T, class Finish>
__global__ void sum_pieces(int64_t n, int64_t pieces, const T* __restrict__ partials,
                           Finish finish) {
  for_each_item(n, [&](int64_t i) {
    T sum = partials[i];
    for (int64_t p = 1; p < pieces; ++p) sum += partials[p * n + i];
    finish(i, sum);
  });
}

}  // namespace dlx::cuda
