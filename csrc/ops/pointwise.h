// THE list of pointwise ops: one row per op, shared by every device. A row has a name, the dtypes it runs on, its
// flops per element, the formula, and, where the first-order gradient has a kernel of its own, that formula as
// `backward(g, y)`, y being the op's output. It becomes the op `<name>_backward`.
// Included inside namespace dlx::<instruction set> (or dlx::cuda), after math_functions.h.
#pragma once

namespace pointwise {

// What a row runs on and gives back; one flop per element unless the row says otherwise.
struct Numeric { static constexpr RowKind kind = RowKind::numeric; static constexpr int flops = 1; };        // T... -> T, no bool
struct AnyDType { static constexpr RowKind kind = RowKind::any; static constexpr int flops = 1; };           // T... -> T, bool too
struct Floating { static constexpr RowKind kind = RowKind::floating; static constexpr int flops = 1; };      // integers become float32 first
struct Comparison { static constexpr RowKind kind = RowKind::comparison; static constexpr int flops = 1; };  // T, T -> bool
struct Logical { static constexpr RowKind kind = RowKind::logical; static constexpr int flops = 1; };        // bool... -> bool
struct Predicate { static constexpr RowKind kind = RowKind::predicate; static constexpr int flops = 1; };    // floating T -> bool
struct Select { static constexpr RowKind kind = RowKind::select; static constexpr int flops = 1; };          // bool, T, T -> T

// clang-format off
struct Add : AnyDType { static constexpr char name[] = "add"; template <class T> static T apply(T x1, T x2) { return x1 + x2; } };
struct Subtract : Numeric { static constexpr char name[] = "subtract"; template <class T> static T apply(T x1, T x2) { return x1 - x2; } };
struct Multiply : AnyDType { static constexpr char name[] = "multiply"; template <class T> static T apply(T x1, T x2) { return x1 * x2; } };
struct Divide : Floating { static constexpr char name[] = "divide"; template <class T> static T apply(T x1, T x2) { return x1 / x2; } };
// NaN wins, as in NumPy.
struct Maximum : AnyDType { static constexpr char name[] = "maximum"; template <class T> static T apply(T x1, T x2) { return x1 > x2 || x1 != x1 ? x1 : x2; } };
struct Minimum : AnyDType { static constexpr char name[] = "minimum"; template <class T> static T apply(T x1, T x2) { return x1 < x2 || x1 != x1 ? x1 : x2; } };
struct Pow : Numeric { static constexpr char name[] = "pow"; template <class T> static T apply(T x, T e) { return power(x, e); } };
struct Clip : Numeric { static constexpr char name[] = "clip"; static constexpr int flops = 2; template <class T> static T apply(T x, T low, T high) { return Minimum::apply(Maximum::apply(x, low), high); } };

struct Negative : Numeric { static constexpr char name[] = "negative"; template <class T> static T apply(T x) { return -x; } };
struct Abs : Numeric { static constexpr char name[] = "abs"; template <class T> static T apply(T x) { return magnitude(x); } };
struct Sign : Numeric { static constexpr char name[] = "sign"; template <class T> static T apply(T x) { return x != x ? x : static_cast<T>((T{} < x) - (x < T{})); } };
struct Relu : Numeric { static constexpr char name[] = "relu"; template <class T> static T apply(T x) { return x < T{} ? T{} : x; }
                        static constexpr char backward_name[] = "relu_backward"; static constexpr int backward_flops = 1;
                        template <class T> static T backward(T g, T y) { return y > T{} ? g : T{}; } };
struct Exp : Floating { static constexpr char name[] = "exp"; template <class T> static T apply(T x) { return math::exp(x); } };
struct Log : Floating { static constexpr char name[] = "log"; template <class T> static T apply(T x) { return math::log(x); } };
struct Sqrt : Floating { static constexpr char name[] = "sqrt"; template <class T> static T apply(T x) { return math::sqrt(x); } };
struct Tanh : Floating { static constexpr char name[] = "tanh"; template <class T> static T apply(T x) { return math::tanh(x); }
                         static constexpr char backward_name[] = "tanh_backward"; static constexpr int backward_flops = 3;
                         template <class T> static T backward(T g, T y) { return g * (1 - y * y); } };
struct Sigmoid : Floating { static constexpr char name[] = "sigmoid"; template <class T> static T apply(T x) { return math::sigmoid(x); }
                            static constexpr char backward_name[] = "sigmoid_backward"; static constexpr int backward_flops = 3;
                            template <class T> static T backward(T g, T y) { return g * (y * (1 - y)); } };

struct Equal : Comparison { static constexpr char name[] = "equal"; template <class T> static bool apply(T x1, T x2) { return x1 == x2; } };
struct NotEqual : Comparison { static constexpr char name[] = "not_equal"; template <class T> static bool apply(T x1, T x2) { return x1 != x2; } };
struct Less : Comparison { static constexpr char name[] = "less"; template <class T> static bool apply(T x1, T x2) { return x1 < x2; } };
struct LessEqual : Comparison { static constexpr char name[] = "less_equal"; template <class T> static bool apply(T x1, T x2) { return x1 <= x2; } };
struct Greater : Comparison { static constexpr char name[] = "greater"; template <class T> static bool apply(T x1, T x2) { return x1 > x2; } };
struct GreaterEqual : Comparison { static constexpr char name[] = "greater_equal"; template <class T> static bool apply(T x1, T x2) { return x1 >= x2; } };

struct LogicalAnd : Logical { static constexpr char name[] = "logical_and"; static bool apply(bool x1, bool x2) { return x1 & x2; } };
struct LogicalOr : Logical { static constexpr char name[] = "logical_or"; static bool apply(bool x1, bool x2) { return x1 | x2; } };
struct LogicalNot : Logical { static constexpr char name[] = "logical_not"; static bool apply(bool x) { return !x; } };
struct IsFinite : Predicate { static constexpr char name[] = "isfinite"; template <class T> static bool apply(T x) { return x - x == T{}; } };
struct Where : Select { static constexpr char name[] = "where"; template <class T> static T apply(bool c, T x1, T x2) { return c ? x1 : x2; } };
// clang-format on

using Rows = RowList<Add, Subtract, Multiply, Divide, Maximum, Minimum, Pow, Clip, Negative, Abs, Sign, Relu, Exp, Log,
                     Sqrt, Tanh, Sigmoid, Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual, LogicalAnd,
                     LogicalOr, LogicalNot, IsFinite, Where>;

}  // namespace pointwise
