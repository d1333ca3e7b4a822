// Winograd's convolution of tiles: transforms with one tile a lane, products by GEMM's
// micro-kernel. The transforms write the panels that it reads, so nothing is packed a second time.
#include "gemm/epilogue.h"
#include "gemm/pack.h"
#include "gemm/ukernel.h"
#include "ops/conv_winograd_images.h"
#include "ops/conv_winograd_table.h"

namespace dlx::DLX_ISA {

namespace {

// Channels by which an image is asked for ahead.
constexpr int64_t kPlanesAhead = 3;

// Where the parts of a task's scratch lie, in elements.
template <class T, int O>
struct Layout {
  static constexpr int kPoints = (O + 2) * (O + 2), MR = kTiles<T>.mr, NR = kTiles<T>.nr;
  static constexpr int kLine = 64 / sizeof(T);  // of cache: points lie apart by odd numbers of them
  int64_t image_point, product_point;           // strides between points
  int64_t products, size;

  explicit Layout(const WinogradShape& s) {
    const int64_t tiles = round_up(s.block, NR);
    image_point = round_up(min(s.depth, s.D) * tiles, 2 * kLine) + kLine;
    product_point = round_up(MR * tiles, 2 * kLine) + kLine;
    products = kPoints * image_point;
    size = products + kPoints * product_point;
  }
};

template <class T, int O>
int64_t scratch_size(const WinogradShape& s) {
  return Layout<T, O>(s).size;
}

// ------------------------------------------------------------------------------------- weights

// u[point * stride] = G g G^T for `count` <= width rows; g: (9, mr)
template <class T, int O>
void transform_weights(const T* g, bool flipped, int count, T* u, int64_t stride) {
  constexpr int A = O + 2, MR = kTiles<T>.mr;
  Vec<T> half[3][A];
  for (int c = 0; c < 3; ++c) {
    Vec<T> in[3];
    for (int r = 0; r < 3; ++r)
      in[r] = Vec<T>::load(g + (flipped ? 8 - 3 * r - c : 3 * r + c) * MR, count);
    Winograd<T, O>::weights(in, half[c]);
  }
  for (int i = 0; i < A; ++i) {
    const Vec<T> in[3] = {half[0][i], half[1][i], half[2][i]};
    Vec<T> out[A];
    Winograd<T, O>::weights(in, out);
    for (int j = 0; j < A; ++j) out[j].store(u + (i * A + j) * stride, count);
  }
}

template <class T, int O>
void weights(const WinogradShape& s, const void* w, int64_t begin, int64_t end, void* packed) {
  constexpr int W = Vec<T>::kWidth, MR = kTiles<T>.mr, kPoints = Layout<T, O>::kPoints;
  const int64_t panels = ceil_div(s.M, s.mr), slabs = ceil_div(s.D, kWinogradSlab);
  T g[9 * MR];
  for (int64_t task = begin; task < end; ++task) {
    const int64_t slab = task % slabs, panel = task / slabs % panels, group = task / slabs / panels;
    const int64_t first = slab * kWinogradSlab, last = min(first + kWinogradSlab, s.D);
    const int64_t pass = first / s.depth * s.depth, depth = min(s.depth, s.D - pass);
    const int64_t rows = min(MR, s.M - panel * s.mr);
    const T* from = static_cast<const T*>(w) + group * s.w_group + panel * s.mr * s.w_row;
    T* u = static_cast<T*>(packed) + kPoints * MR * (panels * (group * s.D + pass) + panel * depth);
    for (int64_t d = first; d < last; ++d) {
      pack_panel<T, MR>(from + d * s.w_col, s.w_row, 1, rows, 9, g);
      for (int i = 0; i < MR; i += W)
        transform_weights<T, O>(g + i, s.flipped, MR - i < W ? MR - i : W, u + (d - pass) * MR + i,
                                depth * MR);
    }
  }
}

// -------------------------------------------------------------------------------------- images

// images (point, panel, channel, nr), the `depth` channels of a group from x on
template <class T, int O, int PER>
[[gnu::noinline]] void transform_images(const WinogradShape& s, const Layout<T, O>& at,
                                        const Strips<O + 2>& strips, int64_t tiles, const T* x,
                                        int64_t depth, T* images) {
  constexpr int W = Vec<T>::kWidth, NR = kTiles<T>.nr;
  const int64_t plane = s.H * s.W, stride = at.image_point;
  for (int64_t d = 0; d < depth; ++d)
    for (int64_t t = 0; t < tiles; t += W) {
      T* y = images + (t / NR * depth + d) * NR + t % NR;
      transform_tiles<T, O, PER>(strips, t, x + d * plane, kPlanesAhead * plane,
                                 [&](int point, Vec<T> v) { v.store(y + point * stride); });
    }
}

// -------------------------------------------------------------------------------------- result

// The inverse of split: element j + O i of x is y[j]'s i-th.
template <class T, int O>
void merge(const Vec<T>* y, Vec<T>* x) {
  using S = Shuffle<T>;
  if constexpr (O == 2) {
    x[0] = S::low(y[0], y[1]);
    x[1] = S::high(y[0], y[1]);
  } else {
    const Vec<T> low0 = S::low(y[0], y[2]), low1 = S::low(y[1], y[3]);
    const Vec<T> high0 = S::high(y[0], y[2]), high1 = S::high(y[1], y[3]);
    x[0] = S::low(low0, low1);
    x[1] = S::high(low0, low1);
    x[2] = S::low(high0, high1);
    x[3] = S::high(high0, high1);
  }
}

// A^T m A of one channel, plus `bias`, to its plane y of the first image
template <class T, int O, int PER>
[[gnu::noinline]] void transform_result(const Layout<T, O>& at, const Strips<O>& strips,
                                        int64_t tiles, const T* products, T bias, bool accumulate,
                                        bool relu, T* y) {
  constexpr int A = O + 2, W = Vec<T>::kWidth, NR = kTiles<T>.nr, MR = kTiles<T>.mr;
  const int64_t stride = at.product_point;
  for (int64_t t = 0; t < tiles; t += W) {
    const int strip = static_cast<int>(t * O / W);
    const T* m = products + t / NR * MR * NR + t % NR;
    Vec<T> half[A][O];
    for (int j = 0; j < A; ++j) {
      Vec<T> in[A];
      for (int i = 0; i < A; ++i) in[i] = Vec<T>::load(m + (i * A + j) * stride);
      Winograd<T, O>::result(in, half[j]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < O; ++i) {
      Vec<T> in[A], out[O], pixels[O];
      for (int j = 0; j < A; ++j) in[j] = half[j][i];
      Winograd<T, O>::result(in, out);
      for (int j = 0; j < O; ++j) out[j] = out[j] + Vec<T>::broadcast(bias);
      merge<T, O>(out, pixels);
#pragma GCC unroll 4
      for (int j = 0; j < O; ++j)
        strips.template each<PER>(strip + j, i, [&](const Piece& p) {
          Vec<T> v = pixels[j];
          if (accumulate) v = v + Vec<T>{load_lanes(v.raw, y + p.offset, p.here)};
          store_lanes(y + p.offset, relu_if(relu, v).raw, p.here);
        });
    }
  }
}

// The cache lines of `rows` channels of the result, asked for before they are written: a share with
// each point.
template <class T, int O>
struct ResultLines {
  const Strips<O>& strips;
  const T* y;
  int64_t plane, rows, share = ceil_div(rows * strips.count, (O + 2) * (O + 2));
  int piece = 0;

  void ask() {
    for (int64_t left = share; left > 0 && rows > 0; --left) {
      for (int r = 0; r < O; ++r) __builtin_prefetch(y + strips.pieces[piece][r].offset, 1);
      if (++piece == strips.count) piece = 0, y += plane, --rows;
    }
  }
};

template <class T, int O>
void multiply(const WinogradShape& s, const WinogradBlock& block, const void* images,
              const void* packed, const void* bias, void* memory, void* result) {
  constexpr int kPoints = Layout<T, O>::kPoints, MR = kTiles<T>.mr, NR = kTiles<T>.nr;
  const Layout<T, O> at(s);
  T* scratch = static_cast<T*>(memory);
  T* products = scratch + at.products;
  const int64_t tiles = block.t1 - block.t0, group = block.group;
  Strips<O + 2> in;
  Strips<O> out;
  find_strips<T, O>({s.H, s.W, s.groups * s.D * s.H * s.W, s.rows, s.cols, s.top, s.left}, block.t0,
                    block.t1, in);
  find_strips<T, O>({s.P, s.Q, s.groups * s.M * s.P * s.Q, s.rows, s.cols, 0, 0}, block.t0,
                    block.t1, out);
  const int64_t padded = ceil_div(s.M, s.mr) * MR;  // rows of the packed weights
  const T* x = static_cast<const T*>(images) + group * s.D * s.H * s.W;
  const T* u = static_cast<const T*>(packed) + kPoints * padded * group * s.D;
  const T* b = bias ? static_cast<const T*>(bias) + group * s.M : nullptr;
  T* y = static_cast<T*>(result) + group * s.M * s.P * s.Q;
  for (int64_t pass = 0; pass < s.D; pass += s.depth) {
    const int64_t depth = min(s.depth, s.D - pass);
    const bool last = pass + depth == s.D;
    (in.per == 1 ? transform_images<T, O, 1>
     : in.per == 2
         ? transform_images<T, O, 2>
         : transform_images<T, O, 0>)(s, at, in, tiles, x + pass * s.H * s.W, depth, scratch);
    const T* a = u + kPoints * (padded * pass + block.m0 / s.mr * MR * depth);
    for (int64_t m = block.m0; m < block.m1; m += s.mr) {
      const int64_t rows = min(s.mr, s.M - m);
      ResultLines<T, O> lines{out, y + m * s.P * s.Q, s.P * s.Q, rows};
      for (int point = 0; point < kPoints; ++point, a += depth * MR) {
        lines.ask();
        for (int64_t t = 0; t < tiles; t += NR)
          micro_kernel<T>(rows, min(NR, tiles - t), depth, a,
                          scratch + point * at.image_point + t * depth,
                          products + point * at.product_point + t * MR, NR, false);
      }
      for (int64_t i = 0; i < rows; ++i)
        (out.per == 1   ? transform_result<T, O, 1>
         : out.per == 2 ? transform_result<T, O, 2>
                        : transform_result<T, O, 0>)(at, out, tiles, products + i * NR,
                                                     b && pass == 0 ? b[m + i] : T(0), pass > 0,
                                                     last && s.relu, y + (m + i) * s.P * s.Q);
    }
  }
}

constexpr WinogradKernels kTile2 = {{weights<float, 2>, weights<double, 2>},
                                    {multiply<float, 2>, multiply<double, 2>},
                                    {scratch_size<float, 2>, scratch_size<double, 2>}};
// In float64 nothing but F(2x2) is exact enough.
constexpr WinogradKernels kTile4 = {
    {weights<float, 4>, nullptr}, {multiply<float, 4>, nullptr}, {scratch_size<float, 4>, nullptr}};

}  // namespace

extern const WinogradTable winograd_table;
const WinogradTable winograd_table = {kTile2, kTile4};

}  // namespace dlx::DLX_ISA
