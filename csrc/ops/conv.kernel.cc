// Convolution as a matrix product whose right side is gathered from the images, panel by panel.
#include "gemm/epilogue.h"
#include "gemm/pack.h"
#include "gemm/ukernel.h"
#include "ops/conv_kernels.h"
#include "ops/conv_table.h"
#include "ops/conv_tile.h"
#include "ops/lane_range.h"

namespace dlx::DLX_ISA {

namespace {

int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }
int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t clamp(int64_t x, int64_t low, int64_t high) { return max(low, min(x, high)); }

// ------------------------------------------------------------------------------------- images

// Which of the elements first, first + step, ... of a row of W, `width` of them, are inside of it.
struct Inside {
  int64_t begin, end;
};
Inside inside(int64_t W, int64_t first, int64_t step, int64_t width) {
  const int64_t begin = clamp(ceil_div(-first, step), 0, width);
  return {begin, first >= W ? begin : clamp((W - 1 - first) / step + 1, begin, width)};
}

// y[i] = x[2 i]
template <class T>
void copy_even(const T* x, int64_t count, T* y) {
  constexpr int64_t V = Vec<T>::kWidth;
  decltype(Vec<T>{}.raw == Vec<T>{}.raw) even;
  for (int i = 0; i < V; ++i) even[i] = 2 * i;
  for (int64_t i = 0; i < count; i += V) {
    const int64_t read = min(2 * (count - i) - 1, 2 * V), low = min(read, V);
    const auto a = Vec<T>::load(x + 2 * i, static_cast<int>(low)).raw;
    const auto b = Vec<T>::load(x + 2 * i + low, static_cast<int>(read - low)).raw;
    Vec<T>{__builtin_shuffle(a, b, even)}.store(y + i, static_cast<int>(min(V, count - i)));
  }
}

constexpr int64_t kRowVectors = 8;  // most of a row

// A plane of neighbouring columns: rows with their zeros, whole vectors that pass a row's end to be
// written again.
template <class T>
void copy_plane(const ConvCopy& c, const T* plane, T* to) {
  constexpr int64_t V = Vec<T>::kWidth;
  const Inside cols = inside(c.W, c.first_col, 1, c.width);
  LaneRange<T> lanes[kRowVectors];
  for (int64_t i = 0; i * V < c.width; ++i)
    lanes[i] = LaneRange<T>(clamp(cols.begin - i * V, 0, V), clamp(cols.end - i * V, 0, V));
  const int64_t width = c.width, W = c.W, H = c.H, row_step = c.row_step;  // stores spare them
  const T* first = plane + c.first_col;
  const int64_t whole = width % V == 0 ? c.rows : c.rows - ceil_div(V - 1, width);
  for (int64_t j = 0; j < c.rows; ++j, to += width) {
    const int64_t h = c.row_taps == 1 ? c.first_row + j * row_step : c.row(j);
    const bool outside = h < 0 || h >= H;
    for (int64_t i = 0; i < width; i += V) {
      const Vec<T> v = outside ? Vec<T>::zero() : lanes[i / V].load(first + h * W + i);
      if (j < whole)
        v.store(to + i);
      else
        v.store(to + i, static_cast<int>(min(V, (c.rows - j) * width - i)));
    }
  }
}

// A plane of every other column, then of those between, from one reading of its rows.
template <class T>
void copy_halves(const ConvCopy& c, const T* plane, T* to) {
  constexpr int64_t V = Vec<T>::kWidth;
  decltype(Vec<T>{}.raw == Vec<T>{}.raw) even, odd;
  for (int i = 0; i < V; ++i) even[i] = 2 * i, odd[i] = 2 * i + 1;
  const Inside cols = inside(c.W, c.first_col, 1, 2 * c.width);
  LaneRange<T> lanes[2 * kRowVectors];
  for (int64_t i = 0; i * V < 2 * c.width; ++i)
    lanes[i] = LaneRange<T>(clamp(cols.begin - i * V, 0, V), clamp(cols.end - i * V, 0, V));
  const int64_t width = c.width;  // stores spare it
  for (int64_t j = 0; j < c.rows; ++j, to += 2 * width) {
    const bool outside = c.row(j) < 0 || c.row(j) >= c.H;
    const T* row = plane + c.first_col + c.row(j) * c.W;
    for (int64_t i = 0; i < width; i += V) {
      const LaneRange<T>* of = lanes + 2 * i / V;
      const auto a = outside ? Vec<T>::zero() : of[0].load(row + 2 * i);
      const auto b = outside ? Vec<T>::zero() : of[1].load(row + 2 * i + V);
      const int count = static_cast<int>(min(V, width - i));
      Vec<T>{__builtin_shuffle(a.raw, b.raw, even)}.store(to + i, count);
      Vec<T>{__builtin_shuffle(a.raw, b.raw, odd)}.store(to + width + i, count);
    }
  }
}

template <class T>
void copy(const ConvCopy& c, const void* x, int64_t begin, int64_t end, void* copies) {
  bool padded = c.first_row < 0 || c.row(c.rows - 1) >= c.H;
  for (int64_t f = 0; f < c.phases && !padded; ++f) {
    const Inside cols = inside(c.W, c.first_col + f * c.phase_step, c.col_step, c.width);
    padded = cols.begin > 0 || cols.end < c.width;
  }
  // Without masks lanes would be loaded one by one.
  const bool short_rows = kVecBytes >= 32 && c.width <= kRowVectors * Vec<T>::kWidth;
  const bool dense = short_rows && c.phases == 1 && c.col_step == 1;
  const bool halves = short_rows && c.phases == 2 && c.col_step == 2 && c.phase_step == 1;
  for (int64_t n = begin; n < end; ++n) {
    const T* plane = static_cast<const T*>(x) + n * c.H * c.W;
    T* to = static_cast<T*>(copies) + n * c.plane();
    if (dense || halves) {
      (dense ? copy_plane<T> : copy_halves<T>)(c, plane, to);
      continue;
    }
    if (padded) memset(to, 0, static_cast<size_t>(c.plane()) * sizeof(T));
    for (int64_t f = 0; f < c.phases; ++f, to += c.width) {
      const int64_t first = c.first_col + f * c.phase_step, step = c.col_step;
      const Inside cols = inside(c.W, first, step, c.width);
      const int64_t count = cols.end - cols.begin;
      T* y = to + cols.begin;
      for (int64_t j = 0; j < c.rows && count > 0; ++j, y += c.pitch()) {
        const int64_t h = c.row(j);
        if (h < 0 || h >= c.H) continue;
        const T* row = plane + h * c.W + first + cols.begin * step;
        if (step == 1) {
          copy_run(row, count, y);
        } else if (step == 2) {
          copy_even(row, count, y);
        } else {
          for (int64_t i = 0; i < count; ++i) y[i] = row[i * step];
        }
      }
    }
  }
}

// ------------------------------------------------------------------------------------- weights

// A group's a in blocks of kc columns; of each, panels of mr rows; of each, (depth, height): of the
// micro-kernel's tile, or mr where conv_direct reads it.
template <class T>
void pack(const ConvProduct& s, const ConvWeights& weights, const void* w, int64_t begin,
          int64_t end, void* packed) {
  constexpr int MR = kTiles<T>.mr;
  const int64_t panels = ceil_div(s.M, s.mr), height = s.height;
  for (int64_t task = begin; task < end; ++task) {
    const int64_t group = task / panels, i = task % panels, rows = min(s.mr, s.M - i * s.mr);
    const T* a = static_cast<const T*>(w) + group * weights.a_group + i * s.mr * weights.a_row;
    T* y = static_cast<T*>(packed) + group * s.packed_group;
    for (int64_t p = 0; p < s.D; p += s.kc) {
      const int64_t depth = min(s.kc, s.D - p);
      T* panel = y + p * panels * height + i * depth * height;
      if (height == MR && !weights.offset) {
        pack_panel<T, MR>(a + p, weights.a_row, 1, rows, depth, panel);
        continue;
      }
      if (height == 2 * Vec<T>::kWidth && !weights.offset) {
        pack_panel<T, 2 * Vec<T>::kWidth>(a + p, weights.a_row, 1, rows, depth, panel);
        continue;
      }
      for (int64_t d = 0; d < depth; ++d) {
        const T* from = a + (weights.offset ? weights.offset[p + d] : p + d);
        if (weights.a_row == 1)
          copy_run(from, rows, panel + d * height);
        else
          for (int64_t m = 0; m < rows; ++m) panel[d * height + m] = from[m * weights.a_row];
        for (int64_t m = rows; m < height; ++m) panel[d * height + m] = T(0);
      }
    }
  }
}

// ------------------------------------------------------------------------------------- products

// A run of pixels of one row: `count` of them from lane `lane` of the panel on.
struct Run {
  int64_t lane, count, source, out;
};

// The pixels of a panel as runs.
struct Panel {
  Run runs[64];
  int count = 0;
  bool one_image;
};

template <class T>
void find_runs(const ConvProduct& s, int64_t j, int64_t width, Panel& panel) {
  const ConvSource& from = s.source;
  const int64_t pixels = from.U * from.V;
  int64_t n = j / pixels, u = j % pixels / from.V, v = j % from.V;
  panel.count = 0;
  panel.one_image = j % pixels + width <= pixels;
  for (int64_t lane = 0; lane < width;) {
    const int64_t count = min(from.V - v, width - lane);
    panel.runs[panel.count++] = {lane, count, n * from.image + u * from.row + v,
                                 n * s.out_image + u * s.out_row + v * s.out_col};
    lane += count, v = 0;
    if (++u == from.U) u = 0, ++n;
  }
}

// panel (depth, nr): row d is the images' elements at offset[d] from each pixel of the run.
template <class T>
void gather_run(const Run& run, const T* images, const int64_t* offset, int64_t depth, T* panel) {
  constexpr int W = Vec<T>::kWidth, NR = kTiles<T>.nr;
  const T* x = images + run.source;
  T* y = panel + run.lane;
  const int count = static_cast<int>(run.count);
  if (count == NR) {
    for (int64_t d = 0; d < depth; ++d, y += NR) {
      Vec<T>::load(x + offset[d]).store(y);
      Vec<T>::load(x + offset[d] + W).store(y + W);
    }
  } else if (count >= W) {  // two vectors that overlap
    const int last = count - W;
    for (int64_t d = 0; d < depth; ++d, y += NR) {
      const Vec<T> a = Vec<T>::load(x + offset[d]), b = Vec<T>::load(x + offset[d] + last);
      a.store(y);
      b.store(y + last);
    }
  } else {
    for (int64_t d = 0; d < depth; ++d, y += NR) {
      const typename Vec<T>::Raw a = load_first(x + offset[d], count);
      store_first(y, a, count);
    }
  }
}

// All runs of a panel, a few rows at a time, which stay in L1.
template <class T>
void gather(const Panel& panel, const T* images, const int64_t* offset, int64_t depth, T* b) {
  constexpr int64_t kRows = 32;
  for (int64_t d = 0; d < depth; d += kRows)
    for (int r = 0; r < panel.count; ++r)
      gather_run(panel.runs[r], images, offset + d, min(kRows, depth - d), b + d * kTiles<T>.nr);
}

// Where a tile's rows go: of each (channel, up), whose phases lie side by side.
template <class T>
struct TileRows {
  T *out[kTiles<T>.mr], start[kTiles<T>.mr];
  int64_t count = 0, m = 0, up = 0;

