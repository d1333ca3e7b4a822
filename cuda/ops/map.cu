// Every row of pointwise.h, and the casts. Arrays that are dense and aligned are read 16 bytes a
// thread; anything else element by element.
#include <cstdint>
#include <type_traits>

#include "cuda/core/context.h"
#include "cuda/core/grid.h"
#include "cuda/core/numbers.h"
#include "cuda/core/pack.h"
#include "ops/map.h"

namespace dlx::cuda {

#include "ops/math_functions.h"

namespace pointwise {
template <class... R>
struct RowList {
  static constexpr int count = sizeof...(R);
};
}  // namespace pointwise

#include "ops/number_functions.h"
#include "ops/pointwise.h"

namespace {

template <class R, class T>
constexpr int arity() {
  if constexpr (requires { R::apply(T{}); }) {
    return 1;
  } else if constexpr (requires { R::apply(T{}, T{}); }) {
    return 2;
  } else {
    return 3;
  }
}

template <class T>
constexpr bool is_float = false;
template <>
constexpr bool is_float<float> = true;

// The formula, or the one for arguments in its range, as on the CPU.
template <class R, class... T>
__device__ auto apply_row(T... x) {
  if constexpr ((is_float<T> && ...) && requires { R::apply_near(x...); }) {
    return R::is_near(x...) ? R::apply_near(x...) : R::apply(x...);
  } else {
    return R::apply(x...);
  }
}

template <bool condition, class A, class B>
struct Choose {
  using type = A;
};
template <class A, class B>
struct Choose<false, A, B> {
  using type = B;
};

// Row R on elements stored as S: the first operand of a selection is a mask, results of comparisons
// are bool.
template <class R, class S>
struct Element {
  using Compute = typename ComputeOf<S>::type;
  static constexpr bool selects = R::kind == RowKind::select;
  using First = typename Choose<selects, uint8_t, S>::type;
  static constexpr bool decides = R::kind == RowKind::comparison || R::kind == RowKind::predicate;
  using Result = typename Choose<decides, bool, S>::type;
  static constexpr int inputs = arity<R, Compute>();

