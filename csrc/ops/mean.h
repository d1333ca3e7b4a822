// A mean comes as float64 and is subtracted in two parts, hi + lo: where x is near it x - hi is
// exact (Sterbenz), so nothing is lost when |mean| >> std. Included inside namespace
// dlx::<instruction set> or dlx::cuda.
#pragma once

template <class T>
struct Mean {
  T hi, lo;
  constexpr explicit Mean(double mean)
      : hi(static_cast<T>(mean)), lo(static_cast<T>(mean - static_cast<double>(hi))) {}
  template <class V>
  [[gnu::always_inline]] constexpr V from(V x) const {
    return (x - hi) - lo;
  }
};
