// The losses of pairs of numbers, x and the target t with the loss's parameter p: loss(x, t, p) and
// its derivative by x, slope(x, t, p). Included inside namespace dlx::<instruction set> or
// dlx::cuda, after math_functions.h.
#pragma once

template <class T>
constexpr T magnitude(T x) {
  return x < 0 ? -x : x;
}
template <class T>
constexpr T sign(T d) {
  return d != d ? d : static_cast<T>((0 < d) - (d < 0));
}

struct L1 {
  template <class T>
  static constexpr T loss(T x, T t, T) {
    return magnitude(x - t);
  }
  template <class T>
  static constexpr T slope(T x, T t, T) {
    return sign(x - t);
  }
};

struct SmoothL1 {
  template <class T>
  static constexpr T loss(T x, T t, T p) {
    const T d = magnitude(x - t);
    return d < p ? T(0.5) * d * (d / p) : d - T(0.5) * p;
  }
  template <class T>
  static constexpr T slope(T x, T t, T p) {
    const T d = x - t;
    return magnitude(d) < p ? d / p : sign(d);
  }
};

struct Huber {
  template <class T>
  static constexpr T loss(T x, T t, T p) {
    const T d = magnitude(x - t);
    return d < p ? T(0.5) * d * d : p * (d - T(0.5) * p);
  }
  template <class T>
  static constexpr T slope(T x, T t, T p) {
    const T d = x - t;
    return d > p ? p : d < -p ? -p : d;
  }
};

struct BinaryCrossEntropy {
  template <class T>
  static constexpr T at_least(T y, T low) {
    return y < low ? low : y;
  }
  template <class T>
  static constexpr T loss(T x, T t, T) {
    return (t - 1) * at_least(math::log1p(-x), T(-100)) - t * at_least(math::log(x), T(-100));
  }
  template <class T>
  static constexpr T slope(T x, T t, T) {
    return (x - t) / at_least((1 - x) * x, T(1e-12));
  }
};

// With s = max(-x, 0) + log(1 + e^-|x|) put in, no two large terms cancel.
struct WithLogits {
  template <class T>
  static constexpr T loss(T x, T t, T p) {
    const T direct = x > 0 ? 1 - t : -p * t;
    return direct * x + (1 + (p - 1) * t) * math::log1p(math::exp(-magnitude(x)));
  }
  template <class T>
  static constexpr T slope(T x, T t, T p) {
    const T e = math::exp(-magnitude(x));
    const T both = (1 + (p - 1) * t) * (e / (1 + e));
    return x > 0 ? (1 - t) - both : both - p * t;
  }
};

struct KlDiv {
  template <class T>
  static constexpr T loss(T x, T t, T) {
    return (t == 0 ? T{} : t * math::log(t)) - t * x;
  }
  template <class T>
  static constexpr T slope(T, T t, T) {
    return -t;
  }
};
