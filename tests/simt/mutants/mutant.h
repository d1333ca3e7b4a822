// Mutations that are chosen at run time: find.py writes them into copies of the files of cuda/, so
// that one build holds all of them. Mutation 0 is the original.
//
//   i < n            becomes  i < Less{17} > n        i <= n where mutation 17 is on
//   if (i < n)       becomes  if (on(18) || (i < n))
//   __syncthreads(); becomes  { if (!on(19)) { __syncthreads(); } }
//
// Between operands of the same precedence a marker costs no parser: (i < marker) > n reads as the
// operators below have it.
#pragma once
#include <type_traits>

extern "C" {
extern int dlx_mutation;                      // the one that is on
extern unsigned char dlx_mutation_reached[];  // 1: what it mutates was executed, 2: by types that
                                              // have no such operator
}

namespace mutants {

// Also in constant expressions, where there is no choice.
constexpr bool on(int id) {
  if (std::is_constant_evaluated()) return false;
  dlx_mutation_reached[id] |= 1;
  return dlx_mutation == id;
}
constexpr int one(int id) { return on(id) ? 1 : 0; }

template <class L, class Marker>
struct Half {
  L left;
  int id;
};

// A marker between `open` and `close`: l was r becomes l is r.
#define DLX_MARKER(Name, open, close, was, is)                                            \
  struct Name {                                                                           \
    int id;                                                                               \
  };                                                                                      \
  template <class L>                                                                      \
  constexpr Half<L, Name> operator open(L left, Name marker) {                            \
    return {left, marker.id};                                                             \
  }                                                                                       \
  template <class L, class R>                                                             \
  constexpr auto operator close(Half<L, Name> half, R right) {                            \
    using Result = std::remove_cvref_t<decltype(half.left was right)>;                    \
    if constexpr (requires { static_cast<Result>(half.left is right); }) {                \
      return on(half.id) ? static_cast<Result>(half.left is right) : half.left was right; \
    } else {                                                                              \
      if (!std::is_constant_evaluated()) dlx_mutation_reached[half.id] |= 2;              \
      return half.left was right;                                                         \
    }                                                                                     \
  }

DLX_MARKER(Less, <, >, <, <=)
DLX_MARKER(LessEqual, <, >, <=, <)
DLX_MARKER(Greater, <, >, >, >=)
DLX_MARKER(GreaterEqual, <, >, >=, >)
DLX_MARKER(Equal, ==, ==, ==, !=)
DLX_MARKER(NotEqual, ==, ==, !=, ==)
DLX_MARKER(Plus, +, +, +, -)
DLX_MARKER(Minus, +, +, -, +)
DLX_MARKER(Times, *, *, *, +)
DLX_MARKER(Over, *, *, /, *)
DLX_MARKER(Modulo, *, *, %, /)
DLX_MARKER(And, &, &, &, |)
#undef DLX_MARKER

}  // namespace mutants
