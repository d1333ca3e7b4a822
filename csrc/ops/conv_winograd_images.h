// Tiles of images to points. Pixels are read where they lie and taken apart, so that every lane is
// a tile from the first sum on. For kernel files only.
#pragma once
#include "ops/conv_winograd_strips.h"
#include "ops/conv_winograd_transforms.h"

namespace dlx::DLX_ISA {

// Every O-th element of x[0], x[1]..: d[j] = element j + O i, j < COUNT, i < width.
template <class T, int O, int COUNT>
void split(const Vec<T>* x, Vec<T>* d) {
  using S = Shuffle<T>;
  if constexpr (O == 2) {
    d[0] = S::even(x[0], x[1]);
    d[1] = S::odd(x[0], x[1]);
  } else {
    const Vec<T> even0 = S::even(x[0], x[1]), even1 = S::even(x[2], x[3]);
    const Vec<T> odd0 = S::odd(x[0], x[1]), odd1 = S::odd(x[2], x[3]);
    d[0] = S::even(even0, even1);
    d[1] = S::even(odd0, odd1);
    if constexpr (COUNT == 4) {
      d[2] = S::odd(even0, even1);
      d[3] = S::odd(odd0, odd1);
    }
  }
}

// Tiles [t, t + width) of one channel: store(point, values) of each point, along the rows and then
// down the columns. x: the channel's plane of the first image; ahead: from it to one read soon.
template <class T, int O, int PER, class Store>
[[gnu::always_inline]] inline void transform_tiles(const Strips<O + 2>& strips, int64_t t,
                                                   const T* x, int64_t ahead, const Store& store) {
  constexpr int A = O + 2, W = Vec<T>::kWidth;
  const int first = static_cast<int>(t * O / W);
  Vec<T> rows[A][A];
#pragma GCC unroll 6
  for (int r = 0; r < A; ++r) {
    Vec<T> here[O], next[O], in[A], out[A];
#pragma GCC unroll 4
    for (int i = 0; i < O; ++i) {
      here[i] = next[i] = Vec<T>::zero();
      strips.template each<PER>(first + i, r, [&](const Piece& p) {
        const T* from = x + p.offset;
        if (r < O) __builtin_prefetch(from + ahead);
        here[i].raw = load_lanes(here[i].raw, from, p.here);
        next[i].raw = load_lanes(next[i].raw, from + O, p.next);
      });
    }
    split<T, O, O>(here, in);
    split<T, O, 2>(next, in + O);
    Winograd<T, O>::image(in, out);
    for (int j = 0; j < A; ++j) rows[j][r] = out[j];
  }
#pragma GCC unroll 6
  for (int j = 0; j < A; ++j) {
    Vec<T> out[A];
    Winograd<T, O>::image(rows[j], out);
    for (int i = 0; i < A; ++i) store(i * A + j, out[i]);
  }
}

}  // namespace dlx::DLX_ISA