  __device__ static Result of(First x1, S x2, S x3) {
    if constexpr (inputs == 1) {
      return Narrow<Result>::of(apply_row<R>(widen(x1)));
    } else if constexpr (inputs == 2) {
      return Narrow<Result>::of(apply_row<R>(widen(x1), widen(x2)));
    } else {
      return Narrow<Result>::of(apply_row<R>(widen(x1), widen(x2), widen(x3)));
    }
  }
};

template <class R, class S>
__global__ void map_dense(int64_t n, const void* in1, const void* in2, const void* in3, void* out) {
  using E = Element<R, S>;
  constexpr int kCount = kAccessBytes / sizeof(S);
  using P = Pack<S, kCount>;
  const auto* x1 = static_cast<const typename E::First*>(in1);
  const S *x2 = static_cast<const S*>(in2), *x3 = static_cast<const S*>(in3);
  auto* y = static_cast<typename E::Result*>(out);
  for_each_item(n / kCount, [&](int64_t i) {
    const auto a = reinterpret_cast<const Pack<typename E::First, kCount>*>(x1)[i];
    P b{}, c{};
    if constexpr (E::inputs > 1) b = reinterpret_cast<const P*>(x2)[i];
    if constexpr (E::inputs > 2) c = reinterpret_cast<const P*>(x3)[i];
    Pack<typename E::Result, kCount> result;
#pragma unroll
    for (int k = 0; k < kCount; ++k) result.value[k] = E::of(a.value[k], b.value[k], c.value[k]);
    reinterpret_cast<Pack<typename E::Result, kCount>*>(y)[i] = result;
  });
  for_each_item(n % kCount, [&](int64_t i) {
    const int64_t at = n - n % kCount + i;
    y[at] = E::of(x1[at], E::inputs > 1 ? x2[at] : S{}, E::inputs > 2 ? x3[at] : S{});
  });
}

struct Operands {
  const void* x[kMaxMapInputs];
};

// Operand k at an element's place: strided, or a number, which has the compute type already.
template <int k, class T>
__device__ T load(const MapShape& s, const Operands& in, int64_t offset) {
  if (s.scalars >> k & 1) {
    const auto number = __builtin_bit_cast(uint64_t, s.scalar[k]);
    if constexpr (sizeof(T) == 2) {
      return Narrow<T>::of(__builtin_bit_cast(float, static_cast<uint32_t>(number)));
    } else if constexpr (sizeof(T) == 8) {
      return __builtin_bit_cast(T, number);
    } else if constexpr (sizeof(T) == 4) {
      return __builtin_bit_cast(T, static_cast<uint32_t>(number));
    } else {
      return static_cast<T>(number & 0xff);
    }
  }
  return static_cast<const T*>(in.x[k])[offset];
}

template <class R, class S>
__global__ void map_strided(MapShape s, Operands in, void* out, int64_t n) {
  using E = Element<R, S>;
  for_each_item(n, [&](int64_t i) {
    int64_t offset[kMaxMapInputs] = {}, rest = i;
    for (int d = s.ndim - 1; d >= 0; --d) {
      const int64_t at = rest % s.extent[d];
      rest /= s.extent[d];
      for (int k = 0; k < E::inputs; ++k) offset[k] += at * s.stride[k][d];
    }
    const auto x1 = load<0, typename E::First>(s, in, offset[0]);
    S x2{}, x3{};
    if constexpr (E::inputs > 1) x2 = load<1, S>(s, in, offset[1]);
    if constexpr (E::inputs > 2) x3 = load<2, S>(s, in, offset[2]);
    static_cast<typename E::Result*>(out)[i] = E::of(x1, x2, x3);
  });
}

template <class R, class S>
void launch_row(const MapShape& s, void* const* buffers, Stream stream) {
  constexpr int kInputs = Element<R, S>::inputs;
  const int64_t n = s.size();
  Operands in{};
  for (int k = 0; k < kInputs; ++k) in.x[k] = buffers[k];
  void* y = buffers[kInputs];
  bool aligned = is_aligned(y);
  for (int k = 0; k < kInputs; ++k) aligned &= is_aligned(buffers[k]);
  if (s.dense && !s.scalars && aligned) {
    launch_grid<map_dense<R, S>>(blocks_for(n / (kAccessBytes / sizeof(S)) + 1), kBlockThreads, 0,
                                 stream, n, in.x[0], in.x[1], in.x[2], y);
  } else {
    launch_grid<map_strided<R, S>>(blocks_for(n), kBlockThreads, 0, stream, s, in, y, n);
  }
}

using Launcher = void (*)(const MapShape&, void* const*, Stream);
struct Launchers {
  Launcher of[kNumDTypes];
};

// The dtypes of a row, as map.kernel.cc has them.
template <class R>
constexpr Launchers launchers_of() {
  Launchers all{};
  const auto set = [&](DType t, Launcher f) { all.of[static_cast<int>(t)] = f; };
  if constexpr (R::kind == RowKind::logical) {
    set(DType::boolean, launch_row<R, bool>);
  } else {
    set(DType::float32, launch_row<R, float>);
    set(DType::float64, launch_row<R, double>);
    set(DType::bfloat16, launch_row<R, bfloat16_t>);
    set(DType::float16, launch_row<R, float16_t>);
    if constexpr (R::kind != RowKind::floating && R::kind != RowKind::predicate) {
      set(DType::int32, launch_row<R, int32_t>);
      set(DType::int64, launch_row<R, int64_t>);
      set(DType::uint8, launch_row<R, uint8_t>);
      if constexpr (R::kind != RowKind::numeric) set(DType::boolean, launch_row<R, bool>);
    }
  }
  return all;
}

template <class... R>
Launcher launcher(pointwise::RowList<R...>, int row, DType dtype) {
  static constexpr Launchers all[] = {launchers_of<R>()...};
  return all[row].of[static_cast<int>(dtype)];
}

template <class From, class To>
__global__ void cast_elements(const From* x, To* y, int64_t n) {
  for_each_item(n, [&](int64_t i) { y[i] = Narrow<To>::of(widen(x[i])); });
}

}  // namespace

void map(Ctx& ctx, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const MapShape*>(shape);
  if (s.size() == 0) return;
  launcher(pointwise::Rows{}, s.row, s.dtype)(s, buffers, context(ctx).stream);
}

void cast(Ctx& ctx, const void* shape, void* const* buffers, void*) {
  const auto& s = *static_cast<const CastShape*>(shape);
  if (s.n == 0) return;
  with_dtype(s.from, [&]<class From>(From) {
    with_dtype(s.to, [&]<class To>(To) {
      if constexpr (!std::is_same_v<From, To>)  // that is a copy
        launch_grid<cast_elements<From, To>>(blocks_for(s.n), kBlockThreads, 0, context(ctx).stream,
                                             static_cast<const From*>(buffers[0]),
                                             static_cast<To*>(buffers[1]), s.n);
    });
  });
}

}  // namespace dlx::cuda
