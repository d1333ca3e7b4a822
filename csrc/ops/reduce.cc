#include "ops/reduce.h"

#include "core/check.h"
#include "core/choice.h"
#include "ops/reducer.h"

namespace dlx {

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

constexpr int64_t kFewColumns = 8;
constexpr int64_t kManyChunks = 4;  // one behind the other, which are read without a list of pieces

// How x is walked: along dense rows, across dense columns, or through a dense copy of each chunk,
// which also serves rows that end within a chunk.
enum class Walk { rows, columns, gather };

// By the states of chunks, or dense rows or columns of floats at once to their results: the same
// bits.
enum Algorithm { kStates, kRows, kColumns };
Choice choice("reduce", {"states", "rows", "columns"});

// x as it lies in memory.
struct InMemory {
  const ReduceShape& s;
  const char* x;
  const int64_t width;  // bytes of an element of x
  Walk walk;

  InMemory(const ReduceShape& shape, const void* x0)
      : s(shape), x(static_cast<const char*>(x0)), width(size_of(shape.dtype)) {
    const int inner = s.kept.ndim - 1;
    const bool dense_rows = s.reduced.stride[s.reduced.ndim - 1] == 1;
    const bool dense_columns = s.kept.stride[inner] == 1 && s.kept.extent[inner] >= kFewColumns;
    walk = is_half(s.dtype) ? Walk::gather
           : dense_rows     ? Walk::rows
           : dense_columns  ? Walk::columns
                            : Walk::gather;
  }

  int64_t columns() const { return walk == Walk::columns ? s.kept.extent[s.kept.ndim - 1] : 0; }
  bool by_rows() const { return dense_row(0, s.count) >= 0; }

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

  // How many of n chunks from element `at` of an output on lie one behind the other.
  int64_t whole_chunks(int64_t at, int64_t n) const {
    if (walk != Walk::rows) return 0;
    const int64_t row = s.reduced.extent[s.reduced.ndim - 1];
    return std::min(n, (row - at % row) / kReduceChunk);
  }
  int64_t start_of(int64_t output) const {
    int64_t start = 0;
    walk_runs(s.kept, output, 1,
              [&](int64_t offset, int64_t, int64_t, int64_t) { start = offset; });
    return start;
  }

  // Elements [at, at + len) of an output, where they are few pieces.
  bool find_pieces(int64_t output, int64_t at, int64_t len, ReducePieces* pieces) const {
    const int64_t row = s.reduced.extent[s.reduced.ndim - 1];
    if (walk != Walk::rows || len > (kMostPieces - 2) * row) return false;
    const int64_t start = start_of(output);
    pieces->count = 0;
    const auto at_offset = [&](int64_t offset) { return x + (start + offset) * width; };
    const int64_t more = std::min(len + 1, s.count - at);
    walk_runs(s.reduced, at, more, [&](int64_t offset, int64_t, int64_t done, int64_t n) {
      n = std::min(n, len - done);
      pieces->next = at_offset(offset + n);
      if (n == 0) return;
      pieces->start[pieces->count] = at_offset(offset);
      pieces->length[pieces->count++] = n;
    });
    return true;
  }

  struct Reader {
    const InMemory& in;
    const ReduceShape& s;
    int64_t row[kReduceChunk], found = -1;  // of columns: where the rows of chunk `found` lie
    explicit Reader(const InMemory& elements) : in(elements), s(elements.s) {}

    // From where on `row` tells of the rows of a chunk.
    const char* find_rows(int64_t chunk) {
      const bool even = s.reduced.ndim == 1;  // as far apart in every chunk
      if (found < 0 || (found != chunk && !even)) {
        found = even ? 0 : chunk;
        walk_runs(s.reduced, found * kReduceChunk, chunk_length(s, found),
                  [&](int64_t offset, int64_t row_step, int64_t done, int64_t rows) {
                    for (int64_t i = 0; i < rows; ++i, offset += row_step) row[done + i] = offset;
                  });
      }
      return in.x + (even ? chunk * kReduceChunk * s.reduced.stride[0] * in.width : 0);
    }

