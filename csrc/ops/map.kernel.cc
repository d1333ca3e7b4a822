// Block functions of the pointwise list and of the casts, for one instruction set.
#include "core/half_numbers.h"
#include "core/simd.h"
#include "ops/map_table.h"
#include "ops/vector_math.h"

namespace dlx::DLX_ISA {

#include "ops/math_functions.h"

namespace pointwise {

template <class... R>
struct RowList {};

}  // namespace pointwise

#include "ops/number_functions.h"
#include "ops/pointwise.h"

namespace {

template <class T>
constexpr bool is_float = pointwise::is_real<T> && sizeof(T) == 4;
template <class R, class... T>
constexpr bool has_near = (is_float<T> && ...) && requires(T... x) { R::apply_near(x...); };

// Whether R::is_near holds for all; without a branch in the loop.
template <class R, class... X>
bool all_near(int64_t n, const X*... x) {
  int far = 0;
  for (int64_t i = 0; i < n; ++i) far |= !R::is_near(x[i]...);
  return !far;
}

// The same for an argument alone and among others.
template <class R, class... X>
auto apply_any(X... x) {
  if constexpr (has_near<R, X...>) {
    return R::is_near(x...) ? R::apply_near(x...) : R::apply(x...);
  } else {
    return R::apply(x...);
  }
}

// The lines of n elements that are read 4 KB from here.
template <int64_t n, class T>
[[gnu::always_inline]] inline void ask_ahead(const T* x) {
  constexpr int64_t kLine = 64, kAhead = 4096;  // bytes
  for (int64_t k = 0; k < n * static_cast<int64_t>(sizeof(T)); k += kLine)
    __builtin_prefetch(reinterpret_cast<const char*>(x) + kAhead + k);
}

#if defined(__AVX512F__)
// The formulas of rows for a group V of vectors of floats.
template <class V>
[[gnu::always_inline]] inline V on_vectors(pointwise::Exp, V x) {
  return vectors::exp(x);
}
template <class V>
[[gnu::always_inline]] inline V on_vectors(pointwise::Tanh, V x) {
  return vectors::tanh(x);
}
template <class V>
[[gnu::always_inline]] inline V on_vectors(pointwise::GeluTanh, V x) {
  const V u = x * fma(V(0.035677408136300125f) * x, x, 0.79788456080286536f);
  return V(0.5f) * x * (V(1.f) + vectors::tanh(u));
}
template <class V>
[[gnu::always_inline]] inline V on_vectors(pointwise::Sigmoid, V x) {
  return vectors::sigmoid(x);
}
template <class V>
[[gnu::always_inline]] inline V on_vectors(pointwise::Silu, V x) {
  return x / (V(1.f) + vectors::exp(-x));
}
template <class V>
[[gnu::always_inline]] inline V on_vectors(pointwise::Gelu, V x) {
  return vectors::gelu(x);
}

template <class R>
constexpr bool has_vectors = requires(vectors::Group<1> x) { on_vectors(R{}, x); };
// How many vectors keep the processor busy.
template <class R>
constexpr int vectors_at_once = 4;
template <>
constexpr int vectors_at_once<pointwise::Gelu> = 2;

template <class R>
[[gnu::always_inline]] inline void apply_vectors(int64_t n, float* y, const float* x) {
  using Many = vectors::Group<vectors_at_once<R>>;
  using One = vectors::Group<1>;
  int64_t i = 0;
  for (; i + Many::kLanes <= n; i += Many::kLanes) {
    ask_ahead<Many::kLanes>(x + i);  // so much arithmetic hides reads that are under way
    on_vectors(R{}, Many::load(x + i)).store(y + i);
  }
  for (; i < n; i += One::kLanes) {
    const int some = static_cast<int>(n - i < One::kLanes ? n - i : One::kLanes);
    One v;
    v.v[0] = Vec<float>::load(x + i, some).raw;
    Vec<float>{on_vectors(R{}, v).v[0]}.store(y + i, some);
  }
}
#else
template <class R>
constexpr bool has_vectors = false;
#endif

// x^e where all e are one number whose power is short: it is chosen once.
template <class R, class Y, class... X>
bool apply_number(int64_t, Y*, const X*...) {
  return false;
}
template <class R, class T>
  requires pointwise::is_real<T> && __is_same
(R, pointwise::Pow)
    [[gnu::always_inline]] inline bool apply_number(int64_t n, T* y, const T* x, const T* e) {
  if (n == 0 || !pointwise::ShortExponents::contain(e[0])) return false;
  const T number = e[0];
  int other = 0;
  for (int64_t i = 0; i < n; ++i) other |= e[i] != number;
  return !other && pointwise::ShortExponents::choose(number, [&]<int halves> {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) y[i] = pointwise::short_power<halves>(x[i]);
  });
}

// Results alias their inputs exactly or not at all, so the loops carry no dependence.
template <class R, class Y, class... X>
[[gnu::always_inline]] inline void apply_block(int64_t n, Y* y, const X*... x) {
#if defined(__AVX512F__)
  if constexpr (has_vectors<R> && (is_float<X> && ...)) return apply_vectors<R>(n, y, x...);
#endif
  if (apply_number<R>(n, y, x...)) return;
  if constexpr (has_near<R, X...>) {
    if (all_near<R>(n, x...)) {
#pragma GCC ivdep
      for (int64_t i = 0; i < n; ++i) y[i] = R::apply_near(x[i]...);
      return;
    }
  }
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) y[i] = apply_any<R>(x[i]...);
}

