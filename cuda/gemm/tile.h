// One tile of C (m,n) = A (m,k) B (k,n), computed by one block: panels of A and B pass through
// shared memory, two of each, so that the next is on its way while this one is multiplied; each
// thread sums some rows and columns of the tile in registers, over k in order. Where the operands
// come from and where the results go is the caller's: a Loader for each operand, a Store.
//
// A Loader brings operand elements to the threads, a few neighbours at once, and neighbouring
// threads the next ones. A line is a row of A or a column of B.
//   using Element            as stored; it is summed in the tile's type
//   int kWidth               elements that one load brings
//   Along kAlong             neighbours are on one line, along k (depth), or in several at one k
//                            (lines), or as bool along_depth() says (either)
//   Line line(int64_t i)     what depends on the line alone: asked for once
//   Step step(int64_t k)     what depends on k alone: asked for once, then
//   advance(Step&, int by)   goes to k + by
//   load(Line, Step)         Pack<Element, kWidth>, 0 for what is outside of the operand
// Along the depth a thread keeps several lines and one step, along lines one line, several steps.
//
// A Store takes the results of C.
//   Column column(int64_t j) what depends on the column alone: asked for once
//   store(int64_t row, Column, T value)
//   run(row, Column of the first, Pack<T, count>)  full runs of neighbouring columns, where `wide`
#pragma once
#include <cstdint>

#include "cuda/core/device.h"
#include "cuda/core/numbers.h"
#include "cuda/core/pack.h"

