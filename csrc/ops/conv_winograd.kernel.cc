// Winograd's convolution of tiles: transforms with one tile a lane, products by GEMM's
// micro-kernel. The transforms write the panels that it reads, so nothing is packed a second time.
#include "gemm/epilogue.h"
#include "gemm/pack.h"
#include "gemm/ukernel.h"
#include "ops/conv_winograd_images.h"
#include "ops/conv_winograd_table.h"

namespace dlx::DLX_ISA {

namespace {

// Where the parts of a task's scratch lie, in elements.
template <class T, int O>
struct Layout {
  static constexpr int kPoints = (O + 2) * (O + 2), MR = kTiles<T>.mr, NR = kTiles<T>.nr;
  static constexpr int kLine = 64 / sizeof(T);  // of cache: points lie apart by odd numbers of them
  int64_t panels, pitch;                        // of the block's tiles, of lines of pixels
  int64_t image_point, product_point;           // strides between points
  int64_t products, lines, buffer, runs, size;

  explicit Layout(const WinogradShape& s) {
    panels = ceil_div(s.block, NR);
    pitch = O * panels * NR + kLine;
    image_point = round_up(min(s.depth, s.D) * panels * NR, 2 * kLine) + kLine;
    product_point = round_up(MR * panels * NR, 2 * kLine) + kLine;
    products = kPoints * image_point;
    lines = products + kPoints * product_point;
    buffer = round_up(2 * (O + 2) * pitch + kLine, kLine);
    runs = lines + 2 * buffer;
    size = runs + ceil_div(s.block * static_cast<int64_t>(sizeof(Run)), sizeof(T));
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

// images (point, panel, channel, nr), the `depth` channels of a group from x on. The lines of a
// channel are read while those of the next are written: loads that span several stores wait.
template <class T, int O>
void transform_images(const WinogradShape& s, const Layout<T, O>& at, const Run* runs,
                      int64_t run_count, int64_t tiles, const T* x, int64_t depth, T* scratch) {
  constexpr int W = Vec<T>::kWidth, NR = kTiles<T>.nr;
  using Map = ImageMap<T, O>;
  const int64_t next = (O + 2) * at.pitch + at.kLine;
  for (int64_t d = 0; d <= depth; ++d) {
    T* lines = scratch + at.lines + d % 2 * at.buffer;
    if (d < depth)
      transform_columns<T, O, Map>(s, runs, run_count, x + d * s.H * s.W,
                                   s.groups * s.D * s.H * s.W, at.pitch, lines, lines + next);
    if (d == 0) continue;
    lines = scratch + at.lines + (d - 1) % 2 * at.buffer;
    for (int64_t t = 0; t < tiles; t += W) {
      T* y = scratch + (t / NR * depth + d - 1) * NR + t % NR;
      transform_rows<T, O, Map>(lines, lines + next, at.pitch, t,
                                [&](int point, Vec<T> v) { v.store(y + point * at.image_point); });
    }
  }
}

// -------------------------------------------------------------------------------------- result

// The inverse of split: x[j + O i] = y[j]
template <class T, int O>
void merge(const Vec<T>* y, T* x) {
  using S = Shuffle<T>;
  constexpr int W = Vec<T>::kWidth;
  if constexpr (O == 2) {
    S::low(y[0], y[1]).store(x);
    S::high(y[0], y[1]).store(x + W);
  } else {
    const Vec<T> low0 = S::low(y[0], y[2]), low1 = S::low(y[1], y[3]);
    const Vec<T> high0 = S::high(y[0], y[2]), high1 = S::high(y[1], y[3]);
    S::low(low0, low1).store(x);
    S::high(low0, low1).store(x + W);
    S::low(high0, high1).store(x + 2 * W);
    S::high(high0, high1).store(x + 3 * W);
  }
}

template <class T>
void write_run(const T* line, int64_t count, bool accumulate, bool relu, T* y) {
  constexpr int W = Vec<T>::kWidth;
  for (int64_t i = 0; i < count; i += W) {
    const int n = static_cast<int>(min(W, count - i));
    const Vec<T> v = Vec<T>::load(line + i);
    relu_if(relu, accumulate ? Vec<T>::load(y + i, n) + v : v).store(y + i, n);
  }
}

// A^T m A of one channel, plus `bias`, to its plane of the first image
template <class T, int O>
void transform_result(const WinogradShape& s, const Layout<T, O>& at, const Run* runs,
                      int64_t run_count, int64_t tiles, const T* products, T bias, bool accumulate,
                      bool relu, T* lines, T* y) {
  constexpr int A = O + 2, W = Vec<T>::kWidth, NR = kTiles<T>.nr, MR = kTiles<T>.mr;
  for (int64_t t = 0; t < tiles; t += W) {
    const T* m = products + t / NR * MR * NR + t % NR;
    Vec<T> half[A][O];
    for (int j = 0; j < A; ++j) {
      Vec<T> in[A];
      for (int i = 0; i < A; ++i) in[i] = Vec<T>::load(m + (i * A + j) * at.product_point);
      Winograd<T, O>::result(in, half[j]);
    }
    for (int i = 0; i < O; ++i) {
      Vec<T> in[A], out[O];
      for (int j = 0; j < A; ++j) in[j] = half[j][i];
      Winograd<T, O>::result(in, out);
      for (int j = 0; j < O; ++j) out[j] = out[j] + Vec<T>::broadcast(bias);
      merge<T, O>(out, lines + i * at.pitch + t * O);
    }
  }
  for (int64_t r = 0; r < run_count; ++r) {
    const Run& run = runs[r];
    const int64_t width = min(run.count * O, s.Q - run.col * O);
    const int64_t height = min(O, s.P - run.row * O);
    T* to = y + run.n * s.groups * s.M * s.P * s.Q + run.row * O * s.Q + run.col * O;
    for (int64_t i = 0; i < height; ++i)
      write_run(lines + i * at.pitch + run.lane * O, width, accumulate, relu, to + i * s.Q);
  }
}

template <class T, int O>
void multiply(const WinogradShape& s, const WinogradBlock& block, const void* images,
              const void* packed, const void* bias, void* memory, void* result) {
  constexpr int kPoints = Layout<T, O>::kPoints, MR = kTiles<T>.mr, NR = kTiles<T>.nr;
  const Layout<T, O> at(s);
  T* scratch = static_cast<T*>(memory);
  T* products = scratch + at.products;
  Run* runs = reinterpret_cast<Run*>(scratch + at.runs);
  const int64_t tiles = block.t1 - block.t0, group = block.group;
  const int64_t run_count = find_runs(s, block.t0, block.t1, runs);
  const int64_t padded = ceil_div(s.M, s.mr) * MR;  // rows of the packed weights
  const T* x = static_cast<const T*>(images) + group * s.D * s.H * s.W;
  const T* u = static_cast<const T*>(packed) + kPoints * padded * group * s.D;
  const T* b = bias ? static_cast<const T*>(bias) + group * s.M : nullptr;
  T* y = static_cast<T*>(result) + group * s.M * s.P * s.Q;
  for (int64_t pass = 0; pass < s.D; pass += s.depth) {
    const int64_t depth = min(s.depth, s.D - pass);
    const bool last = pass + depth == s.D;
    memset(scratch + at.lines, 0, static_cast<size_t>(at.runs - at.lines) * sizeof(T));
    transform_images<T, O>(s, at, runs, run_count, tiles, x + pass * s.H * s.W, depth, scratch);
    const T* a = u + kPoints * (padded * pass + block.m0 / s.mr * MR * depth);
    for (int64_t m = block.m0; m < block.m1; m += s.mr) {
      const int64_t rows = min(s.mr, s.M - m);
      for (int point = 0; point < kPoints; ++point, a += depth * MR)
        for (int64_t t = 0; t < tiles; t += NR)
          micro_kernel<T>(rows, min(NR, tiles - t), depth, a,
                          scratch + point * at.image_point + t * depth,
                          products + point * at.product_point + t * MR, NR, false);
      for (int64_t i = 0; i < rows; ++i)
        transform_result<T, O>(s, at, runs, run_count, tiles, products + i * NR,
                               b && pass == 0 ? b[m + i] : T(0), pass > 0, last && s.relu,
                               scratch + at.lines, y + (m + i) * s.P * s.Q);
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
