// One row of pointwise.h on one element, as kernels of map.cu and fused.cu apply it. For one file
// of kernels each: included where namespace dlx::cuda begins.
#pragma once
#include <cstdint>
#include <type_traits>

#include "cuda/core/numbers.h"
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

  using FirstCompute = typename ComputeOf<First>::type;

  __device__ static Result of(FirstCompute x1, Compute x2, Compute x3) {
    if constexpr (inputs == 1) {
      return Narrow<Result>::of(apply_row<R>(x1));
    } else if constexpr (inputs == 2) {
      return Narrow<Result>::of(apply_row<R>(x1, x2));
    } else {
      return Narrow<Result>::of(apply_row<R>(x1, x2, x3));
    }
  }
};

// Whether a row has elements stored as S; as map.kernel.cc has them.
template <class R, class S>
constexpr bool is_row_of() {
  constexpr bool is_bool = std::is_same_v<S, bool>;
  constexpr bool is_integer = std::is_integral_v<S> && !is_bool;
  if constexpr (R::kind == RowKind::logical) return is_bool;
  if constexpr (R::kind == RowKind::floating || R::kind == RowKind::predicate)
    return !is_bool && !is_integer;
  return !is_bool || R::kind != RowKind::numeric;
}

}  // namespace
}  // namespace dlx::cuda