    void chunk(const ReduceKernel& kernel, int64_t chunk, int64_t first, int64_t n,
               const double* centre, ReduceState* state) {
      const int64_t at = chunk * kReduceChunk, len = chunk_length(s, chunk), width = in.width;
      const char* x = in.x;
      const auto centre_of = [centre](int64_t i) { return centre ? centre + i : nullptr; };
      if (const int64_t within = in.dense_row(at, len); within >= 0) {
        walk_runs(s.kept, first, n,
                  [&](int64_t offset, int64_t row_step, int64_t done, int64_t rows) {
                    kernel.rows(x + (offset + within) * width, row_step, rows, len, centre_of(done),
                                state + done);
                  });
      } else if (in.walk == Walk::columns) {
        const char* from = find_rows(chunk);
        walk_runs(s.kept, first, n, [&](int64_t offset, int64_t, int64_t done, int64_t columns) {
          kernel.columns(from + offset * width, row, len, columns, centre_of(done), state + done);
        });
      } else {
        const int64_t rows = len == s.count ? std::max<int64_t>(1, kReduceChunk / len) : 1;
        for (int64_t i = 0; i < n; i += rows) {
          const int64_t some = std::min(rows, n - i);
          alignas(64) char block[kReduceChunk * 8], half[kReduceChunk * 2];
          gather(width, s.all.ndim, s.all.extent, s.all.stride, x, (first + i) * s.count + at,
                 some * len, is_half(s.dtype) ? half : block);
          if (is_half(s.dtype)) widen(s.dtype, half, block, some * len);
          kernel.rows(block, len, some, len, centre_of(i), state + i);
        }
      }
    }

    void chunks(const ReduceKernel& kernel, int64_t from, int64_t n, int64_t output,
                const double* centre, ReduceState* state) {
      double centres[kReduceTile];
      if (centre) std::fill_n(centres, n, *centre);
      for (int64_t i = 0, whole; i < n; i += whole) {
        const int64_t at = (from + i) * kReduceChunk;
        whole = in.whole_chunks(at, n - i);
        if (whole < kManyChunks) {
          whole = 1;
          ReducePieces pieces;
          if (kernel.pieces && in.find_pieces(output, at, chunk_length(s, from + i), &pieces)) {
            kernel.pieces(pieces, centre, state + i);
          } else {
            chunk(kernel, from + i, output, 1, centre, state + i);
          }
          continue;
        }
        const int64_t start = in.start_of(output) + in.dense_row(at, kReduceChunk);
        kernel.rows(in.x + start * in.width, kReduceChunk, whole, kReduceChunk,
                    centre ? centres : nullptr, state + i);
      }
    }

    void rows(ReduceRowsTable::Rows f, int64_t first, int64_t n, double divisor, char* y) const {
      const int64_t y_width = size_of(s.output_dtype());
      walk_runs(s.kept, first, n,
                [&](int64_t offset, int64_t row_step, int64_t done, int64_t rows) {
                  f(in.x + offset * in.width, row_step, rows, s.count, divisor,
                    y + (first + done) * y_width);
                });
    }

    void columns(ReduceColumnsTable::Columns f, int64_t first, int64_t n, double divisor, char* y) {
      const int64_t y_width = size_of(s.output_dtype());
      find_rows(0);
      walk_runs(s.kept, first, n, [&](int64_t offset, int64_t, int64_t done, int64_t columns) {
        f(in.x + offset * in.width, row, s.count, columns, divisor, y + (first + done) * y_width);
      });
    }
  };
};

}  // namespace

void reduce(Ctx&, const void* shape, void* const* buffers, void* workspace) {
  const auto& s = *static_cast<const ReduceShape*>(shape);
  if (s.outputs == 0) return;
  const InMemory x(s, buffers[0]);
  const Reducer reducer(s, x, buffers[1]);
  ReduceRowsTable::Rows rows = rows_function(s);
  if (rows && !x.by_rows()) rows = nullptr;
  const ReduceColumnsTable::Columns columns = x.columns() ? columns_function(s) : nullptr;
  const int best = rows ? kRows : columns ? kColumns : kStates;
  switch (choice.pick(best, 1 << kStates | 1 << best)) {
    case kRows:
      return reducer.run_rows(rows);
    case kColumns:
      return reducer.run_columns(columns);
    default:
      return reducer.run(workspace);
  }
}

}  // namespace cpu
}  // namespace dlx