template <class R, class Y, class... X>
[[gnu::noinline]] void apply_all(int64_t n, Y* y, const X*... x) {
  apply_block<R>(n, y, x...);
}

// Past the caches, a few lines at a time: computing, the stores that drain and the reads, asked for
// ahead of their use, must all be under way at once.
template <class R, class Y, class... X>
void stream_all(int64_t n, Y* y, const X*... x) {
  constexpr int64_t kLine = 64, kLines = 4;  // bytes
  constexpr int64_t kBlock = kLines * kLine / static_cast<int64_t>(sizeof(Y));
  const auto bytes_before = -reinterpret_cast<uintptr_t>(y) & (kLine - 1);
  int64_t i = static_cast<int64_t>(bytes_before / sizeof(Y));
  i = i < n ? i : n;
  apply_all<R>(i, y, x...);
  for (; i + kBlock <= n; i += kBlock) {
    alignas(kLine) Y block[kBlock];
    if constexpr (!(has_vectors<R> && (is_float<X> && ...)))  // those ask themselves
      (ask_ahead<kBlock>(x + i), ...);
    apply_block<R>(kBlock, block, x + i...);
    stream_bytes(block, y + i, sizeof block);
  }
  apply_all<R>(n - i, y + i, x + i...);
}

template <bool streams, class R, class Y, class... X>
[[gnu::always_inline]] inline void run(int64_t n, Y* y, const X*... x) {
  if constexpr (streams) {
    stream_all<R>(n, y, x...);
  } else {
    apply_all<R>(n, y, x...);
  }
}

template <class R, class T, bool streams>
void block1(const void* const* in, void* out, int64_t n) {
  run<streams, R>(n, static_cast<decltype(R::apply(T{}))*>(out), static_cast<const T*>(in[0]));
}

template <class R, class T, bool streams>
void block2(const void* const* in, void* out, int64_t n) {
  run<streams, R>(n, static_cast<decltype(R::apply(T{}, T{}))*>(out), static_cast<const T*>(in[0]),
                  static_cast<const T*>(in[1]));
}

template <bool, class A, class B>
struct Choose {
  using type = A;
};
template <class A, class B>
struct Choose<false, A, B> {
  using type = B;
};

