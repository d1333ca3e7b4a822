// Winograd's weight gradient: transforms with one tile a lane, turned to one channel a lane as
// they are packed for GEMM's micro-kernel, whose depth are the tiles.
#include "gemm/ukernel.h"
#include "ops/conv_winograd_images.h"
#include "ops/conv_winograd_weight_table.h"

namespace dlx::DLX_ISA {

namespace {

using T = float;
constexpr int64_t kPlanesAhead = 3;  // channels by which an image is asked for ahead
constexpr int O = 4, A = O + 2, W = Vec<T>::kWidth;

// values (point, channel, tile) of W channels
using Scratch = T[kWinogradPoints][W][kWinogradBlock];

template <class Map, bool SINGLE>
[[gnu::noinline]] void transform_channels(const Strips<Map::kPixels>& strips, int64_t tiles,
                                          const T* x, int64_t plane, int channels,
                                          Scratch& values) {
  for (int c = 0; c < channels; ++c)
    for (int64_t t = 0; t < tiles; t += W)
      transform_tiles<T, O, Map, SINGLE>(
          strips, t, x + c * plane, kPlanesAhead * plane,
          [&](int point, Vec<T> v) { v.store(values[point][c] + t); });
}

template <class Map>
void transform(const WinogradPlanes& s, int64_t pass, int64_t t0, int64_t count, int64_t begin,
               int64_t end, const void* images, void* memory, void* packed) {
  auto& values = *static_cast<Scratch*>(memory);
  Strips<Map::kPixels> strips;
  const int64_t blocks = ceil_div(count, kWinogradBlock), plane = s.H * s.W;
  for (int64_t task = begin; task < end; ++task) {
    const int64_t block = task % blocks, panel = task / blocks % s.panels();
    const int64_t group = task / blocks / s.panels();
    const int64_t first = block * kWinogradBlock, tiles = min(kWinogradBlock, count - first);
    find_strips<T, O>({s.H, s.W, s.groups * s.channels * plane, s.rows, s.cols, s.top, s.left},
                      t0 + first, t0 + first + tiles, strips);
    const int64_t used = min(s.panel, s.channels - panel * s.panel);
    const T* x = static_cast<const T*>(images) + (group * s.channels + panel * s.panel) * plane;
    const int64_t point_size = s.panels() * pass * s.pitch;
    T* y = static_cast<T*>(packed) + group * kWinogradPoints * point_size +
           (panel * pass + first) * s.pitch;
    for (int64_t c = 0; c < used; c += W) {
      const int lanes = static_cast<int>(min(W, used - c));
      (strips.single
           ? transform_channels<Map, true>
           : transform_channels<Map, false>)(strips, tiles, x + c * plane, plane, lanes, values);
      for (int point = 0; point < kWinogradPoints; ++point)
        for (int64_t t = 0; t < tiles; t += W) {
          Vec<T> v[W];
          for (int i = 0; i < W; ++i) v[i] = Vec<T>::load(values[point][i] + t);
          transpose(v);
          T* to = y + point * point_size + t * s.pitch + c;
          for (int i = 0; i < W && t + i < tiles; ++i) v[i].store(to + i * s.pitch, lanes);
        }
    }
  }
}

void transform_x(const WinogradWeightShape& s, int64_t t0, int64_t count, int64_t begin,
                 int64_t end, const void* x, void* scratch, void* packed) {
  transform<ImageMap<T, O>>(s.x, s.pass, t0, count, begin, end, x, scratch, packed);
}
void transform_dy(const WinogradWeightShape& s, int64_t t0, int64_t count, int64_t begin,
                  int64_t end, const void* dy, void* scratch, void* packed) {
  transform<TileMap<T, O>>(s.dy, s.pass, t0, count, begin, end, dy, scratch, packed);
}

void multiply(const WinogradWeightShape& s, int64_t count, bool first, int64_t begin, int64_t end,
              const void* packed_x, const void* packed_dy, void* sums) {
  const int64_t panels = s.x.panels(), row_panels = s.dy.panels(), cols = panels * s.x.pitch;
  for (int64_t task = begin; task < end; ++task) {
    const int64_t panel = task % panels, point = task / panels;  // of all groups
    const T* b = static_cast<const T*>(packed_x) + task * s.pass * s.x.pitch;
    const T* a = static_cast<const T*>(packed_dy) + point * row_panels * s.pass * s.dy.pitch;
    T* c = static_cast<T*>(sums) + point * s.dy.channels * cols + panel * s.x.pitch;
    const int64_t width = min(s.x.panel, s.x.channels - panel * s.x.panel);
    for (int64_t m = 0; m < s.dy.channels; m += s.dy.panel, a += s.pass * s.dy.pitch)
      micro_kernel<T>(min(s.dy.panel, s.dy.channels - m), width, count, a, b, c + m * cols, cols,
                      !first);
  }
}

void result(const WinogradWeightShape& s, int64_t begin, int64_t end, const void* sums, void* dw) {
  const int64_t cols = s.x.panels() * s.x.pitch, size = s.dy.channels * cols;
  for (int64_t row = begin; row < end; ++row) {
    const int64_t group = row / s.dy.channels, m = row % s.dy.channels;
    const T* from = static_cast<const T*>(sums) + group * kWinogradPoints * size + m * cols;
    T* y = static_cast<T*>(dw) + row * s.x.channels * 9;
    for (int64_t c = 0; c < s.x.channels; c += W) {
      const int lanes = static_cast<int>(min(W, s.x.channels - c));
      Vec<T> half[A][3];
      for (int j = 0; j < A; ++j) {
        Vec<T> in[A];
        for (int i = 0; i < A; ++i) in[i] = Vec<T>::load(from + (i * A + j) * size + c, lanes);
        Winograd<T, O>::gradient(in, half[j]);
      }
      T values[9][W];
      for (int r = 0; r < 3; ++r) {
        Vec<T> in[A], out[3];
        for (int j = 0; j < A; ++j) in[j] = half[j][r];
        Winograd<T, O>::gradient(in, out);
        for (int t = 0; t < 3; ++t) out[t].store(values[3 * r + t]);
      }
      for (int i = 0; i < lanes; ++i)
        for (int t = 0; t < 9; ++t) y[(c + i) * 9 + t] = values[t][i];
    }
  }
}

}  // namespace

extern const WinogradWeightTable winograd_weight_table;
const WinogradWeightTable winograd_weight_table = {transform_x, transform_dy, multiply, result,
                                                   sizeof(Scratch)};

}  // namespace dlx::DLX_ISA
