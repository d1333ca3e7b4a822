#include "ops/reduce.h"

#include <algorithm>

#include "core/check.h"
#include "core/choice.h"
#include "core/cpu_features.h"
#include "core/parallel.h"
#include "ops/map.h"
#include "ops/strided.h"

namespace dlx {

DLX_EACH_ISA(extern const ReduceTable reduce_table;)
DLX_EACH_ISA(extern const ReduceRowsTable reduce_rows_table;)

namespace {

ReduceDims merged(const Dims& extent, const Dims& stride) {
  ReduceDims d{};
  int64_t strides[1][kMaxDims];
  std::copy(extent.begin(), extent.end(), d.extent);
  std::copy(stride.begin(), stride.end(), strides[0]);
  d.ndim = merge_dims(extent.ndim, d.extent, strides, 1);
  std::copy_n(strides[0], d.ndim, d.stride);
  std::fill(d.extent + d.ndim, d.extent + kMaxDims, 0);
  return d;
}

template <class Run>
void walk_runs(const ReduceDims& d, int64_t begin, int64_t count, const Run& run) {
  for_each_run(d.ndim, d.extent, d.stride, begin, count, run);
}

bool is_half(DType t) { return t == DType::bfloat16 || t == DType::float16; }

bool is_extreme(Reduction kind) {
  return kind != Reduction::sum && kind != Reduction::mean && kind != Reduction::var;
}

ReduceStep first_step(Reduction kind) {
  switch (kind) {
    case Reduction::max:
      return ReduceStep::max;
    case Reduction::min:
      return ReduceStep::min;
    case Reduction::argmax:
      return ReduceStep::argmax;
    case Reduction::argmin:
      return ReduceStep::argmin;
    default:
      return ReduceStep::sum;
  }
}

}  // namespace

DType ReduceShape::output_dtype() const {
  if (kind == Reduction::argmax || kind == Reduction::argmin) return DType::int64;
  return kind == Reduction::sum && !is_floating(dtype) ? DType::int64 : dtype;
}

ReduceShape ReduceShape::make(Reduction kind, const Array& x, const Dims& axes, bool keepdims,
                              double correction, Dims* y_shape) {
  const char* name = kReductionName[static_cast<int>(kind)];
  DLX_CHECK_AS(TypeError,
               is_floating(x.dtype) || (kind != Reduction::mean && kind != Reduction::var), name,
               ": expected a floating dtype, got ", x.dtype, "; cast first: x.astype(dlx.float32)");
  ReduceShape s{};
  s.kind = kind;
  s.dtype = x.dtype;
  s.correction = correction;
  Dims kept, kept_stride, reduced, reduced_stride;
  y_shape->ndim = 0;
  for (int i = 0, next = 0; i < x.shape.ndim; ++i) {
    const bool is_reduced = next < axes.ndim && axes[next] == i;
    next += is_reduced;
    (is_reduced ? reduced : kept).push_back(x.shape[i]);
    (is_reduced ? reduced_stride : kept_stride).push_back(x.strides[i]);
    if (!is_reduced) y_shape->push_back(x.shape[i]);
    if (is_reduced && keepdims) y_shape->push_back(1);
  }
  s.outputs = kept.product();
  s.count = reduced.product();
  DLX_CHECK(s.count > 0 || s.outputs == 0 || !is_extreme(kind), name,
            ": expected at least one element along ", axes.ndim == 1 ? "axis " : "axes ",
            axes.ndim == 1 ? message(axes[0]) : message(axes), "; x=", x.shape);
  s.kept = merged(kept, kept_stride);
  s.reduced = merged(reduced, reduced_stride);
  for (int i = 0; i < reduced.ndim; ++i) {
    kept.push_back(reduced[i]);
    kept_stride.push_back(reduced_stride[i]);
  }
  s.all = merged(kept, kept_stride);
  return s;
}

// Several chunks: their states (chunks, M), and for var the means (M).
int64_t reduce_workspace(const void* shape) {
  const auto& s = *static_cast<const ReduceShape*>(shape);
  if (s.chunks() <= 1) return 0;
  const int64_t means =
      s.kind == Reduction::var ? s.outputs * static_cast<int64_t>(sizeof(double)) : 0;
  return s.chunks() * s.outputs * static_cast<int64_t>(sizeof(ReduceState)) + means;
}

namespace cpu {
namespace {

constexpr int64_t kGrain = 32768;  // elements: 10-50 us
constexpr int64_t kFewColumns = 8;

// How x is walked: along dense rows, across dense columns, or through a dense copy of each chunk,
// which also serves rows that end within a chunk.
enum class Walk { rows, columns, gather };

// By the states of chunks, or dense rows of floats at once to their results: the same bits.
enum Algorithm { kStates, kRows };
Choice choice("reduce", {"states", "rows"});

struct Reducer {
  const ReduceShape& s;
  const char* x;
  char* y;
  const ReduceTable& table;
  const int64_t width;  // bytes of an element of x
  Walk walk;

