// How a reduction is cut and put together: chunks of elements to states, states joined in order,
// results written, wherever the elements come from. Host code only.
//
// Elements, where they come from, has
//   int64_t columns()   outputs that lie together and are read a tile at a time; 0: by rows
//   Reader(elements)    what a thread reads by:
//     chunk(kernel, chunk, first, n, centre, state)
//                       the states of outputs [first, first + n), n <= kReduceTile, over a chunk
//     chunks(kernel, chunk, n, output, centre, state)
//                       the states of an output over chunks [chunk, chunk + n); not by columns
//     rows(f, first, n, divisor, y)
//                       outputs [first, first + n) of whole rows, into y + first
//     columns(f, first, n, divisor, y)
//                       the same of columns
#pragma once
#include <algorithm>

#include "core/cpu_features.h"
#include "core/parallel.h"
#include "ops/map_operands.h"
#include "ops/reduce.h"

namespace dlx {

DLX_EACH_ISA(extern const ReduceTable reduce_table;)
DLX_EACH_ISA(extern const ReduceRowsTable reduce_rows_table;)
DLX_EACH_ISA(extern const ReduceColumnsTable reduce_columns_table;)
DLX_EACH_ISA(extern const ReduceArgTable reduce_arg_table;)

// Calls run(offset, stride, done, count) as for_each_run does.
template <class Run>
void walk_runs(const ReduceDims& d, int64_t begin, int64_t count, const Run& run) {
  for_each_run(d.ndim, d.extent, d.stride, begin, count, run);
}

namespace cpu {

// Halves, as floats.
inline void widen(DType half, const void* x, void* y, int64_t n) {
  map_table().convert[static_cast<int>(half)][static_cast<int>(DType::float32)](x, y, n);
}

constexpr int64_t kReduceGrain = 32768;  // elements: 10-50 us

// Elements of an output in a chunk.
inline int64_t chunk_length(const ReduceShape& s, int64_t chunk) {
  return std::min(kReduceChunk, s.count - chunk * kReduceChunk);
}

// What takes whole rows of one chunk to their results, where a dtype and a reduction have it.
inline ReduceRowsTable::Rows rows_function(const ReduceShape& s) {
  const bool floats = s.dtype == DType::float32 || s.dtype == DType::float64;
  if (s.chunks() != 1 || !floats) return nullptr;
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
    case Reduction::argmax:
    case Reduction::argmin:
      return DLX_SELECT_ISA(reduce_arg_table).rows[s.kind == Reduction::argmin][t];
    default:
      return nullptr;
  }
}

// The same for columns.
inline ReduceColumnsTable::Columns columns_function(const ReduceShape& s) {
  const bool floats = s.dtype == DType::float32 || s.dtype == DType::float64;
  if (s.chunks() != 1 || !floats) return nullptr;
  const int t = s.dtype == DType::float64;
  switch (s.kind) {
    case Reduction::sum:
    case Reduction::mean:
      return DLX_SELECT_ISA(reduce_columns_table).sum[t];
    case Reduction::argmax:
    case Reduction::argmin:
      return DLX_SELECT_ISA(reduce_arg_table).columns[s.kind == Reduction::argmin][t];
    default:
      return nullptr;
  }
}

template <class Elements>
class Reducer {
 public:
  Reducer(const ReduceShape& shape, const Elements& elements, void* y)
      : s_(shape),
        elements_(elements),
        y_(static_cast<char*>(y)),
        table_(DLX_SELECT_ISA(reduce_table)) {}

  // Dense rows at once to their results, which are the bits of run().
  void run_rows(ReduceRowsTable::Rows f) const {
    parallel_for(s_.outputs, grain(), [&](int64_t begin, int64_t end) {
      Reader(elements_).rows(f, begin, end - begin, divisor(), y_);
    });
  }

  // The same of dense columns.
  void run_columns(ReduceColumnsTable::Columns f) const {
    parallel_for(s_.outputs, grain(), [&](int64_t begin, int64_t end) {
      Reader(elements_).columns(f, begin, end - begin, divisor(), y_);
    });
  }

  // By the states of chunks.
  void run(void* workspace) const {
    if (s_.chunks() == 1) {
      one_chunk();
    } else {
      many_chunks(static_cast<ReduceState*>(workspace));
    }
  }