template <class R, class T, bool streams>
void block3(const void* const* in, void* out, int64_t n) {
  using First = typename Choose<R::kind == RowKind::select, uint8_t, T>::type;
  run<streams, R>(n, static_cast<T*>(out), static_cast<const First*>(in[0]),
                  static_cast<const T*>(in[1]), static_cast<const T*>(in[2]));
}

template <class R>
constexpr int arity() {
  if constexpr (R::kind == RowKind::logical) {
    return requires { R::apply(true); } ? 1 : 2;
  } else if constexpr (requires { R::apply(1.f); }) {
    return 1;
  } else if constexpr (requires { R::apply(1.f, 1.f); }) {
    return 2;
  } else {
    return 3;
  }
}

template <class R, class T, bool streams>
constexpr BlockFunction block() {
  if constexpr (arity<R>() == 1)
    return block1<R, T, streams>;
  else if constexpr (arity<R>() == 2)
    return block2<R, T, streams>;
  else
    return block3<R, T, streams>;
}

template <class R>
constexpr MapRow make_row() {
  MapRow row{{}, R::kind, arity<R>(), R::flops, {}, {}};
  static_assert(sizeof R::name.text <= sizeof row.name);
  for (unsigned i = 0; i < sizeof R::name.text; ++i) row.name[i] = R::name.text[i];
  auto set = [&]<class T>(T) {
    constexpr int t = static_cast<int>(DTypeOf<T>::value);
    constexpr bool to_bool = R::kind == RowKind::comparison || R::kind == RowKind::predicate;
    row.block[t] = block<R, T, false>();
    if constexpr (pointwise::is_real<T> && !to_bool) row.stream[t] = block<R, T, true>();
  };
  if constexpr (R::kind == RowKind::logical) {
    set(bool{});
  } else {
    set(float{}), set(double{});
    if constexpr (R::kind != RowKind::floating && R::kind != RowKind::predicate) {
      set(int32_t{}), set(int64_t{}), set(uint8_t{});
      if constexpr (R::kind != RowKind::numeric) set(bool{});
    }
  }
  return row;
}

template <int N>
struct Table {
  MapRow row[N];
};
template <class... R>
constexpr Table<sizeof...(R)> make_rows(pointwise::RowList<R...>) {
  return {{make_row<R>()...}};
}
constexpr auto rows = make_rows(pointwise::Rows{});
constexpr int row_count = sizeof rows.row / sizeof rows.row[0];

template <class From, class To>
To converted(From x) {
  if constexpr (requires { widened(x); }) {
    return converted<float, To>(widened(x));
  } else if constexpr (requires(To y) { narrow(0.f, y); }) {
    To y;
    narrow(static_cast<float>(x), y);
    return y;
  } else {
    return static_cast<To>(x);
  }
}

template <class From, class To>
void convert(const void* in, void* out, int64_t n) {
  const From* x = static_cast<const From*>(in);
  To* y = static_cast<To*>(out);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) y[i] = converted<From, To>(x[i]);
}

template <class From>
constexpr void set_conversions(MapTable& table) {
  auto set = [&]<class To>(To) {
    table.convert[static_cast<int>(DTypeOf<From>::value)][static_cast<int>(DTypeOf<To>::value)] =
        convert<From, To>;
  };
  set(float{}), set(double{}), set(bfloat16_t{}), set(float16_t{});
  set(int32_t{}), set(int64_t{}), set(uint8_t{}), set(bool{});
}

constexpr MapTable make_table() {
  MapTable table{row_count, rows.row, {}, stream_bytes, end_stream};
  set_conversions<float>(table), set_conversions<double>(table);
  set_conversions<bfloat16_t>(table), set_conversions<float16_t>(table);
  set_conversions<int32_t>(table), set_conversions<int64_t>(table);
  set_conversions<uint8_t>(table), set_conversions<bool>(table);
  return table;
}

}  // namespace

extern const MapTable map_table;
const MapTable map_table = make_table();

}  // namespace dlx::DLX_ISA
