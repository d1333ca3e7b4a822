// THE list of pointwise ops: one row per op, shared by every device. A row is a name, what it runs
// on (see RowKind), its flops per element, and the formula. `<name>_backward(g, ...)`, of the
// op's output y or its input x, stands under an op whose first-order gradient has a kernel of its
// own. `apply_near` is the formula for arguments that satisfy `is_near`, where it vectorises and
// apply() does not.
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
  template <class T> static constexpr T apply(T x1, T x2) { return x1 + x2; }
};
struct Subtract : Row<"subtract", numeric> {
  template <class T> static constexpr T apply(T x1, T x2) { return x1 - x2; }
};
struct Multiply : Row<"multiply", any> {
  template <class T> static constexpr T apply(T x1, T x2) { return x1 * x2; }
};
struct Divide : Row<"divide", floating> {
  template <class T> static constexpr T apply(T x1, T x2) { return x1 / x2; }
};
struct Pow : Row<"pow", numeric> {
  template <class T> static constexpr T apply(T x, T e) { return power(x, e); }
  static constexpr bool is_near(float, float e) { return !ShortExponents::contain(e); }
  static constexpr float apply_near(float x, float e) { return math::pow(x, e); }
};
struct Maximum : Row<"maximum", any> {  // NaN wins, as in NumPy
  template <class T> static constexpr T apply(T x1, T x2) { return (x1 > x2) | (x1 != x1) ? x1 : x2; }
};
struct Minimum : Row<"minimum", any> {
  template <class T> static constexpr T apply(T x1, T x2) { return (x1 < x2) | (x1 != x1) ? x1 : x2; }
};
struct Clip : Row<"clip", numeric, 2> {  // single selections: g++ vectorises no others here
  template <class T> static constexpr T apply(T x, T low, T high) {
    T y = x < low ? low : x;
    y = low != low ? low : y;
    y = y > high ? high : y;
    return high != high ? high : y;
  }
};

struct Negative : Row<"negative", numeric> {
  template <class T> static constexpr T apply(T x) { return -x; }
};
struct Abs : Row<"abs", numeric> {
  template <class T> static constexpr T apply(T x) { return magnitude(x); }
};
struct Sign : Row<"sign", numeric> {
  template <class T> static constexpr T apply(T x) {
    return x != x ? x : static_cast<T>((T{} < x) - (x < T{}));
  }
};
struct Exp : Row<"exp", floating> {
  template <class T> static constexpr T apply(T x) { return math::exp(x); }
};
struct Log : Row<"log", floating> {
  template <class T> static constexpr T apply(T x) { return math::log(x); }
  static constexpr bool is_near(float x) { return math::is_normal(x); }
  static constexpr float apply_near(float x) { return math::log_normal(x); }
};
struct Sqrt : Row<"sqrt", floating> {
  template <class T> static constexpr T apply(T x) { return math::sqrt(x); }
};
struct Relu : Row<"relu", numeric> {
  template <class T> static constexpr T apply(T x) { return x < T{} ? T{} : x; }
};
struct ReluBackward : Row<"relu_backward", floating> {
  template <class T> static constexpr T apply(T g, T y) { return y <= T{} ? T{} : g; }
};
struct Tanh : Row<"tanh", floating> {
  template <class T> static constexpr T apply(T x) { return math::tanh(x); }
};
struct TanhBackward : Row<"tanh_backward", floating, 3> {
  template <class T> static constexpr T apply(T g, T y) { return g * (1 - y * y); }
};
struct Sigmoid : Row<"sigmoid", floating> {
  template <class T> static constexpr T apply(T x) { return math::sigmoid(x); }
};
struct SigmoidBackward : Row<"sigmoid_backward", floating, 3> {
  template <class T> static constexpr T apply(T g, T y) { return g * (y * (1 - y)); }
};

