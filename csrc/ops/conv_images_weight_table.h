// What the weight gradient by pieces of images gives for each instruction set. [0]: float32, [1]:
// float64.
#pragma once
#include <cstdint>

namespace dlx {

// sums[m, t, k] = sum over pixels p of elements[pixel[p] + offset[m] + t] times dy[p, k]: k are all
// channels of dy of a group, (m, t) an element of the kernel of one of its channels.
//
// Few channels in pairs: p counts pairs of neighbours of float32, whose elements are neighbours,
// too. The kernels take a pair for an element of 64 bits: `lanes[1]`, `multiply_pairs`.
struct ImagesWeight {
  int64_t K, plane;       // channels of dy, pixels of one image
  int64_t vectors;        // of channels
  int64_t pitch;          // pixels between two vectors of `lanes`
  int64_t offsets, taps;  // numbers of m and of t
  const int64_t* pixel;   // (pixels of a strip)
  const int64_t* offset;  // (offsets)
};

struct ImagesWeightTable {
  // lanes (vectors, pitch, W) from images dy (count, ..., K, plane), which lie dy_image apart
  void (*lanes[2])(const ImagesWeight&, int64_t count, const void* dy, int64_t dy_image,
                   void* lanes);
  // sums (offsets, taps, vectors, W) += or, if `first`, =, of `count` pixels
  void (*multiply[2])(const ImagesWeight&, int64_t count, const void* elements, const void* lanes,
                      bool first, void* sums);
  void (*multiply_pairs)(const ImagesWeight&, int64_t count, const void* elements,
                         const void* lanes, bool first, void* sums);
  // sums (rows, W) of pairs in turn: each channel's two added, in its place
  void (*add_pairs)(int64_t rows, int64_t K, void* sums);
};

}  // namespace dlx