  Reducer(const ReduceShape& shape, void* const* buffers)
      : s(shape),
        x(static_cast<const char*>(buffers[0])),
        y(static_cast<char*>(buffers[1])),
        table(DLX_SELECT_ISA(reduce_table)),
        width(size_of(shape.dtype)) {
    const int inner = s.kept.ndim - 1;
    const bool dense_rows = s.reduced.stride[s.reduced.ndim - 1] == 1;
    const bool dense_columns = s.kept.stride[inner] == 1 && s.kept.extent[inner] >= kFewColumns;
    walk = is_half(s.dtype) ? Walk::gather
           : dense_rows     ? Walk::rows
           : dense_columns  ? Walk::columns
                            : Walk::gather;
  }

  // Where elements [at, at + len) of an output start, if they are a dense row; else -1.
  int64_t dense_row(int64_t at, int64_t len) const {
    const int inner = s.reduced.ndim - 1;
    if (walk != Walk::rows || at % s.reduced.extent[inner] + len > s.reduced.extent[inner])
      return -1;
    int64_t start = 0;
    walk_runs(s.reduced, at, len,
              [&](int64_t offset, int64_t, int64_t, int64_t) { start = offset; });
    return start;
  }

  int64_t length(int64_t chunk) const {
    return std::min(kReduceChunk, s.count - chunk * kReduceChunk);
  }

  // Outputs in one piece of work.
  int64_t grain() const {
    const int64_t outputs = effective_grain(kGrain) / std::max<int64_t>(1, length(0));
    return std::max<int64_t>(outputs, walk == Walk::columns ? effective_grain(kReduceTile) : 1);
  }

  // The states of outputs [first, first + n), n <= kReduceTile, over one chunk of elements.
  void reduce_chunk(ReduceStep step, int64_t chunk, int64_t first, int64_t n, const double* centre,
                    ReduceState* state) const {
    const DType dtype = is_half(s.dtype) ? DType::float32 : s.dtype;
    const ReduceKernel& kernel = table.kernel[static_cast<int>(step)][static_cast<int>(dtype)];
    const int64_t at = chunk * kReduceChunk, len = length(chunk);
    const auto centre_of = [centre](int64_t i) { return centre ? centre + i : nullptr; };
    if (const int64_t within = dense_row(at, len); within >= 0) {
      walk_runs(s.kept, first, n,
                [&](int64_t offset, int64_t row_step, int64_t done, int64_t rows) {
                  kernel.rows(x + (offset + within) * width, row_step, rows, len, centre_of(done),
                              state + done);
                });
    } else if (walk == Walk::columns) {
      int64_t row[kReduceChunk];
      walk_runs(s.reduced, at, len,
                [&](int64_t offset, int64_t row_step, int64_t done, int64_t rows) {
                  for (int64_t i = 0; i < rows; ++i) row[done + i] = offset + i * row_step;
                });
      walk_runs(s.kept, first, n, [&](int64_t offset, int64_t, int64_t done, int64_t columns) {
        kernel.columns(x + offset * width, row, len, columns, centre_of(done), state + done);
      });
    } else {
      const int64_t rows = len == s.count ? std::max<int64_t>(1, kReduceChunk / len) : 1;
      for (int64_t i = 0; i < n; i += rows) {
        const int64_t some = std::min(rows, n - i);
        alignas(64) char block[kReduceChunk * 8], half[kReduceChunk * 2];
        gather(width, s.all.ndim, s.all.extent, s.all.stride, x, (first + i) * s.count + at,
               some * len, is_half(s.dtype) ? half : block);
        if (is_half(s.dtype)) convert(s.dtype, dtype, half, block, some * len);
        kernel.rows(block, len, some, len, centre_of(i), state + i);
      }
    }
    if (s.kind == Reduction::argmax || s.kind == Reduction::argmin)
      for (int64_t i = 0; i < n; ++i) state[i].index += at;
  }