// Activations. Kinks and constants as PyTorch has them.
struct LeakyRelu : Row<"leaky_relu", floating, 2> {
  template <class T> static constexpr T apply(T x, T slope) { return x > 0 ? x : x * slope; }
};
struct LeakyReluBackward : Row<"leaky_relu_backward", floating, 2> {
  template <class T> static constexpr T apply(T g, T x, T slope) { return x > 0 ? g : g * slope; }
};
struct Elu : Row<"elu", floating, 3> {
  template <class T> static constexpr T apply(T x, T alpha) {
    const T below = alpha * math::expm1(x);  // always, so that the loop has no branch
    return x > 0 ? x : below;
  }
};
struct EluBackward : Row<"elu_backward", floating, 4> {
  template <class T> static constexpr T apply(T g, T x, T alpha) {
    const T below = g * (alpha * math::exp(x));
    return x > 0 ? g : below;
  }
};
struct Gelu : Row<"gelu", floating, 3> {
  template <class T> static constexpr T apply(T x) {
    const auto n = math::normal(x);
    return math::fma(-n.size, n.above, T(-0.) > x ? T(-0.) : x);  // the sign of -0 stays
  }
};
struct GeluBackward : Row<"gelu_backward", floating, 7> {
  template <class T> static constexpr T apply(T g, T x) {
    const auto n = math::normal(x);
    const T below = x < 0 ? n.above : 1 - n.above;
    return g * math::fma(x, n.density * T(0.39894228040143268), below);
  }
};
// Hendrycks and Gimpel 2016: x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2.
struct GeluTanh : Row<"gelu_tanh", floating, 8> {
  template <class T> static constexpr T apply(T x) {
    const T u = x * (T(0.79788456080286536) + T(0.035677408136300125) * x * x);
    return T(0.5) * x * (1 + math::tanh(u));
  }
};
struct GeluTanhBackward : Row<"gelu_tanh_backward", floating, 15> {
  template <class T> static constexpr T apply(T g, T x) {
    const T z = x * x < T(1e4) ? x * x : T(1e4);  // tanh' = 0 there: not 0 * inf
    const T t = math::tanh(x * (T(0.79788456080286536) + T(0.035677408136300125) * z));
    const T slope = T(0.79788456080286536) + T(0.10703222440890037) * z;
    return g * (T(0.5) * ((1 + t) + x * ((1 - t * t) * slope)));
  }
};
struct Silu : Row<"silu", floating, 2> {
  template <class T> static constexpr T apply(T x) { return x / (1 + math::exp(-x)); }
};
struct SiluBackward : Row<"silu_backward", floating, 6> {
  template <class T> static constexpr T apply(T g, T x) {
    const T s = math::sigmoid(x);
    return g * (s * (1 + x * (1 - s)));
  }
};
struct Softplus : Row<"softplus", floating, 7> {
  template <class T> static constexpr T apply(T x, T beta, T threshold) {
    const T z = x * beta;
    const T y = ((z > 0 ? z : T{}) + math::log1p(math::exp(-magnitude(z)))) / beta;
    return z > threshold ? x : y;
  }
};
struct SoftplusBackward : Row<"softplus_backward", floating, 3> {  // z = beta x
  template <class T> static constexpr T apply(T g, T z, T threshold) {
    const T inside = g * math::sigmoid(z);
    return z > threshold ? g : inside;
  }
};
struct Hardtanh : Row<"hardtanh", floating, 2> {
  template <class T> static constexpr T apply(T x, T low, T high) { return Clip::apply(x, low, high); }
};
struct PassAbove : Row<"pass_above", floating> {  // its gradient is this at low, then below high
  template <class T> static constexpr T apply(T g, T x, T low) { return x > low ? g : T{}; }
};
struct PassBelow : Row<"pass_below", floating> {
  template <class T> static constexpr T apply(T g, T x, T high) { return x < high ? g : T{}; }
};

struct Hardswish : Row<"hardswish", floating, 5> {
  template <class T> static constexpr T apply(T x) {
    return x * (Clip::apply(x + 3, T{}, T(6)) * T(1. / 6));
  }
};
struct HardswishBackward : Row<"hardswish_backward", floating, 3> {
  template <class T> static constexpr T apply(T g, T x) {
    T slope = x * T(1. / 3) + T(0.5);
    slope = x <= -3 ? T{} : slope;
    return g * (x >= 3 ? 1 : slope);
  }
};
struct Hardsigmoid : Row<"hardsigmoid", floating, 4> {
  template <class T> static constexpr T apply(T x) { return Clip::apply(x + 3, T{}, T(6)) / 6; }
};
struct HardsigmoidBackward : Row<"hardsigmoid_backward", floating, 3> {
  template <class T> static constexpr T apply(T g, T x) {
    const T inside = g / 6;
    return (x > -3) & (x < 3) ? inside : T{};
  }
};
struct Logsigmoid : Row<"logsigmoid", floating, 6> {
  template <class T> static constexpr T apply(T x) {
    return -((x < 0 ? -x : T{}) + math::log1p(math::exp(-magnitude(x))));
  }
};
struct LogsigmoidBackward : Row<"logsigmoid_backward", floating, 2> {
  template <class T> static constexpr T apply(T g, T x) { return g * math::sigmoid(-x); }
};