  // The next rows.
  void advance(const ConvProduct& s, int64_t rows, const T* bias, T* y) {
    count = rows / s.phases_across;
    for (int64_t i = 0; i < count; ++i) {
      out[i] = y + m * s.out_channel + up * s.out_up;
      start[i] = bias ? bias[m] : T(0);
      if (++up == s.phases_up) up = 0, ++m;
    }
  }
};

// Asks for what `scatter` will write.
template <class T>
void ask_for(const ConvProduct& s, const Panel& panel, const TileRows<T>& rows) {
  constexpr int64_t kLine = 64 / sizeof(T);
  for (int r = 0; r < panel.count; ++r)
    for (int64_t j = 0; j < panel.runs[r].count * s.out_col; j += kLine)
      for (int64_t i = 0; i < rows.count; ++i)
        __builtin_prefetch(rows.out[i] + panel.runs[r].out + j, 1);
}

// Rows of a tile, two by two, as conv_tile leaves pairs.
template <class T>
void pair_rows(T* tile, int64_t rows) {
  constexpr int W = Vec<T>::kWidth, NR = kTiles<T>.nr;
  for (int64_t i = 0; i < rows; i += 2, tile += 2 * NR) {
    const Vec<T> a[] = {Vec<T>::load(tile), Vec<T>::load(tile + W)};
    const Vec<T> b[] = {Vec<T>::load(tile + NR), Vec<T>::load(tile + NR + W)};
    store_pairs(a, b, tile);
  }
}

// A tile (rows, nr), pairs where two phases lie side by side, to the pixels of its runs.
template <class T>
void scatter(const ConvProduct& s, const Panel& panel, const T* tile, const TileRows<T>& rows,
             bool accumulate, bool relu) {
  constexpr int64_t W = Vec<T>::kWidth, NR = kTiles<T>.nr;
  const int64_t across = s.phases_across, row = across * NR;
  const bool together = s.out_col == across && across <= 2;
  for (int r = 0; r < panel.count; ++r) {
    const Run& run = panel.runs[r];
    for (int64_t j = 0; together && j < across * run.count; j += W) {
      const T* from = tile + across * run.lane + j;
      const int n = static_cast<int>(min(W, across * run.count - j));
      for (int64_t i = 0; i < rows.count; ++i, from += row) {
        T* y = rows.out[i] + run.out + j;
        const Vec<T> first = accumulate ? Vec<T>::load(y, n) : Vec<T>::broadcast(rows.start[i]);
        relu_if(relu, first + Vec<T>::load(from)).store(y, n);
      }
    }
    if (together) continue;
    const T* from = tile + run.lane;
    for (int64_t i = 0; i < rows.count; ++i)
      for (int64_t c = 0; c < across; ++c, from += NR)
        for (int64_t j = 0; j < run.count; ++j) {
          T& to = rows.out[i][run.out + j * s.out_col + c];
          to = (accumulate ? to : rows.start[i]) + from[j];
          if (relu && to < 0) to = 0;
        }
  }
}

template <class T>
void multiply(const ConvProduct& s, const ConvBlock& block, const void* images, const void* packed,
              const void* bias, void* panel_memory, void* result) {
  constexpr int MR = kTiles<T>.mr, NR = kTiles<T>.nr;
  const T* x = static_cast<const T*>(images) + block.group * s.source.group;
  const T* a = static_cast<const T*>(packed) + block.group * s.packed_group;
  const int64_t channels = s.M / (s.phases_up * s.phases_across);
  const T* start = bias ? static_cast<const T*>(bias) + block.group * channels : nullptr;
  T* out = static_cast<T*>(result) + block.group * s.out_group;
  T* b = static_cast<T*>(panel_memory);
  const int64_t panels = ceil_div(s.M, s.mr), tiles = ceil_div(block.m1 - block.m0, s.mr);
  const bool pairs = s.phases_across == 2;
  const bool side_by_side = s.out_col == 1 && s.phases_up == 1;
  const bool flat = side_by_side && s.out_row == s.source.V;
  const bool dense = s.source.row == s.source.V;  // rows of pixels side by side in the images
  const int64_t row = dense ? s.source.U * s.source.V : s.source.V;
  alignas(64) T tile[(MR + 1) * NR];  // read up to a vector further
  Panel runs;
  for (int64_t p = 0; p == 0 || p < s.D; p += s.kc) {
    const int64_t depth = min(s.kc, s.D - p), *offset = s.source.offset + p;
    const int64_t share = ceil_div(depth, tiles);
    const bool last = p + depth == s.D;  // else there are more terms to come
    for (int64_t j = block.j0; j < block.j1; j += NR) {
      const int64_t width = min(NR, block.j1 - j);
      find_runs<T>(s, j, width, runs);
      const bool whole = runs.one_image && (flat || (side_by_side && runs.count == 1));
      const bool in_place = width == NR && (runs.count == 1 || (dense && runs.one_image));
      const T* from = x + runs.runs[0].source;
      const bool goes_on = in_place && j % row + 2 * NR <= row;
      if (!in_place) {
        if (width < NR) memset(b, 0, static_cast<size_t>(depth * NR) * sizeof(T));
        gather(runs, x, offset, depth, b);
      }
      TileRows<T> to;
      to.m = block.m0 / s.phases_across / s.phases_up;
      to.up = block.m0 / s.phases_across % s.phases_up;
      for (int64_t i = block.m0, ahead = 0; i < block.m1; i += s.mr, ahead += share) {
        const int64_t rows = min(s.mr, s.M - i);
        if (!whole) {
          to.advance(s, rows, start, out);
          ask_for(s, runs, to);
        }
        const T* a_panel = a + p * panels * MR + i / s.mr * depth * MR;
        T* y = whole ? out + i * s.out_channel + runs.runs[0].out : tile;
        const int64_t y_row = whole ? s.out_channel : NR;
        if (in_place) {
          const ConvRows<T> next = {from + NR, offset + ahead,
                                    goes_on ? clamp(depth - ahead, 0, share) : 0};
          (i == block.m0 ? conv_tile_of<T, true>(rows) : conv_tile_of<T, false>(rows))(
              a_panel, {from, offset, depth}, b,
              whole ? ConvFinish<T>{start ? start + i : nullptr, p > 0, s.relu && last, false}
                    : ConvFinish<T>{nullptr, false, false, pairs},
              y, y_row, next);
        } else {
          if (whole && start && p == 0)
            for (int64_t m = 0; m < rows; ++m)
              for (int64_t v = 0; v < width; ++v) y[m * y_row + v] = start[i + m];
          micro_kernel<T>(rows, width, depth, a_panel, b, y, y_row, whole && (p > 0 || start));
          if (whole) finish_block<T>(y, y_row, rows, width, nullptr, s.relu && last);
          if (pairs) pair_rows(tile, rows);
        }
        if (!whole) scatter(s, runs, tile, to, p > 0, s.relu && last);
      }
    }
  }
}

template <class T>
void total(const void* x, int64_t n, int64_t size, int64_t begin, int64_t end, void* y) {
  const T* parts = static_cast<const T*>(x);
  T* sum = static_cast<T*>(y);
  for (int64_t i = begin; i < end; ++i) sum[i] = parts[i];
  for (int64_t k = 1; k < n; ++k)
    for (int64_t i = begin; i < end; ++i) sum[i] += parts[k * size + i];
}

}  // namespace

extern const ConvTable conv_table;
const ConvTable conv_table = {
    {Vec<float>::kWidth, Vec<double>::kWidth},
    kConvDirectRows,
    {copy<float>, copy<double>},
    {pack<float>, pack<double>},
    {multiply<float>, multiply<double>},
    {conv_direct<float>, conv_direct<double>},
    {conv_channels<float>, conv_channels<double>},
    {conv_dot<float>, conv_dot<double>},
    {conv_lanes<float>, conv_lanes<double>},
    {conv_outer<float>, conv_outer<double>},
    {conv_outer_total<float>, conv_outer_total<double>},
    {total<float>, total<double>},
};

}  // namespace dlx::DLX_ISA