 private:
  using Reader = typename Elements::Reader;

  static ReduceStep first_step(Reduction kind) {
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

  double divisor() const { return s_.kind == Reduction::mean ? static_cast<double>(s_.count) : 1; }

  // Outputs in one piece of work.
  int64_t grain() const {
    const int64_t length = std::max<int64_t>(1, chunk_length(s_, 0));
    const int64_t outputs = effective_grain(kReduceGrain) / length;
    const int64_t together = elements_.columns();
    if (together == 0) return std::max<int64_t>(1, outputs);
    const int64_t columns = std::max(outputs, effective_grain(kReduceTile));
    const bool whole = s_.chunks() == 1 && together <= columns;
    return whole ? columns / together * together : columns;
  }

  // Chunks in one piece of work: more of a long array, for a thread that goes on finds the memory
  // asked for already.
  int64_t long_grain(int64_t chunks) const {
    constexpr int64_t kPieces = 64, kMost = 64;
    return std::max(grain(), effective_grain(std::min(kMost, chunks / kPieces)));
  }

  const ReduceKernel& kernel_of(ReduceStep step) const {
    return table_.kernel[static_cast<int>(step)][static_cast<int>(compute_dtype(s_.dtype))];
  }
  bool finds_place() const { return s_.kind == Reduction::argmax || s_.kind == Reduction::argmin; }

  void reduce_chunk(Reader& reader, ReduceStep step, int64_t chunk, int64_t first, int64_t n,
                    const double* centre, ReduceState* state) const {
    reader.chunk(kernel_of(step), chunk, first, n, centre, state);
    if (finds_place())
      for (int64_t i = 0; i < n; ++i) state[i].index += chunk * kReduceChunk;
  }

  static void convert(DType from, DType to, const void* in, void* out, int64_t n) {
    map_table().convert[static_cast<int>(from)][static_cast<int>(to)](in, out, n);
  }

  static void join_sums(ReduceState& a, const ReduceState& b) {
    const double total = a.real + b.real, part = total - a.real;  // TwoSum
    a.error += b.error + ((a.real - (total - part)) + (b.real - part));
    a.real = total;
  }

  // a, which stands for earlier elements, takes in b.
  void join(ReduceState& a, const ReduceState& b) const {
    const bool real = is_floating(s_.dtype);
    if (!is_extreme(s_.kind)) {
      if (!real) {
        a.integer = static_cast<int64_t>(static_cast<uint64_t>(a.integer) +
                                         static_cast<uint64_t>(b.integer));
        return;
      }
      join_sums(a, b);
      return;
    }
    const bool largest = s_.kind == Reduction::max || s_.kind == Reduction::argmax;
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
    for (int64_t i = 0; i < n; ++i) mean[i] = rounded(state[i]) / static_cast<double>(s_.count);
  }

  // Writes outputs [first, first + n) from the states over all their elements.
  void finish(const ReduceState* state, int64_t first, int64_t n) const {
    const DType dtype = s_.output_dtype();
    char* out = y_ + first * size_of(dtype);
    double real[kReduceTile];
    int64_t integer[kReduceTile];
    if (finds_place()) {
      for (int64_t i = 0; i < n; ++i) integer[i] = state[i].index;
    } else if (!is_floating(s_.dtype)) {
      for (int64_t i = 0; i < n; ++i) integer[i] = state[i].integer;
    } else if (is_extreme(s_.kind)) {
      for (int64_t i = 0; i < n; ++i) real[i] = state[i].real;
    } else {
      const double k = static_cast<double>(s_.count);
      const double divisor = s_.kind == Reduction::sum    ? 1
                             : s_.kind == Reduction::mean ? k
                                                          : std::max(k - s_.correction, 0.0);
      for (int64_t i = 0; i < n; ++i) real[i] = rounded(state[i]) / divisor;
    }
    if (is_floating(dtype)) {
      convert(DType::float64, dtype, real, out, n);
    } else {
      convert(DType::int64, dtype, integer, out, n);
    }
  }

  void one_chunk() const {
    parallel_for(s_.outputs, grain(), [&](int64_t begin, int64_t end) {
      Reader reader(elements_);
      for (int64_t first = begin; first < end; first += kReduceTile) {
        const int64_t n = std::min(kReduceTile, end - first);
        ReduceState state[kReduceTile];
        reduce_chunk(reader, first_step(s_.kind), 0, first, n, nullptr, state);
        if (s_.kind == Reduction::var) {
          double mean[kReduceTile];
          means(state, n, mean);
          reduce_chunk(reader, ReduceStep::squares, 0, first, n, mean, state);
        }
        finish(state, first, n);
      }
    });
  }

  // The states of every chunk of every output: (chunks, M).
  void all_chunks(ReduceStep step, const double* centre, ReduceState* state) const {
    const int64_t chunks = s_.chunks(), items = chunks * s_.outputs;
    if (elements_.columns()) {
      parallel_for(items, grain(), [&](int64_t begin, int64_t end) {
        Reader reader(elements_);
        while (begin < end) {
          const int64_t chunk = begin / s_.outputs, first = begin % s_.outputs;
          const int64_t n = std::min({kReduceTile, end - begin, s_.outputs - first});
          reduce_chunk(reader, step, chunk, first, n, centre ? centre + first : nullptr,
                       state + begin);
          begin += n;
        }
      });
      return;
    }
    parallel_for(items, long_grain(items), [&](int64_t begin, int64_t end) {
      Reader reader(elements_);
      while (begin < end) {  // as rows lie: one output after the other
        const int64_t output = begin / chunks, chunk = begin % chunks;
        const int64_t n = std::min({kReduceTile, end - begin, chunks - chunk});
        ReduceState part[kReduceTile];
        reader.chunks(kernel_of(step), chunk, n, output, centre ? centre + output : nullptr, part);
        for (int64_t i = 0; i < n; ++i) {
          if (finds_place()) part[i].index += (chunk + i) * kReduceChunk;
          state[(chunk + i) * s_.outputs + output] = part[i];
        }
        begin += n;
      }
    });
  }

  // body(states over all elements, first, n): the chunks joined in order.
  template <class Body>
  void join_chunks(const ReduceState* state, const Body& body) const {
    const int64_t chunks = s_.chunks();
    const int64_t grain = effective_grain(kReduceGrain) / std::max<int64_t>(1, chunks);
    parallel_for(s_.outputs, std::max<int64_t>(1, grain), [&](int64_t begin, int64_t end) {
      for (int64_t first = begin; first < end; first += kReduceTile) {
        const int64_t n = std::min(kReduceTile, end - first);
        ReduceState total[kReduceTile] = {};
        if (chunks) std::copy_n(state + first, n, total);
        const bool sums = !is_extreme(s_.kind) && is_floating(s_.dtype);
        if (sums && n == 1) {
          ReduceState one = total[0];  // in registers: each addition waits for the one before
          for (int64_t c = 1; c < chunks; ++c) join_sums(one, state[c * s_.outputs + first]);
          total[0] = one;
          body(total, first, n);
          continue;
        }
        for (int64_t c = 1; c < chunks; ++c) {
          const ReduceState* next = state + c * s_.outputs + first;
          for (int64_t i = 0; sums && i < n; ++i) join_sums(total[i], next[i]);
          for (int64_t i = 0; !sums && i < n; ++i) join(total[i], next[i]);
        }
        body(total, first, n);
      }
    });
  }

  void many_chunks(ReduceState* state) const {
    if (s_.chunks()) all_chunks(first_step(s_.kind), nullptr, state);
    if (s_.kind == Reduction::var && s_.chunks()) {
      auto* mean = reinterpret_cast<double*>(state + s_.chunks() * s_.outputs);
      join_chunks(state, [&](const ReduceState* total, int64_t first, int64_t n) {
        means(total, n, mean + first);
      });
      all_chunks(ReduceStep::squares, mean, state);
    }
    join_chunks(state, [&](const ReduceState* total, int64_t first, int64_t n) {
      finish(total, first, n);
    });
  }

  const ReduceShape& s_;
  const Elements& elements_;
  char* y_;
  const ReduceTable& table_;
};

}  // namespace cpu
}  // namespace dlx
