// Block functions of the pointwise list and of the casts, for one instruction set.
#include "core/simd.h"
#include "gemm/half_numbers.h"
#include "ops/map_table.h"

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
template <class R, class... T>
bool all_near(int64_t n, const T*... x) {
  int far = 0;
  for (int64_t i = 0; i < n; ++i) far |= !R::is_near(x[i]...);
  return !far;
}

// The same for an argument alone and among others.
template <class R, class... T>
auto apply_any(T... x) {
  if constexpr (has_near<R, T...>) {
    return R::is_near(x...) ? R::apply_near(x...) : R::apply(x...);
  } else {
    return R::apply(x...);
  }
}

// Results alias their inputs exactly or not at all, so the loops carry no dependence.
template <class R, class T>
void block1(const void* const* in, void* out, int64_t n) {
  const T* x = static_cast<const T*>(in[0]);
  auto* y = static_cast<decltype(R::apply(T{}))*>(out);
  if constexpr (has_near<R, T>) {
    if (all_near<R>(n, x)) {
#pragma GCC ivdep
      for (int64_t i = 0; i < n; ++i) y[i] = R::apply_near(x[i]);
      return;
    }
  }
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) y[i] = apply_any<R>(x[i]);
}

template <class R, class T>
void block2(const void* const* in, void* out, int64_t n) {
  const T* x1 = static_cast<const T*>(in[0]);
  const T* x2 = static_cast<const T*>(in[1]);
  auto* y = static_cast<decltype(R::apply(T{}, T{}))*>(out);
  if constexpr (has_near<R, T, T>) {
    if (all_near<R>(n, x1, x2)) {
#pragma GCC ivdep
      for (int64_t i = 0; i < n; ++i) y[i] = R::apply_near(x1[i], x2[i]);
      return;
    }
  }
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) y[i] = apply_any<R>(x1[i], x2[i]);
}

template <bool, class A, class B>
struct Choose {
  using type = A;
};
template <class A, class B>
struct Choose<false, A, B> {
  using type = B;
};

template <class R, class T>
void block3(const void* const* in, void* out, int64_t n) {
  using First = typename Choose<R::kind == RowKind::select, uint8_t, T>::type;
  const First* x1 = static_cast<const First*>(in[0]);
  const T* x2 = static_cast<const T*>(in[1]);
  const T* x3 = static_cast<const T*>(in[2]);
  T* y = static_cast<T*>(out);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) y[i] = R::apply(x1[i], x2[i], x3[i]);
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

template <class R, class T>
constexpr BlockFunction block() {
  if constexpr (arity<R>() == 1)
    return block1<R, T>;
  else if constexpr (arity<R>() == 2)
    return block2<R, T>;
  else
    return block3<R, T>;
}

template <class R>
constexpr MapRow make_row() {
  MapRow row{{}, R::kind, arity<R>(), R::flops, {}};
  static_assert(sizeof R::name.text <= sizeof row.name);
  for (unsigned i = 0; i < sizeof R::name.text; ++i) row.name[i] = R::name.text[i];
  auto set = [&](DType t, BlockFunction f) { row.block[static_cast<int>(t)] = f; };
  if constexpr (R::kind == RowKind::logical) {
    set(DType::boolean, block<R, bool>());
  } else {
    set(DType::float32, block<R, float>());
    set(DType::float64, block<R, double>());
    if constexpr (R::kind != RowKind::floating && R::kind != RowKind::predicate) {
      set(DType::int32, block<R, int32_t>());
      set(DType::int64, block<R, int64_t>());
      set(DType::uint8, block<R, uint8_t>());
      if constexpr (R::kind != RowKind::numeric) set(DType::boolean, block<R, bool>());
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

// bfloat16 keeps float32's upper half, rounded to nearest even; NaN stays NaN.
inline float widen(bfloat16_t x) {
  return math::from_bits(static_cast<int32_t>(uint32_t{x.bits} << 16));
}
inline float widen(float16_t x) { return static_cast<float>(__builtin_bit_cast(Half, x.bits)); }
template <class T>
T widen(T x) {
  return x;
}

template <class To>
struct Narrow {
  template <class From>
  static To apply(From x) {
    return static_cast<To>(x);
  }
};
template <>
struct Narrow<bfloat16_t> {
  template <class From>
  static bfloat16_t apply(From x) {
    uint32_t bits = static_cast<uint32_t>(math::to_bits(static_cast<float>(x)));
    uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    bool nan = (bits & 0x7fffffff) > 0x7f800000;
    return {static_cast<uint16_t>(nan ? (bits >> 16) | 0x40 : rounded)};
  }
};
template <>
struct Narrow<float16_t> {
  template <class From>
  static float16_t apply(From x) {
    return {__builtin_bit_cast(uint16_t, static_cast<Half>(static_cast<float>(x)))};
  }
};

template <class From, class To>
void convert(const void* in, void* out, int64_t n) {
  const From* x = static_cast<const From*>(in);
  To* y = static_cast<To*>(out);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) y[i] = Narrow<To>::apply(widen(x[i]));
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
