// C (m,n) = A (m,k) @ B (k,n): squares in three layouts and two dtypes, then the products of linear
// layers, whose weight (n,k) is read transposed.
#include "bench/bench.h"
#include "ops/matmul.h"

namespace dlx::bench {
namespace {

Array transposed(Array a) {
  std::swap(a.shape[0], a.shape[1]);
  std::swap(a.strides[0], a.strides[1]);
  return a;
}

void multiply(benchmark::State& state, const Array& a, const Array& b, Mix mix) {
  Dims shape;
  const MatmulShape s = MatmulShape::make(a, b, nullptr, &shape);
  Array c = empty(shape, a.dtype, {});
  run(state, ops::matmul, s, {&a, &b}, {&c}, mix);
}

}  // namespace

void add_gemm() {
  for (const DType dtype : {DType::float32, DType::float64}) {
    for (const int64_t n : {64, 128, 256, 512, 1024, 2048, 4096}) {
      for (const std::string layout : {"nn", "nt", "tn"}) {
        add(message("gemm/", name_of(dtype), "/", layout, "/", n), [=](benchmark::State& state) {
          const Array a = random({n, n}, dtype), b = random({n, n}, dtype);
          multiply(state, layout[0] == 't' ? transposed(a) : a,
                   layout[1] == 't' ? transposed(b) : b, {});
        });
      }
    }
  }
  struct Linear {
    int64_t m, k, n;
  };
  for (const Linear s : {Linear{64, 784, 10}, Linear{64, 784, 1024}, Linear{128, 512, 512},
                         Linear{32, 1024, 4096}, Linear{1, 4096, 4096}}) {
    add(message("linear/", s.m, "x", s.k, "->", s.n), [=](benchmark::State& state) {
      const Array x = random({s.m, s.k}), w = random({s.n, s.k});
      multiply(state, x, transposed(w), s.m == 1 ? Mix{1, 0} : Mix{});  // one row: w is the traffic
    });
  }
}

}  // namespace dlx::bench