namespace dlx::cuda {

// A block of kThreads computes kRows x kCols results, a thread thread_rows x thread_cols of them,
// from panels that are kDepth deep.
template <int rows, int cols, int depth, int thread_rows, int thread_cols>
struct Tile {
  static constexpr int kRows = rows, kCols = cols, kDepth = depth;
  static constexpr int kThreadRows = thread_rows, kThreadCols = thread_cols;
  static constexpr int kAcross = cols / thread_cols, kDown = rows / thread_rows;
  static constexpr int kThreads = kAcross * kDown;
  // A warp is 4 x 8 threads: it reads 4 + 8 runs of the panels for its products.
  static_assert(kAcross % 8 == 0 && kDown % 4 == 0);
};

// Large results; large results of double, whose sums fill twice the registers; results so small or
// so narrow that large tiles would leave most of a GPU idle.
using LargeTile = Tile<128, 128, 8, 8, 8>;
using LargeTileOfDouble = Tile<64, 64, 16, 4, 4>;
using SmallTile = Tile<32, 32, 32, 4, 2>;

struct Range {
  int64_t begin, end;
};

// a * b + c, rounded once.
__device__ inline float fused(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
__device__ inline double fused(double a, double b, double c) { return __builtin_fma(a, b, c); }

// Elements of a thread's rows or columns that lie side by side: what one access of shared memory
// brings.
template <class T, int count>
constexpr int kRun = kAccessBytes / int{sizeof(T)} < count ? kAccessBytes / int{sizeof(T)} : count;

// A pitch that keeps runs aligned, and apart in the banks what is stored across.
template <class T, int lines>
constexpr int kPitch = lines + kAccessBytes / int{sizeof(T)};

enum class Along { depth, lines, either };

// The part of an operand's panels (lines x depth) that one thread brings.
template <class Loader, int lines, int depth, int threads>
class Portion {
  static constexpr Along kAlong = Loader::kAlong;
  static constexpr int kWidth = Loader::kWidth;
  static constexpr int kPacks = lines * depth / kWidth / threads;
  // Packs side by side along the depth, along lines; a thread's next pack is in another line,
  // another step, so far apart.
  static constexpr int kDeepPacks = depth / kWidth, kLinePacks = lines / kWidth;
  static constexpr int kLinesApart = threads / kDeepPacks, kStepsApart = threads / kLinePacks;
  static_assert(kPacks * threads * kWidth == lines * depth);
  static_assert(kAlong == Along::lines || kLinesApart * kDeepPacks == threads);
  static_assert(kAlong == Along::depth || kStepsApart * kLinePacks == threads);

 public:
  __device__ Portion(const Loader& loader, int64_t first_line, int64_t first_k)
      : deep_(is_deep(loader)) {
    const int t = static_cast<int>(threadIdx.x);
    line_in_panel_ = deep_ ? t / kDeepPacks : t % kLinePacks * kWidth;
    step_in_panel_ = deep_ ? t % kDeepPacks * kWidth : t / kLinePacks;
#pragma unroll
    for (int i = 0; i < kLines; ++i) line_[i] = loader.line(first_line + line_of(i));
#pragma unroll
    for (int i = 0; i < kSteps; ++i) step_[i] = loader.step(first_k + step_of(i));
  }

  // Asks for the elements of the next panel.
  __device__ void fetch(const Loader& loader) {
#pragma unroll
    for (int i = 0; i < kPacks; ++i)
      pack_[i] = loader.load(line_[kLines > 1 ? i : 0], step_[kSteps > 1 ? i : 0]);
#pragma unroll
    for (int i = 0; i < kSteps; ++i) loader.advance(step_[i], depth);
  }

  // Puts what was fetched into a panel.
  template <class T, int pitch>
  __device__ void put(T (&panel)[depth][pitch]) const {
#pragma unroll
    for (int i = 0; i < kPacks; ++i) {
      Pack<T, kWidth> pack;
#pragma unroll
      for (int j = 0; j < kWidth; ++j) pack.value[j] = widen(pack_[i].value[j]);
      if (deep_) {
#pragma unroll
        for (int j = 0; j < kWidth; ++j) panel[step_of(i) + j][line_of(i)] = pack.value[j];
      } else {
        write_run(&panel[step_of(i)][line_of(i)], pack);
      }
    }
  }

 private:
  static constexpr int kLines = kAlong == Along::lines ? 1 : kPacks;
  static constexpr int kSteps = kAlong == Along::depth ? 1 : kPacks;

  __device__ static bool is_deep(const Loader& loader) {
    if constexpr (kAlong == Along::either) {
      return loader.along_depth();
    } else {
      return kAlong == Along::depth;
    }
  }
  __device__ int line_of(int i) const { return line_in_panel_ + (deep_ ? i * kLinesApart : 0); }
  __device__ int step_of(int i) const { return step_in_panel_ + (deep_ ? 0 : i * kStepsApart); }

  bool deep_;
  int line_in_panel_, step_in_panel_;
  typename Loader::Line line_[kLines];
  typename Loader::Step step_[kSteps];
  Pack<typename Loader::Element, kWidth> pack_[kPacks];
};

// A thread's `count` of the lines in a row of a panel: runs, spread evenly, the thread's own among
// those of its `threads` neighbours.
template <class T, int count, int threads, int pitch>
__device__ void read_runs(const T (&lines)[pitch], int thread, T (&values)[count]) {
  constexpr int kLength = kRun<T, count>;
#pragma unroll
  for (int i = 0; i < count / kLength; ++i) {
    const auto run =
        *reinterpret_cast<const Pack<T, kLength>*>(&lines[(i * threads + thread) * kLength]);
#pragma unroll
    for (int j = 0; j < kLength; ++j) values[i * kLength + j] = run.value[j];
  }
}

// The tile of C that begins at (row0, col0), summed over `depth` of k, whose length is a multiple
// of the tile's or reaches to the end of k. Every thread of the block calls; blocks of
// Tile::kThreads.
template <class T, class Tile, class LoadA, class LoadB, class Store>
__device__ void multiply_tile(int64_t m, int64_t n, int64_t row0, int64_t col0, Range depth,
                              const LoadA& a, const LoadB& b, const Store& store) {
  constexpr int kDepth = Tile::kDepth, kThreadRows = Tile::kThreadRows;
  constexpr int kThreadCols = Tile::kThreadCols;
  constexpr int kPitchA = kPitch<T, Tile::kRows>, kPitchB = kPitch<T, Tile::kCols>;
  DLX_SHARED(T, panel_a, [2][kDepth][kPitchA]);
  DLX_SHARED(T, panel_b, [2][kDepth][kPitchB]);
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int across = warp % (Tile::kAcross / 8) * 8 + lane % 8;
  const int down = warp / (Tile::kAcross / 8) * 4 + lane / 8;

  T sum[kThreadRows][kThreadCols] = {};
  Portion<LoadA, Tile::kRows, kDepth, Tile::kThreads> next_a(a, row0, depth.begin);
  Portion<LoadB, Tile::kCols, kDepth, Tile::kThreads> next_b(b, col0, depth.begin);
  next_a.fetch(a);
  next_b.fetch(b);
  __syncthreads();  // nobody reads the panels of the call before
  next_a.put(panel_a[0]);
  next_b.put(panel_b[0]);
  int now = 0;
  for (int64_t k = depth.begin; k < depth.end; k += kDepth) {
    const bool more = k + kDepth < depth.end;
    __syncthreads();  // panel `now` is complete, and nobody reads the other
    if (more) {
      next_a.fetch(a);
      next_b.fetch(b);
    }
#pragma unroll
    for (int d = 0; d < kDepth; ++d) {
      T rows[kThreadRows], cols[kThreadCols];
      read_runs<T, kThreadRows, Tile::kDown>(panel_a[now][d], down, rows);
      read_runs<T, kThreadCols, Tile::kAcross>(panel_b[now][d], across, cols);
#pragma unroll
      for (int i = 0; i < kThreadRows; ++i) {
#pragma unroll
        for (int j = 0; j < kThreadCols; ++j) sum[i][j] = fused(rows[i], cols[j], sum[i][j]);
      }
    }
    now ^= 1;
    if (more) {
      next_a.put(panel_a[now]);
      next_b.put(panel_b[now]);
    }
  }

  constexpr int kRunRows = kRun<T, kThreadRows>, kRunCols = kRun<T, kThreadCols>;
#pragma unroll
  for (int j = 0; j < kThreadCols; j += kRunCols) {
    const int64_t col = col0 + (j / kRunCols * Tile::kAcross + across) * kRunCols;
    const bool wide = store.wide && col + kRunCols <= n;
    decltype(store.column(col)) column[kRunCols];
#pragma unroll
    for (int c = 0; c < kRunCols; ++c) column[c] = store.column(col + c);
#pragma unroll
    for (int i = 0; i < kThreadRows; ++i) {
      const int64_t row = row0 + (i / kRunRows * Tile::kDown + down) * kRunRows + i % kRunRows;
      if (row >= m) continue;
      Pack<T, kRunCols> run;
#pragma unroll
      for (int c = 0; c < kRunCols; ++c) run.value[c] = sum[i][j + c];
      if (wide) {
        store.run(row, column[0], run);
        continue;
      }
#pragma unroll
      for (int c = 0; c < kRunCols; ++c) {
        if (col + c < n) store(row, column[c], run.value[c]);
      }
    }
  }
}

}  // namespace dlx::cuda