  // What takes whole rows to their results, if they can be taken so.
  ReduceRowsTable::Rows whole_rows() const {
    const bool floats = s.dtype == DType::float32 || s.dtype == DType::float64;
    if (s.chunks() != 1 || !floats || dense_row(0, s.count) < 0) return nullptr;
    const ReduceRowsTable& by_rows = DLX_SELECT_ISA(reduce_rows_table);
    const int t = s.dtype == DType::float64;
    switch (s.kind) {
      case Reduction::sum:
      case Reduction::mean:
        return by_rows.sum[t];
      case Reduction::max:
        return by_rows.max[t];
      case Reduction::min:
        return by_rows.min[t];
      default:
        return nullptr;
    }
  }

  void run_rows(ReduceRowsTable::Rows f) const {
    const double divisor = s.kind == Reduction::mean ? static_cast<double>(s.count) : 1;
    parallel_for(s.outputs, grain(), [&](int64_t begin, int64_t end) {
      walk_runs(s.kept, begin, end - begin,
                [&](int64_t offset, int64_t row_step, int64_t done, int64_t rows) {
                  f(x + offset * width, row_step, rows, s.count, divisor,
                    y + (begin + done) * width);
                });
    });
  }

  static void convert(DType from, DType to, const void* in, void* out, int64_t n) {
    map_table().convert[static_cast<int>(from)][static_cast<int>(to)](in, out, n);
  }

  // a, which stands for earlier elements, takes in b.
  void join(ReduceState& a, const ReduceState& b) const {
    const bool real = is_floating(s.dtype);
    if (!is_extreme(s.kind)) {
      if (!real) {
        a.integer = static_cast<int64_t>(static_cast<uint64_t>(a.integer) +
                                         static_cast<uint64_t>(b.integer));
        return;
      }
      const double total = a.real + b.real, part = total - a.real;  // TwoSum
      a.error += b.error + ((a.real - (total - part)) + (b.real - part));
      a.real = total;
      return;
    }
    const bool largest = s.kind == Reduction::max || s.kind == Reduction::argmax;
    const bool wins = real ? (largest ? b.real > a.real : b.real < a.real) ||
                                 (b.real != b.real && a.real == a.real)
                           : (largest ? b.integer > a.integer : b.integer < a.integer);
    if (wins) a = b;
  }

  static double rounded(const ReduceState& state) {
    const bool finite = state.real - state.real == 0;  // an infinite sum has no error worth adding
    return finite ? state.real + state.error : state.real;
  }

  void means(const ReduceState* state, int64_t n, double* mean) const {
    for (int64_t i = 0; i < n; ++i) mean[i] = rounded(state[i]) / static_cast<double>(s.count);
  }

