// What upsample.kernel.cc gives for each instruction set.
#pragma once
#include <cstdint>

namespace dlx {

// Along one axis: y[i] comes from x[first[i]], weighted 1 - weight[i], and from the element behind
// it (the last has itself behind it), weighted weight[i]. `first` never falls. n, m: extents of x
// and y.
struct UpsampleAxis {
  int64_t n, m;
  int64_t* first;
  double* weight;  // null: nearest
  int64_t* begin;  // n + 1: the first i with first[i] >= j
};

struct UpsampleTable {
  // Rows [begin, end) of y, counted through all planes. [0]: float32, [1]: float64.
  void (*forward[2])(const UpsampleAxis& rows, const UpsampleAxis& columns, int64_t begin,
                     int64_t end, const void* x, void* y);
  // Rows [begin, end) of dx.
  void (*backward[2])(const UpsampleAxis& rows, const UpsampleAxis& columns, int64_t begin,
                      int64_t end, const void* dy, void* dx);
};

}  // namespace dlx
