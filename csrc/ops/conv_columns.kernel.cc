// The input gradient as a product and a fold, for one instruction set.
#include "gemm/epilogue.h"
#include "gemm/pack.h"
#include "gemm/ukernel.h"
#include "ops/conv_columns_table.h"
#include "ops/conv_kernels.h"
#include "ops/lane_range.h"

namespace dlx::DLX_ISA {

namespace {

int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }

// A group's weights, rows (m, tap), as panels (K, MR).
template <class T>
void pack(const ConvFold& s, const void* w, int64_t begin, int64_t end, void* packed) {
  constexpr int MR = kTiles<T>.mr;
  const int64_t rows = s.M * s.taps(), of_block = s.channels * s.taps();
  for (int64_t i = begin; i < end; ++i) {
    const int64_t panel = i % s.panels, block = i / s.panels % s.blocks();
    const int64_t group = i / s.panels / s.blocks();
    const int64_t first = min(block * of_block + panel * s.mr, rows);
    const int64_t last = min(min(first + s.mr, (block + 1) * of_block), rows);
    pack_panel<T, MR>(static_cast<const T*>(w) + group * s.K * rows + first, 1, rows,
                      max(last - first, 0), s.K, static_cast<T*>(packed) + i * s.K * MR);
  }
}

// dy (images, K, pixels) as panels (K, NR) of the pixels of all images in turn.
template <class T>
void pack_pixels(const ConvFold& s, const ConvFoldTask& task, const T* dy, T* panels) {
  constexpr int64_t NR = kTiles<T>.nr;
  const int64_t plane = s.P * s.Q, all = task.count * plane;
  if (all % NR) memset(panels + all / NR * NR * s.K, 0, static_cast<size_t>(NR * s.K) * sizeof(T));
  for (int64_t n = 0; n < task.count; ++n) {
    const T* image = dy + (((task.n + n) * s.groups + task.group) * s.K) * plane;
    for (int64_t j = 0, count; j < plane; j += count) {
      const int64_t at = n * plane + j, lane = at % NR;
      count = min(NR - lane, plane - j);
      T* y = panels + at / NR * NR * s.K + lane;
      for (int64_t k = 0; k < s.K; ++k) copy_run(image + k * plane + j, count, y + k * NR);
    }
  }
}

// columns (rows of the block, pixels)
template <class T>
void multiply(const ConvFold& s, int64_t rows, int64_t pixels, const T* weights, const T* panels,
              T* columns) {
  constexpr int MR = kTiles<T>.mr, NR = kTiles<T>.nr;
  for (int64_t k = 0; k < s.K; k += s.kc, weights += s.kc * MR) {
    const T* b = panels + k * NR;
    for (int64_t j = 0; j < pixels; j += NR, b += s.K * NR) {
      const T* a = weights;
      T* c = columns + j;
      for (int64_t i = 0; i < rows; i += s.mr, a += s.K * MR, c += s.mr * s.pitch)
        micro_kernel<T>(min(s.mr, rows - i), min(NR, pixels - j), min(s.kc, s.K - k), a, b, c,
                        s.pitch, k > 0);
    }
  }
}

// What one tap of a row of the kernel adds to a vector of a row of dx.
template <class T>
struct Term {
  int64_t offset;  // in the columns
  LaneRange<T> lanes;
};

// Elements first + i col_step, i in [i0, i0 + V), of a row of dx, of PHASES phases side by side.
template <class T, int PHASES>
struct FoldBlock {
  static constexpr int64_t V = Vec<T>::kWidth;
  Term<T> terms[PHASES][kFoldTaps];
  int64_t sizes[PHASES], counts[PHASES], first;

  FoldBlock(const ConvFold& s, const FoldPhase* cols, int64_t i0)
      : first(cols[0].first + i0 * s.col_step) {
    for (int f = 0; f < PHASES; ++f) {
      counts[f] = max(min(V, cols[f].count - i0), 0), sizes[f] = 0;
      for (int64_t t = 0; t < cols[f].size; ++t) {
        const int64_t pixel = cols[f].taps[t].pixel + i0;  // of lane 0
        const int64_t low = max(-pixel, 0), high = min(s.Q - pixel, counts[f]);
        if (low < high)
          terms[f][sizes[f]++] = {cols[f].taps[t].tap * s.pitch + pixel, LaneRange<T>(low, high)};
      }
    }
  }