  // Writes outputs [first, first + n) from the states over all their elements.
  void finish(const ReduceState* state, int64_t first, int64_t n) const {
    const DType dtype = s.output_dtype();
    char* out = y + first * size_of(dtype);
    double real[kReduceTile];
    int64_t integer[kReduceTile];
    if (s.kind == Reduction::argmax || s.kind == Reduction::argmin) {
      for (int64_t i = 0; i < n; ++i) integer[i] = state[i].index;
    } else if (!is_floating(s.dtype)) {
      for (int64_t i = 0; i < n; ++i) integer[i] = state[i].integer;
    } else if (is_extreme(s.kind)) {
      for (int64_t i = 0; i < n; ++i) real[i] = state[i].real;
    } else {
      const double k = static_cast<double>(s.count);
      const double divisor = s.kind == Reduction::sum    ? 1
                             : s.kind == Reduction::mean ? k
                                                         : std::max(k - s.correction, 0.0);
      for (int64_t i = 0; i < n; ++i) real[i] = rounded(state[i]) / divisor;
    }
    if (is_floating(dtype)) {
      convert(DType::float64, dtype, real, out, n);
    } else {
      convert(DType::int64, dtype, integer, out, n);
    }
  }

  // body(first, n) for tiles of outputs.
  template <class Body>
  void for_each_tile(int64_t grain, const Body& body) const {
    parallel_for(s.outputs, grain, [&](int64_t begin, int64_t end) {
      for (int64_t m = begin; m < end; m += kReduceTile) body(m, std::min(kReduceTile, end - m));
    });
  }

  void one_chunk() const {
    for_each_tile(grain(), [&](int64_t first, int64_t n) {
      ReduceState state[kReduceTile];
      reduce_chunk(first_step(s.kind), 0, first, n, nullptr, state);
      if (s.kind == Reduction::var) {
        double mean[kReduceTile];
        means(state, n, mean);
        reduce_chunk(ReduceStep::squares, 0, first, n, mean, state);
      }
      finish(state, first, n);
    });
  }

  // The states of every chunk of every output: (chunks, M).
  void all_chunks(ReduceStep step, const double* centre, ReduceState* state) const {
    parallel_for(s.chunks() * s.outputs, grain(), [&](int64_t begin, int64_t end) {
      while (begin < end) {
        const int64_t chunk = begin / s.outputs, first = begin % s.outputs;
        const int64_t n = std::min({kReduceTile, end - begin, s.outputs - first});
        reduce_chunk(step, chunk, first, n, centre ? centre + first : nullptr, state + begin);
        begin += n;
      }
    });
  }

  // body(states over all elements, first, n): the chunks joined in order.
  template <class Body>
  void join_chunks(const ReduceState* state, const Body& body) const {
    const int64_t chunks = s.chunks();
    for_each_tile(std::max<int64_t>(1, effective_grain(kGrain) / std::max<int64_t>(1, chunks)),
                  [&](int64_t first, int64_t n) {
                    ReduceState total[kReduceTile] = {};
                    if (chunks) std::copy_n(state + first, n, total);
                    for (int64_t c = 1; c < chunks; ++c)
                      for (int64_t i = 0; i < n; ++i)
                        join(total[i], state[c * s.outputs + first + i]);
                    body(total, first, n);
                  });
  }

  void many_chunks(void* workspace) const {
    auto* state = static_cast<ReduceState*>(workspace);
    if (s.chunks()) all_chunks(first_step(s.kind), nullptr, state);
    if (s.kind == Reduction::var && s.chunks()) {
      auto* mean = reinterpret_cast<double*>(state + s.chunks() * s.outputs);
      join_chunks(state, [&](const ReduceState* total, int64_t first, int64_t n) {
        means(total, n, mean + first);
      });
      all_chunks(ReduceStep::squares, mean, state);
    }
    join_chunks(state, [&](const ReduceState* total, int64_t first, int64_t n) {
      finish(total, first, n);
    });
  }
};

}  // namespace

void reduce(Ctx&, const void* shape, void* const* buffers, void* workspace) {
  const auto& s = *static_cast<const ReduceShape*>(shape);
  if (s.outputs == 0) return;
  const Reducer reducer(s, buffers);
  const ReduceRowsTable::Rows by_rows = reducer.whole_rows();
  if (choice.pick(by_rows ? kRows : kStates, 1 << kStates | (by_rows != nullptr) << kRows) ==
      kRows) {
    reducer.run_rows(by_rows);
  } else if (s.chunks() == 1) {
    reducer.one_chunk();
  } else {
    reducer.many_chunks(workspace);
  }
}

}  // namespace cpu
}  // namespace dlx
