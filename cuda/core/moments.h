// Mean and variance in one pass.
#pragma once
#include "cuda/core/device.h"

namespace dlx::cuda {

// Of `count` values, as differences from the first of them, so that they keep their digits where
// |mean| >> std: their mean, and the sum of squares about it. B. P. Welford, "Note on a method for
// calculating corrected sums of squares and products" (1962).
template <class T>
struct Moments {
  T first, mean, square, count;

  __device__ void take(T x) {
    if (count == 0) first = x;
    const T d = x - first, off = d - mean;
    count += 1;
    mean += off / count;
    square += off * (d - mean);
  }
  // Chan, Golub, LeVeque (1979), "Updating formulae and a pairwise algorithm for computing sample
  // variances".
  __device__ Moments with(const Moments& other) const {
    if (other.count == 0) return *this;
    if (count == 0) return other;
    const T off = (other.first - first) + (other.mean - mean);
    const T all = count + other.count, share = other.count / all;
    return {first, mean + off * share, square + other.square + off * off * count * share, all};
  }
};

}  // namespace dlx::cuda
