// Reductions of a chunk, along dense rows and across dense columns, for one instruction set.
#include "ops/column_sums.h"
#include "ops/lanes.h"
#include "ops/reduce_table.h"

namespace dlx::DLX_ISA {

extern const ReduceArgTable reduce_arg_table;

namespace {

template <class T>
ReduceState state_of(T value, int64_t index = 0) {
  ReduceState s;
  if constexpr (kIsReal<T>) {
    s.real = static_cast<double>(value);
  } else {
    s.integer = static_cast<int64_t>(value);
  }
  s.index = index;
  return s;
}

// ----------------------------------------------------------------------------------------------
// rows

// Rows mostly follow one another, and a chunk is too short for the hardware to look far ahead.
constexpr int64_t kAhead = 4096;

template <class T>
constexpr int64_t kAheadOf = kAhead / static_cast<int64_t>(sizeof(T));

struct Square {
  double centre;
  template <class V>
  V operator()(V x) const {
    const V d = x - centre;
    return d * d;
  }
};

template <class T, bool kSquares>
ReduceState sum_row(const T* x, int64_t n, double centre) {
  if constexpr (kIsReal<T>) {
    Sum s;
    if constexpr (kSquares) {
      s = sum_of<double, kAhead>(n, Square{centre}, x);
    } else {
      s = sum_of<T, kAhead>(n, Same{}, x);
    }
    ReduceState state;
    state.real = s.value;
    state.error = s.error;
    return state;
  } else {
    uint64_t sum = 0;  // wraps around, as NumPy's
    for (int64_t i = 0; i < n; ++i) sum += static_cast<uint64_t>(static_cast<int64_t>(x[i]));
    return state_of(static_cast<int64_t>(sum));
  }
}

// The same sum of a row in pieces: of the blocks that no piece holds whole a copy is added.
template <ReduceStep kStep, class T>
void sum_pieces(const ReducePieces& x, const double* centre, ReduceState* state) {
  constexpr bool kSquares = kStep == ReduceStep::squares;
  using W = typename TermOf<kSquares, T>::type;
  const auto term = [&](auto v) {
    if constexpr (kSquares) {
      return Square{*centre}(v);
    } else {
      return v;
    }
  };
  SumLanes<W> lanes;
  alignas(64) T part[kSumBlock];
  int64_t held = 0;
  for (int k = 0; k < x.count; ++k) {
    const T* from = static_cast<const T*>(x.start[k]);
    const T* end = from + x.length[k];
    const T* next = static_cast<const T*>(k + 1 < x.count ? x.start[k + 1] : x.next);
    while (from < end) {
      if (held == 0 && end - from >= kSumBlock) {
        const int64_t beyond = kAheadOf<T> - (end - from);
        ask_for_block(beyond < 0 ? from + kAheadOf<T> : next + beyond, 0);
        lanes.add_block([&](int at) { return term(load_as<W>(from + at)); });
        from += kSumBlock;
        continue;
      }
      const int64_t some = end - from < kSumBlock - held ? end - from : kSumBlock - held;
      memcpy(part + held, from, static_cast<size_t>(some) * sizeof(T));
      from += some, held += some;
      if (held < kSumBlock) continue;
      lanes.add_block([&](int at) { return term(load_as<W>(part + at)); });
      held = 0;
    }
  }
  if (held > 0) {
    alignas(64) W rest[kSumBlock];
    fill_rest(
        held, rest, [&](int64_t i) { return term(static_cast<W>(part[i])); },
        [&](int at) { return term(load_as<W>(part + at)); });
    lanes.add_block([&](int at) { return load_as<W>(rest + at); });
  }
  const Sum sum = lanes.join();
  state->real = sum.value;
  state->error = sum.error;
}

// The first place of the extreme, of integers.
template <bool kMax, class T>
ReduceState arg_row(const T* x, int64_t n) {
  constexpr int64_t kBlock = 256;
  T best = x[0];
  int64_t index = 0;
  for (int64_t at = 0; at < n; at += kBlock) {
    const int64_t end = at + kBlock < n ? at + kBlock : n;
    const T found = extreme_of<kMax>(x + at, end - at);
    if (!(kMax ? found > best : found < best)) continue;
    best = found;
    index = at;
    while (x[index] != found) ++index;
  }
  return state_of(best, index);
}

// ----------------------------------------------------------------------------------------------
// columns

template <class T>
void integer_sum_columns(const T* x, const int64_t* offset, int64_t n, int64_t columns,
                         ReduceState* state) {
  alignas(64) uint64_t sum[kReduceTile] = {};
  for (int64_t i = 0; i < n; ++i) {
    const T* row = x + offset[i];
    for (int64_t j = 0; j < columns; ++j)
      sum[j] += static_cast<uint64_t>(static_cast<int64_t>(row[j]));
  }
  for (int64_t j = 0; j < columns; ++j) state[j] = state_of(static_cast<int64_t>(sum[j]));
}

template <bool kMax, class T>
void extreme_columns(const T* x, const int64_t* offset, int64_t n, int64_t columns,
                     ReduceState* state) {
  constexpr int kLanes =
      kIsReal<T> ? kExtremeLanes : 1;  // floats: the order decides between 0 and -0
  alignas(64) T best[kLanes][kReduceTile];
  const int lanes = n < kLanes ? static_cast<int>(n) : kLanes;
  for (int l = 0; l < lanes; ++l)
    memcpy(best[l], x + offset[l], static_cast<size_t>(columns) * sizeof(T));
  for (int64_t i = lanes; i < n; ++i) {
    const T* row = x + offset[i];
    T* b = best[i % kLanes];
    for (int64_t j = 0; j < columns; ++j) b[j] = extreme<kMax>(b[j], row[j]);
  }
  for (int half = kLanes / 2; half; half /= 2)
    for (int l = 0; l < half && l + half < lanes; ++l)
      for (int64_t j = 0; j < columns; ++j)
        best[l][j] = extreme<kMax>(best[l][j], best[l + half][j]);
  for (int64_t j = 0; j < columns; ++j) state[j] = state_of(best[0][j]);
}

template <bool kMax, class T>
void arg_columns(const T* x, const int64_t* offset, int64_t n, int64_t columns,
                 ReduceState* state) {
  if constexpr (kIsReal<T>) {
    int64_t place[kReduceTile];
    reduce_arg_table.columns[!kMax][kIsDouble<T>](x, offset, n, columns, 1, place);
    for (int64_t j = 0; j < columns; ++j) state[j] = state_of(x[offset[place[j]] + j], place[j]);
  } else {
    alignas(64) T best[kReduceTile];
    alignas(64) int32_t index[kReduceTile] = {};
    memcpy(best, x + offset[0], static_cast<size_t>(columns) * sizeof(T));
    for (int64_t i = 1; i < n; ++i) {
      const T* row = x + offset[i];
      for (int64_t j = 0; j < columns; ++j) {
        const T v = row[j], b = best[j];
        const bool wins = kMax ? v > b : v < b;
        best[j] = wins ? v : b;
        index[j] = wins ? static_cast<int32_t>(i) : index[j];
      }
    }
    for (int64_t j = 0; j < columns; ++j) state[j] = state_of(best[j], index[j]);
  }
}

template <ReduceStep kStep, class T>
void columns(const void* x0, const int64_t* offset, int64_t n, int64_t count, const double* centre,
             ReduceState* state) {
  constexpr bool kMax = kStep == ReduceStep::max || kStep == ReduceStep::argmax;
  const T* x = static_cast<const T*>(x0);
  if constexpr (kStep == ReduceStep::sum && !kIsReal<T>) {
    integer_sum_columns(x, offset, n, count, state);
  } else if constexpr (kStep == ReduceStep::sum || kStep == ReduceStep::squares) {
    column_states<T, kStep == ReduceStep::squares>(x, offset, n, count, centre, state);
  } else if constexpr (kStep == ReduceStep::max || kStep == ReduceStep::min) {
    extreme_columns<kMax>(x, offset, n, count, state);
  } else {
    arg_columns<kMax>(x, offset, n, count, state);
  }
}

template <bool kMax, class T>
void arg_rows(const void* x, int64_t x_step, int64_t count, int64_t n, const double*,
              ReduceState* state) {
  const T* row = static_cast<const T*>(x);
  int64_t place[kReduceTile];
  reduce_arg_table.rows[!kMax][kIsDouble<T>](x, x_step, count, n, 1, place);
  for (int64_t r = 0; r < count; ++r, row += x_step) state[r] = state_of(row[place[r]], place[r]);
}

// Rows too short to fill vectors become columns.
constexpr int64_t kShortRow = 32;

template <ReduceStep kStep, class T>
void short_rows(const T* x, int64_t x_step, int64_t count, int64_t n, const double* centre,
                ReduceState* state) {
  alignas(64) T block[kShortRow][kReduceTile];
  int64_t offset[kShortRow];
  for (int64_t i = 0; i < n; ++i) {
    offset[i] = i * kReduceTile;
    for (int64_t r = 0; r < count; ++r) block[i][r] = x[r * x_step + i];
  }
  columns<kStep, T>(block, offset, n, count, centre, state);
}

template <ReduceStep kStep, class T>
void rows(const void* x, int64_t x_step, int64_t count, int64_t n, const double* centre,
          ReduceState* state) {
  constexpr bool kMax = kStep == ReduceStep::max || kStep == ReduceStep::argmax;
  const T* row = static_cast<const T*>(x);
  if (n <= kShortRow) return short_rows<kStep>(row, x_step, count, n, centre, state);
  for (int64_t r = 0; r < count; ++r, row += x_step) {
    if constexpr (kStep == ReduceStep::sum) {
      state[r] = sum_row<T, false>(row, n, 0);
    } else if constexpr (kStep == ReduceStep::squares) {
      state[r] = sum_row<T, true>(row, n, centre[r]);
    } else if constexpr (kStep == ReduceStep::max || kStep == ReduceStep::min) {
      state[r] = state_of(extreme_of<kMax>(row, n));
    } else {
      state[r] = arg_row<kMax>(row, n);
    }
  }
}

// ----------------------------------------------------------------------------------------------
// table

template <ReduceStep kStep>
constexpr void fill(ReduceTable& table) {
  auto set = [&]<class T>(DType dtype, T) {
    constexpr bool is_sum = kStep == ReduceStep::sum || kStep == ReduceStep::squares;
    constexpr bool is_arg = kStep == ReduceStep::argmax || kStep == ReduceStep::argmin;
    ReduceKernel& kernel = table.kernel[static_cast<int>(kStep)][static_cast<int>(dtype)];
    if constexpr (is_arg && kIsReal<T>) {
      kernel = {arg_rows<kStep == ReduceStep::argmax, T>, columns<kStep, T>, nullptr};
    } else {
      kernel = {rows<kStep, T>, columns<kStep, T>, nullptr};
    }
    if constexpr (is_sum && kIsReal<T>) kernel.pieces = sum_pieces<kStep, T>;
  };
  set(DType::float32, float{});
  set(DType::float64, double{});
  if constexpr (kStep != ReduceStep::squares) {
    set(DType::int32, int32_t{});
    set(DType::int64, int64_t{});
    set(DType::uint8, uint8_t{});
    set(DType::boolean, uint8_t{});  // bools are bytes 0 and 1
  }
}

constexpr ReduceTable make_table() {
  ReduceTable table{};
  fill<ReduceStep::sum>(table);
  fill<ReduceStep::squares>(table);
  fill<ReduceStep::max>(table);
  fill<ReduceStep::min>(table);
  fill<ReduceStep::argmax>(table);
  fill<ReduceStep::argmin>(table);
  return table;
}

}  // namespace

extern const ReduceTable reduce_table;
const ReduceTable reduce_table = make_table();

extern const ReduceColumnsTable reduce_columns_table;
const ReduceColumnsTable reduce_columns_table = {{column_results<float>, column_results<double>}};

}  // namespace dlx::DLX_ISA
