// Winograd's weight gradient: pixels are turned so that lanes are channels, as the panels want them
// that GEMM's micro-kernel reads, whose depth are the tiles; then each tile is transformed.
#include "core/simd_lanes.h"
#include "gemm/ukernel.h"
#include "ops/conv_winograd_transforms.h"
#include "ops/conv_winograd_weight_table.h"

namespace dlx::DLX_ISA {

namespace {

using T = float;
constexpr int O = 4, A = O + 2, W = Vec<T>::kWidth;

int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }
int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Parts of x and of dy: how many pixels of a row or column a tile sees, and their points.
struct ImageMap {
  static constexpr int kPixels = O + 2;
  static void apply(const Vec<T>* d, Vec<T>* v) { Winograd<T, O>::image(d, v); }
};
struct TileMap {
  static constexpr int kPixels = O;
  static void apply(const Vec<T>* d, Vec<T>* v) { Winograd<T, O>::tile(d, v); }
};

// Neighbouring tiles of one image, and the pixels that they see, from (top, left) of the image on.
struct Patch {
  int64_t n, row, col, rows, cols;  // of tiles
  int64_t top, left, height, width;
};

// The first ones of tiles [t0, t1): rows of tiles, or a part of one.
template <int PIXELS>
Patch next_patch(const WinogradPlanes& s, int64_t t0, int64_t t1) {
  Patch p{};
  p.row = t0 / s.cols, p.col = t0 % s.cols;
  p.n = p.row / s.rows, p.row %= s.rows;
  const bool whole = p.col == 0 && t1 - t0 >= s.cols;
  p.rows = whole ? min((t1 - t0) / s.cols, s.rows - p.row) : 1;
  p.cols = whole ? s.cols : min(s.cols - p.col, t1 - t0);
  p.top = p.row * O - s.top, p.left = p.col * O - s.left;
  p.height = p.rows * O + PIXELS - O, p.width = p.cols * O + PIXELS - O;
  return p;
}

// pixels (height, width, W channels) of `lanes` planes from x on, zeros beyond the image
void read_patch(const WinogradPlanes& s, const Patch& p, const T* x, int lanes, T* pixels) {
  const int64_t i0 = min(max(0, -p.top), p.height), i1 = max(i0, min(p.height, s.H - p.top));
  const int64_t j0 = min(max(0, -p.left), p.width), j1 = max(j0, min(p.width, s.W - p.left));
  const int64_t row = p.width * W, plane = s.H * s.W, seen = j1 - j0;
  const auto clear = [&](int64_t first, int64_t end) {
    memset(pixels + first * W, 0, static_cast<size_t>((end - first) * W) * sizeof(T));
  };
  if (seen == 0 || i1 == i0) return clear(0, p.height * p.width);
  clear(0, i0 * p.width + j0);
  for (int64_t i = i0 + 1; i < i1; ++i) clear((i - 1) * p.width + j1, i * p.width + j0);
  clear((i1 - 1) * p.width + j1, p.height * p.width);
  // Whole rows are neighbours in the image.
  const int64_t runs = seen == s.W ? 1 : i1 - i0, count = seen * (i1 - i0) / runs;
  for (int64_t run = 0; run < runs; ++run) {
    const T* from = x + (p.top + i0 + run) * s.W + p.left + j0;
    T* to = pixels + (i0 + run) * row + j0 * W;
    int64_t left = seen;  // in the row that is written
    for (int64_t q = 0; q < count; q += W) {
      const int n = static_cast<int>(min(W, count - q));
      Vec<T> v[W];
      if (n == W && lanes == W)
        for (int c = 0; c < W; ++c) v[c] = Vec<T>::load(from + c * plane + q);
      else
        for (int c = 0; c < W; ++c)
          v[c] = c < lanes ? Vec<T>::load(from + c * plane + q, n) : Vec<T>::zero();
      transpose(v);
#pragma GCC unroll 16
      for (int i = 0; i < W; ++i) {
        if (i >= n) break;
        v[i].store(to);
        to += W;
        if (--left == 0) left = seen, to += row - seen * W;
      }
    }
  }
}

// Where the channels of a vector go: those that belong to one panel, at y.
struct Target {
  T* y;
  Lanes lanes;
};
constexpr int kTargets = 3;  // a vector meets three panels at most

// The points of one tile, whose pixels lie from x on, `row` elements a row.
template <class Map, int TARGETS>
[[gnu::always_inline]] inline void transform_tile(const T* x, int64_t row, int64_t point_size,
                                                  const Target* to) {
  constexpr int R = Map::kPixels;
  Vec<T> rows[A][R];
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r) {
    Vec<T> in[R], out[A];
    for (int i = 0; i < R; ++i) in[i] = Vec<T>::load(x + r * row + i * W);
    Map::apply(in, out);
    for (int j = 0; j < A; ++j) rows[j][r] = out[j];
  }
#pragma GCC unroll 6
  for (int j = 0; j < A; ++j) {
    Vec<T> out[A];
    Map::apply(rows[j], out);
    for (int i = 0; i < A; ++i) {
      const int64_t point = (i * A + j) * point_size;
      if constexpr (TARGETS == 0) {
        out[i].store(to->y + point);
      } else {
        for (int k = 0; k < TARGETS; ++k) store_lanes(to[k].y + point, out[i].raw, to[k].lanes);
      }
    }
  }
}

// The patch that is read next, `channels` planes from x on: asked for while this one is
// transformed, 16 pixels of each plane with each tile, whose share they are.
struct NextPatch {
  const T* x;
  int64_t plane;
  int channels;
  int64_t row = 0;  // of pixels; 0 where tiles side by side are whole rows of them

