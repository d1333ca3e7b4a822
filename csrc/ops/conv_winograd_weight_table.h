// Winograd's weight gradient, float32: in dw = A^T [sum over tiles of (G dy G^T) * (B^T x B)] A
// tiles of dy of 4 x 4 pixels meet the 6 x 6 of x that they saw, for 3 x 3 results: 36 products
// instead of 144. Over tiles each of the 36 points is one product of matrices.
#pragma once
#include <cstdint>

namespace dlx {

constexpr int kWinogradPoints = 36;

// Images that tiles are cut from: `channels` in each of the groups, tile (0,0) at (-top, -left).
struct WinogradPlanes {
  int64_t H, W, top, left, rows, cols;
  int64_t groups, channels;
  int64_t lanes;       // of a vector of channels, which are transformed together
  int64_t panel;       // channels of a packed panel,
  int64_t pitch;       // to which it is padded
  int64_t point_size;  // elements of a group's packed panels, a point's

  int64_t vectors() const { return (channels + lanes - 1) / lanes; }
  int64_t panels() const { return (channels + panel - 1) / panel; }
};

struct WinogradWeightShape {
  WinogradPlanes x, dy;
  int64_t tiles;  // of all images
  int64_t block;  // tiles transformed at a time, at most kWinogradBlock
  int64_t pass;   // tiles packed at a time, a multiple of `block`
};

constexpr int64_t kWinogradBlock = 32;
// Pixels that tiles of one patch see, 4 r + 2 by 4 c + 2 with r c <= kWinogradBlock: most where
// either is 1.
constexpr int64_t kWinogradPatch = (4 * kWinogradBlock + 2) * 6;

struct WinogradWeightTable {
  // Tiles [t0, t0 + count) to packed (group, point, panel, pass, pitch). Tasks [begin, end) are
  // (group, vector of channels, block of tiles); scratch: of scratch_bytes.
  void (*transform_x)(const WinogradWeightShape&, int64_t t0, int64_t count, int64_t begin,
                      int64_t end, const void* x, void* scratch, void* packed);
  void (*transform_dy)(const WinogradWeightShape&, int64_t t0, int64_t count, int64_t begin,
                       int64_t end, const void* dy, void* scratch, void* packed);
  // sums (group, point, rows, columns padded to panels), += unless `first`. Tasks are (group,
  // point, panel of x).
  void (*multiply)(const WinogradWeightShape&, int64_t count, bool first, int64_t begin,
                   int64_t end, const void* packed_x, const void* packed_dy, void* sums);
  // dw from `pieces` sums, which are added up in order. Tasks are (group, row).
  void (*result)(const WinogradWeightShape&, int64_t begin, int64_t end, const void* sums,
                 int64_t pieces, void* dw);
  int64_t scratch_bytes;
};

}  // namespace dlx