  // a, b: of the first and the last phase
  [[gnu::always_inline]] void store(Vec<T> a, Vec<T> b, int64_t step, T* y) const {
    if constexpr (PHASES == 2) {
      const int64_t all = counts[0] + counts[1];
      decltype(a.raw == a.raw) lower, upper;
      for (int l = 0; l < V; ++l) lower[l] = l / 2 + l % 2 * V, upper[l] = lower[l] + V / 2;
      Vec<T>{__builtin_shuffle(a.raw, b.raw, lower)}.store(y, static_cast<int>(min(V, all)));
      if (all > V)
        Vec<T>{__builtin_shuffle(a.raw, b.raw, upper)}.store(y + V, static_cast<int>(all - V));
    } else if (step == 1) {
      a.store(y, static_cast<int>(counts[0]));
    } else {
      for (int64_t l = 0; l < counts[0]; ++l) y[l * step] = a.raw[l];
    }
  }
};

// Its rows in PLANES planes of dx, whose sums hide one another's latency.
template <class T, int PHASES, int PLANES>
void fold_rows(const ConvFold& s, const FoldBlock<T, PHASES>& block, const T* const* columns,
               const T* start, T* const* dx) {
  for (int64_t p = 0; p < s.row_phases; ++p)
    for (int64_t i = 0; i < s.rows[p].count; ++i) {
      Vec<T> sum[PLANES][PHASES];
      for (int n = 0; n < PLANES; ++n)
        for (int f = 0; f < PHASES; ++f) sum[n][f] = Vec<T>::broadcast(start[n]);
      for (int64_t r = 0; r < s.rows[p].size; ++r) {
        const int64_t pixel = s.rows[p].taps[r].pixel + i;
        if (pixel < 0 || pixel >= s.P) continue;
        const int64_t at = s.rows[p].taps[r].tap * s.S * s.pitch + pixel * s.Q;
#pragma GCC unroll 2
        for (int f = 0; f < PHASES; ++f)
          for (int64_t t = 0; t < block.sizes[f]; ++t) {
            const Term<T>& term = block.terms[f][t];
#pragma GCC unroll 4
            for (int n = 0; n < PLANES; ++n)
              sum[n][f] = sum[n][f] + term.lanes.load(columns[n] + at + term.offset);
          }
      }
      const int64_t to = (s.rows[p].first + i * s.row_step) * s.W + block.first;
#pragma GCC unroll 4
      for (int n = 0; n < PLANES; ++n)
        block.store(relu_if(s.relu, sum[n][0]), relu_if(s.relu, sum[n][PHASES - 1]), s.col_step,
                    dx[n] + to);
    }
}

// All planes of a block of channels, four at a time.
template <class T, int PHASES>
void fold(const ConvFold& s, const ConvFoldTask& task, int64_t channels, const FoldPhase* cols,
          int64_t i0, const T* columns, const T* bias, T* dx) {
  const FoldBlock<T, PHASES> block(s, cols, i0);
  const T* from[4];
  T start[4], *to[4];
  int count = 0;
  for (int64_t n = 0; n < task.count; ++n)
    for (int64_t m = 0; m < channels; ++m) {
      from[count] = columns + m * s.taps() * s.pitch + n * s.P * s.Q;
      start[count] = bias ? bias[m] : T(0);
      to[count++] = dx + (n * s.groups * s.M + m) * s.H * s.W;
      if (count == 4) fold_rows<T, PHASES, 4>(s, block, from, start, to), count = 0;
    }
  int n = 0;
  for (; n + 2 <= count; n += 2) fold_rows<T, PHASES, 2>(s, block, from + n, start + n, to + n);
  for (; n < count; ++n) fold_rows<T, PHASES, 1>(s, block, from + n, start + n, to + n);
}

template <class T>
void run(const ConvFold& s, const ConvFoldTask& task, const void* dy, const void* packed,
         const void* bias, void* pixels, void* columns, void* dx) {
  T* panels = static_cast<T*>(pixels);
  T* of_block = static_cast<T*>(columns);
  pack_pixels(s, task, static_cast<const T*>(dy), panels);
  for (int64_t block = task.begin; block < task.end; ++block) {
    const int64_t first = (task.group * s.blocks() + block) * s.panels * s.K * kTiles<T>.mr;
    const int64_t channels = min(s.channels, s.M - block * s.channels);
    const int64_t channel = task.group * s.M + block * s.channels;
    multiply(s, channels * s.taps(), task.count * s.P * s.Q, static_cast<const T*>(packed) + first,
             panels, of_block);
    const T* start = bias ? static_cast<const T*>(bias) + channel : nullptr;
    T* to = static_cast<T*>(dx) + (task.n * s.groups * s.M + channel) * s.H * s.W;
    const int64_t together = s.col_phases == 2 ? 2 : 1;
    for (int64_t f = 0; f < s.col_phases; f += together)
      for (int64_t i = 0; i < s.cols[f].count; i += Vec<T>::kWidth)
        (together == 2 ? fold<T, 2> : fold<T, 1>)(s, task, channels, s.cols + f, i, of_block, start,
                                                  to);
  }
}

}  // namespace

extern const ConvColumnsTable conv_columns_table;
const ConvColumnsTable conv_columns_table = {
    {pack<float>, pack<double>},
    {run<float>, run<double>},
};

}  // namespace dlx::DLX_ISA
