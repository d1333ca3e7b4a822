// THE list of pointwise ops: one row per op, shared by every device. A row is a name, what it runs
// on (see RowKind), its flops per element, and the formula. `<name>_backward(g, y)`, y being the
// op's output, stands under an op whose first-order gradient has a kernel of its own.
// Included inside namespace dlx::<instruction set> (or dlx::cuda), after math_functions.h.
#pragma once

namespace pointwise {

// A string as a template argument: the row's name.
template <int N>
struct Name {
  char text[N];
  constexpr Name(const char (&s)[N]) {
    for (int i = 0; i < N; ++i) text[i] = s[i];
  }
};

template <Name row_name, RowKind row_kind, int row_flops = 1>
struct Row {
  static constexpr auto name = row_name;
  static constexpr RowKind kind = row_kind;
  static constexpr int flops = row_flops;
};

using enum RowKind;

// clang-format off
struct Add : Row<"add", any> {
  template <class T> static T apply(T x1, T x2) { return x1 + x2; }
};
struct Subtract : Row<"subtract", numeric> {
  template <class T> static T apply(T x1, T x2) { return x1 - x2; }
};
struct Multiply : Row<"multiply", any> {
  template <class T> static T apply(T x1, T x2) { return x1 * x2; }
};
struct Divide : Row<"divide", floating> {
  template <class T> static T apply(T x1, T x2) { return x1 / x2; }
};
struct Pow : Row<"pow", numeric> {
  template <class T> static T apply(T x, T e) { return power(x, e); }
};
struct Maximum : Row<"maximum", any> {  // NaN wins, as in NumPy
  template <class T> static T apply(T x1, T x2) { return x1 > x2 || x1 != x1 ? x1 : x2; }
};
struct Minimum : Row<"minimum", any> {
  template <class T> static T apply(T x1, T x2) { return x1 < x2 || x1 != x1 ? x1 : x2; }
};
struct Clip : Row<"clip", numeric, 2> {
  template <class T> static T apply(T x, T low, T high) {
    return Minimum::apply(Maximum::apply(x, low), high);
  }
};

struct Negative : Row<"negative", numeric> {
  template <class T> static T apply(T x) { return -x; }
};
struct Abs : Row<"abs", numeric> {
  template <class T> static T apply(T x) { return magnitude(x); }
};
struct Sign : Row<"sign", numeric> {
  template <class T> static T apply(T x) {
    return x != x ? x : static_cast<T>((T{} < x) - (x < T{}));
  }
};
struct Exp : Row<"exp", floating> {
  template <class T> static T apply(T x) { return math::exp(x); }
};
struct Log : Row<"log", floating> {
  template <class T> static T apply(T x) { return math::log(x); }
};
struct Sqrt : Row<"sqrt", floating> {
  template <class T> static T apply(T x) { return math::sqrt(x); }
};
struct Relu : Row<"relu", numeric> {
  template <class T> static T apply(T x) { return x < T{} ? T{} : x; }
};
struct ReluBackward : Row<"relu_backward", floating> {
  template <class T> static T apply(T g, T y) { return y > T{} ? g : T{}; }
};
struct Tanh : Row<"tanh", floating> {
  template <class T> static T apply(T x) { return math::tanh(x); }
};
struct TanhBackward : Row<"tanh_backward", floating, 3> {
  template <class T> static T apply(T g, T y) { return g * (1 - y * y); }
};
struct Sigmoid : Row<"sigmoid", floating> {
  template <class T> static T apply(T x) { return math::sigmoid(x); }
};
struct SigmoidBackward : Row<"sigmoid_backward", floating, 3> {
  template <class T> static T apply(T g, T y) { return g * (y * (1 - y)); }
};

struct Equal : Row<"equal", comparison> {
  template <class T> static bool apply(T x1, T x2) { return x1 == x2; }
};
struct NotEqual : Row<"not_equal", comparison> {
  template <class T> static bool apply(T x1, T x2) { return x1 != x2; }
};
struct Less : Row<"less", comparison> {
  template <class T> static bool apply(T x1, T x2) { return x1 < x2; }
};
struct LessEqual : Row<"less_equal", comparison> {
  template <class T> static bool apply(T x1, T x2) { return x1 <= x2; }
};
struct Greater : Row<"greater", comparison> {
  template <class T> static bool apply(T x1, T x2) { return x1 > x2; }
};
struct GreaterEqual : Row<"greater_equal", comparison> {
  template <class T> static bool apply(T x1, T x2) { return x1 >= x2; }
};

struct LogicalAnd : Row<"logical_and", logical> {
  static bool apply(bool x1, bool x2) { return x1 & x2; }
};
struct LogicalOr : Row<"logical_or", logical> {
  static bool apply(bool x1, bool x2) { return x1 | x2; }
};
struct LogicalNot : Row<"logical_not", logical> {
  static bool apply(bool x) { return !x; }
};
struct IsFinite : Row<"isfinite", predicate> {
  template <class T> static bool apply(T x) { return x - x == T{}; }
};
struct Where : Row<"where", select> {
  template <class T> static T apply(bool c, T x1, T x2) { return c ? x1 : x2; }
};
// clang-format on

using Rows = RowList<Add, Subtract, Multiply, Divide, Pow, Maximum, Minimum, Clip, Negative, Abs,
                     Sign, Exp, Log, Sqrt, Relu, ReluBackward, Tanh, TanhBackward, Sigmoid,
                     SigmoidBackward, Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual,
                     LogicalAnd, LogicalOr, LogicalNot, IsFinite, Where>;

}  // namespace pointwise