struct Expm1 : Row<"expm1", floating> {
  template <class T> static constexpr T apply(T x) { return math::expm1(x); }
};
struct Log1p : Row<"log1p", floating> {
  template <class T> static constexpr T apply(T x) { return math::log1p(x); }
};
struct Erf : Row<"erf", floating> {
  template <class T> static constexpr T apply(T x) { return math::erf(x); }
};
struct Sin : Row<"sin", floating> {
  template <class T> static constexpr T apply(T x) { return math::sin(x); }
  static constexpr bool is_near(float x) { return magnitude(x) < math::kNearAngle; }
  static constexpr float apply_near(float x) {
    const float y = math::sin_near(x);
    return x == 0 ? x : y;  // -0 is lost there
  }
};
struct Cos : Row<"cos", floating> {
  template <class T> static constexpr T apply(T x) { return math::cos(x); }
  static constexpr bool is_near(float x) { return magnitude(x) < math::kNearAngle; }
  static constexpr float apply_near(float x) { return math::cos_near(x); }
};
struct Square : Row<"square", numeric> {
  template <class T> static constexpr T apply(T x) { return x * x; }
};
struct Reciprocal : Row<"reciprocal", floating> {
  template <class T> static constexpr T apply(T x) { return 1 / x; }
};
struct Rsqrt : Row<"rsqrt", floating, 2> {
  template <class T> static constexpr T apply(T x) { return 1 / math::sqrt(x); }
};
struct Floor : Row<"floor", numeric> {
  template <class T> static constexpr T apply(T x) { return floor_of(x); }
};
struct Ceil : Row<"ceil", numeric> {
  template <class T> static constexpr T apply(T x) { return ceil_of(x); }
};
struct Trunc : Row<"trunc", numeric> {
  template <class T> static constexpr T apply(T x) { return trunc_of(x); }
};
struct Round : Row<"round", numeric> {
  template <class T> static constexpr T apply(T x) { return round_of(x); }
};
struct Remainder : Row<"remainder", numeric> {
  template <class T> static constexpr T apply(T x1, T x2) { return floored_remainder(x1, x2); }
  static constexpr bool is_near(float x1, float x2) { return is_near_quotient(x1, x2); }
  static constexpr float apply_near(float x1, float x2) { return near_remainder(x1, x2); }
};
struct FloorDivide : Row<"floor_divide", numeric> {
  template <class T> static constexpr T apply(T x1, T x2) { return floored_quotient(x1, x2); }
  static constexpr bool is_near(float x1, float x2) { return is_near_quotient(x1, x2); }
  static constexpr float apply_near(float x1, float x2) { return near_quotient(x1, x2); }
};

struct Equal : Row<"equal", comparison> {
  template <class T> static constexpr bool apply(T x1, T x2) { return x1 == x2; }
};
struct NotEqual : Row<"not_equal", comparison> {
  template <class T> static constexpr bool apply(T x1, T x2) { return x1 != x2; }
};
struct Less : Row<"less", comparison> {
  template <class T> static constexpr bool apply(T x1, T x2) { return x1 < x2; }
};
struct LessEqual : Row<"less_equal", comparison> {
  template <class T> static constexpr bool apply(T x1, T x2) { return x1 <= x2; }
};
struct Greater : Row<"greater", comparison> {
  template <class T> static constexpr bool apply(T x1, T x2) { return x1 > x2; }
};
struct GreaterEqual : Row<"greater_equal", comparison> {
  template <class T> static constexpr bool apply(T x1, T x2) { return x1 >= x2; }
};

struct LogicalAnd : Row<"logical_and", logical> {
  static constexpr bool apply(bool x1, bool x2) { return x1 & x2; }
};
struct LogicalOr : Row<"logical_or", logical> {
  static constexpr bool apply(bool x1, bool x2) { return x1 | x2; }
};
struct LogicalNot : Row<"logical_not", logical> {
  static constexpr bool apply(bool x) { return !x; }
};
struct IsFinite : Row<"isfinite", predicate> {
  template <class T> static constexpr bool apply(T x) { return x - x == T{}; }
};
struct IsNan : Row<"isnan", predicate> {
  template <class T> static constexpr bool apply(T x) { return x != x; }
};
struct IsInf : Row<"isinf", predicate> {
  template <class T> static constexpr bool apply(T x) { return magnitude(x) == T(__builtin_inf()); }
};
struct Where : Row<"where", select> {
  template <class T> static constexpr T apply(uint8_t c, T x1, T x2) { return choose(c, x1, x2); }
};
// clang-format on

using Rows =
    RowList<Add, Subtract, Multiply, Divide, Pow, Maximum, Minimum, Clip, Negative, Abs, Sign, Exp,
            Log, Sqrt, Relu, ReluBackward, Tanh, TanhBackward, Sigmoid, SigmoidBackward, LeakyRelu,
            LeakyReluBackward, Elu, EluBackward, Gelu, GeluBackward, GeluTanh, GeluTanhBackward,
            Silu, SiluBackward, Softplus, SoftplusBackward, Hardtanh, PassAbove, PassBelow,
            Hardswish, HardswishBackward, Hardsigmoid, HardsigmoidBackward, Logsigmoid,
            LogsigmoidBackward, Expm1, Log1p, Erf, Sin, Cos, Square, Reciprocal, Rsqrt, Floor, Ceil,
            Trunc, Round, Remainder, FloorDivide, Equal, NotEqual, Less, LessEqual, Greater,
            GreaterEqual, LogicalAnd, LogicalOr, LogicalNot, IsFinite, IsNan, IsInf, Where>;

}  // namespace pointwise