  void ask(int64_t tile) const {
    const T* line = x + (row == 0 ? O * O * tile : tile % O * row + O * (tile - tile % O));
    for (int c = 0; c < channels; ++c) __builtin_prefetch(line + c * plane);
  }
};

template <class Map, int TARGETS>
[[gnu::noinline]] void transform_patch(const Patch& p, const NextPatch& next, int64_t pitch,
                                       int64_t point_size, const T* pixels, Target* to) {
  const int64_t row = p.width * W;
  for (int64_t i = 0; i < p.rows; ++i)
    for (int64_t j = 0; j < p.cols; ++j) {
      next.ask(i * p.cols + j);
      transform_tile<Map, TARGETS>(pixels + O * (i * row + j * W), row, point_size, to);
      for (int k = 0; k < kTargets; ++k) to[k].y += pitch;
    }
}

template <class Map>
void transform(const WinogradPlanes& s, int64_t pass, int64_t size, int64_t t0, int64_t count,
               int64_t begin, int64_t end, const void* images, void* memory, void* packed) {
  T* pixels = static_cast<T*>(memory);
  const int64_t blocks = ceil_div(count, size), plane = s.H * s.W;
  const int64_t image = s.groups * s.channels * plane;
  for (int64_t task = begin; task < end; ++task) {
    const int64_t block = task % blocks, vector = task / blocks % s.vectors();
    const int64_t group = task / blocks / s.vectors();
    const int64_t first = block * size, last = min(first + size, count), c = vector * W;
    const int lanes = static_cast<int>(min(W, s.channels - c));
    const T* x = static_cast<const T*>(images) + (group * s.channels + c) * plane;
    T* y = static_cast<T*>(packed) + group * kWinogradPoints * s.point_size + first * s.pitch;
    Target to[kTargets] = {};
    int targets = 0;
    for (int64_t at = 0; at < lanes; ++targets) {
      const int64_t panel = (c + at) / s.panel, in_panel = (c + at) % s.panel;
      const int64_t until = min(lanes, at + s.panel - in_panel);
      to[targets] = {y + panel * pass * s.pitch + in_panel - at, lanes_between(at, until)};
      at = until;
    }
    for (int64_t t = t0 + first; t < t0 + last;) {
      const Patch p = next_patch<Map::kPixels>(s, t, t0 + last);
      read_patch(s, p, x + p.n * image, lanes, pixels);
      t += p.rows * p.cols;
      const Patch q = next_patch<Map::kPixels>(s, t, t + 1);
      const NextPatch next = {x + q.n * image + max(q.top, 0) * s.W + max(q.left, 0), plane, lanes,
                              p.cols == s.cols ? 0 : s.W};
      (targets == 1 && lanes == W ? transform_patch<Map, 0>
       : targets == 1             ? transform_patch<Map, 1>
       : targets == 2 ? transform_patch<Map, 2>
                      : transform_patch<Map, 3>)(p, next, s.pitch, s.point_size, pixels, to);
    }
  }
}

void transform_x(const WinogradWeightShape& s, int64_t t0, int64_t count, int64_t begin,
                 int64_t end, const void* x, void* scratch, void* packed) {
  transform<ImageMap>(s.x, s.pass, s.block, t0, count, begin, end, x, scratch, packed);
}
void transform_dy(const WinogradWeightShape& s, int64_t t0, int64_t count, int64_t begin,
                  int64_t end, const void* dy, void* scratch, void* packed) {
  transform<TileMap>(s.dy, s.pass, s.block, t0, count, begin, end, dy, scratch, packed);
}

void multiply(const WinogradWeightShape& s, int64_t count, bool first, int64_t begin, int64_t end,
              const void* packed_x, const void* packed_dy, void* sums) {
  const int64_t panels = s.x.panels(), cols = panels * s.x.pitch;
  for (int64_t task = begin; task < end; ++task) {
    const int64_t panel = task % panels, point = task / panels;  // of all groups
    const T* b =
        static_cast<const T*>(packed_x) + point * s.x.point_size + panel * s.pass * s.x.pitch;
    const T* a = static_cast<const T*>(packed_dy) + point * s.dy.point_size;
    T* c = static_cast<T*>(sums) + point * s.dy.channels * cols + panel * s.x.pitch;
    const int64_t width = min(s.x.panel, s.x.channels - panel * s.x.panel);
    for (int64_t m = 0; m < s.dy.channels; m += s.dy.panel, a += s.pass * s.dy.pitch)
      micro_kernel<T>(min(s.dy.panel, s.dy.channels - m), width, count, a, b, c + m * cols, cols,
                      !first);
  }
}

void result(const WinogradWeightShape& s, int64_t begin, int64_t end, const void* sums,
            int64_t pieces, void* dw) {
  const int64_t cols = s.x.panels() * s.x.pitch, size = s.dy.channels * cols;
  const int64_t all = s.x.groups * kWinogradPoints * size;
  for (int64_t row = begin; row < end; ++row) {
    const int64_t group = row / s.dy.channels, m = row % s.dy.channels;
    const T* from = static_cast<const T*>(sums) + group * kWinogradPoints * size + m * cols;
    T* y = static_cast<T*>(dw) + row * s.x.channels * 9;
    for (int64_t c = 0; c < s.x.channels; c += W) {
      const int lanes = static_cast<int>(min(W, s.x.channels - c));
      Vec<T> half[A][3];
      for (int j = 0; j < A; ++j) {
        Vec<T> in[A];
        for (int i = 0; i < A; ++i) {
          const T* sum = from + (i * A + j) * size + c;
          in[i] = Vec<T>::load(sum, lanes);
          for (int64_t k = 1; k < pieces; ++k) in[i] = in[i] + Vec<T>::load(sum + k * all, lanes);
        }
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
                                                   kWinogradPatch * W * sizeof(T)};

}  // namespace dlx::DLX_ISA
