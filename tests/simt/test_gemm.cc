// GEMM of the GPU against sums in float64: every dtype, tile and order of the operands' elements,
// batches, sums cut into pieces, the epilogue, and no element beside C's touched.
#include "cuda/gemm/gemm.cu"
#include "kernel_test.h"

using namespace dlx;
using namespace dlx::cuda;

namespace {

// gap: between the rows of a matrix (or its columns, where transposed), so that it is not dense.
struct Layout {
  bool transposed = false;
  int64_t gap = 0;
  bool backwards = false;  // the first row or column comes last
  bool broadcast = false;  // one matrix for the whole batch
};

struct Problem {
  int64_t m, n, k;
  Layout a{}, b{};
  int64_t batch[2] = {1, 1};
  bool bias = false, relu = false;
  int64_t c_gap = 0;
};

int uniform(int below) {
  static uint32_t state = 1;
  state = state * 1664525u + 1013904223u;
  return static_cast<int>(state >> 8) % below;
}

// A matrix of each batch, its strides, its elements.
template <class T>
struct Operand {
  std::vector<T> elements;
  int64_t first = 0, row, col, batch[2];

  Operand(int64_t rows, int64_t cols, const Layout& l, const int64_t (&count)[2]) {
    row = l.transposed ? 1 : cols + l.gap;
    col = l.transposed ? rows + l.gap : 1;
    const int64_t size = l.transposed ? cols * col : rows * row;
    batch[1] = l.broadcast ? 0 : size;
    batch[0] = l.broadcast ? 0 : size * count[1];
    const int64_t matrices = l.broadcast ? 1 : count[0] * count[1];
    for (float x : drawn(static_cast<size_t>(matrices * size)))
      elements.push_back(Narrow<T>::of(x / 32));
    if (!l.backwards || rows == 0 || cols == 0) return;
    int64_t& far = l.transposed ? col : row;  // not 1
    first = far * ((l.transposed ? cols : rows) - 1);
    far = -far;
  }
  double at(int64_t i, int64_t j, int64_t b0, int64_t b1) const {
    return widen(elements[first + i * row + j * col + b0 * batch[0] + b1 * batch[1]]);
  }
};

template <class T, class Run>
void check(const Problem& p, double epsilon, const Run& run, const std::string& what) {
  const Operand<T> a(p.m, p.k, p.a, p.batch), b(p.k, p.n, p.b, p.batch);
  const Operand<T> bias(1, p.n, {}, {1, 1});
  GemmShape s{.dtype = DTypeOf<T>::value,
              .m = p.m,
              .n = p.n,
              .k = p.k,
              .a_row = a.row,
              .a_col = a.col,
              .b_row = b.row,
              .b_col = b.col,
              .c_row = p.n + p.c_gap,
              .batch_ndim = 2,
              .batch = {p.batch[0], p.batch[1]},
              .a_batch = {a.batch[0], a.batch[1]},
              .b_batch = {b.batch[0], b.batch[1]},
              .c_batch = {p.batch[1] * p.m * (p.n + p.c_gap), p.m * (p.n + p.c_gap)},
              .bias = p.bias,
              .relu = p.relu};
  const T before = Narrow<T>::of(77);
  const OnDevice<T> on_a(a.elements), on_b(b.elements), on_bias(bias.elements);
  const OnDevice<T> on_c(std::vector<T>(static_cast<size_t>(p.batch[0] * s.c_batch[0]), before));
  run(s, on_a + a.first, on_b + b.first, on_c, on_bias);

  std::vector<double> got, expected, bound;
  for (T x : on_c.values()) got.push_back(widen(x));
  for (int64_t at = 0; at < p.batch[0] * s.c_batch[0]; ++at) {
    const int64_t j = at % s.c_row, i = at / s.c_row % p.m;
    const int64_t b1 = at / s.c_batch[1] % p.batch[1], b0 = at / s.c_batch[0];
    double y = j < p.n && p.bias ? bias.at(0, j, 0, 0) : 0, size = std::fabs(y);
    for (int64_t k = 0; j < p.n && k < p.k; ++k) {
      const double product = a.at(i, k, b0, b1) * b.at(k, j, b0, b1);
      y += product;
      size += std::fabs(product);
    }
    expected.push_back(j >= p.n ? widen(before) : p.relu && y < 0 ? 0 : y);
    const double unit = sizeof(T) == 8 ? 0x1p-53 : 0x1p-24;
    bound.push_back(j >= p.n ? 0
                             : size * static_cast<double>(p.k + 2) * unit + std::fabs(y) * epsilon);
  }
  expect_close(got, expected, bound,
               what + " " + name_of(s.dtype) + " " + std::to_string(p.m) + " " +
                   std::to_string(p.n) + " " + std::to_string(p.k));
}

template <class T>
void check_gemm(const Problem& p, double epsilon) {
  check<T>(
      p, epsilon,
      [](const GemmShape& s, const T* a, const T* b, T* c, const T* bias) {
        const OnDevice<char> workspace(static_cast<size_t>(cuda::gemm_workspace(s)) + 1);
        cuda::gemm(test_stream(), s, a, b, c, static_cast<char*>(workspace), bias);
      },
      "gemm");
}

// With this tile, which gemm() may not choose for it.
template <class T, class Tile>
void check_tile(const Problem& p, double epsilon) {
  check<T>(
      p, epsilon,
      [](const GemmShape& s, const T* a, const T* b, T* c, const T* bias) {
        Plan plan = plan_of<Tile>(s, true);
        const OnDevice<float> workspace(2 * static_cast<size_t>(plan.cut.pieces * plan.results()));
        run_plan<T, Tile>(test_stream(), plan, a, b, c, static_cast<float*>(workspace), bias);
      },
      "a tile");
}

// Unit roundoff of what is stored; 0 where the sum is stored as it is.
template <class T>
constexpr double kRoundoff = 0;
template <>
constexpr double kRoundoff<bfloat16_t> = 0x1p-8;
template <>
constexpr double kRoundoff<float16_t> = 0x1p-10;

template <class T, class Large>
void all_of() {
  // Around a tile's edges, both orders of both operands, in accesses of one and of four elements.
  for (int order = 0; order < 4; ++order) {
    const Layout a{.transposed = order % 2 == 1}, b{.transposed = order / 2 == 1};
    check_tile<T, Large>({.m = Large::kRows + 4, .n = Large::kCols + 4, .k = 20, .a = a, .b = b},
                         kRoundoff<T>);
    check_gemm<T>({.m = 36, .n = 28, .k = 40, .a = a, .b = b}, kRoundoff<T>);
    check_gemm<T>({.m = 33, .n = 31, .k = 37, .a = a, .b = b, .bias = true}, kRoundoff<T>);
  }
  check_tile<T, Large>({.m = Large::kRows - 1,
                        .n = Large::kCols + 1,
                        .k = 17,
                        .a = {.gap = 3, .backwards = true},
                        .bias = true,
                        .relu = true,
                        .c_gap = 2},
                       kRoundoff<T>);
  // Long sums of few results, in pieces.
  check_gemm<T>({.m = 3, .n = 5, .k = 700, .b = {.transposed = true}, .bias = true}, kRoundoff<T>);
  check_gemm<T>({.m = 64, .n = 12, .k = 784, .relu = true}, kRoundoff<T>);
  check_gemm<T>({.m = 1, .n = 67, .k = 300}, kRoundoff<T>);
  check_gemm<T>({.m = 67, .n = 1, .k = 300, .a = {.transposed = true}}, kRoundoff<T>);
  // Batches, shared operands, empty extents.
  check_gemm<T>({.m = 5, .n = 6, .k = 7, .b = {.broadcast = true}, .batch = {2, 3}}, kRoundoff<T>);
  check_gemm<T>({.m = 5, .n = 6, .k = 7, .a = {.broadcast = true}, .batch = {3, 2}}, kRoundoff<T>);
  check_gemm<T>({.m = 8, .n = 4, .k = 500, .batch = {2, 1}, .bias = true}, kRoundoff<T>);
  check_gemm<T>({.m = 3, .n = 4, .k = 0, .bias = true, .relu = true}, kRoundoff<T>);
  check_gemm<T>({.m = 0, .n = 4, .k = 3}, kRoundoff<T>);
  check_gemm<T>({.m = 3, .n = 0, .k = 3}, kRoundoff<T>);
  check_gemm<T>({.m = 3, .n = 3, .k = 3, .batch = {0, 2}}, kRoundoff<T>);
}

Layout any_layout() {
  return {.transposed = uniform(2) == 0,
          .gap = 2 * uniform(3),
          .backwards = uniform(4) == 0,
          .broadcast = uniform(4) == 0};
}

void drawn_shapes() {
  for (int i = 0; i < 12; ++i) {
    const Problem p{.m = 1 + uniform(70),
                    .n = 1 + uniform(70),
                    .k = 1 + uniform(90),
                    .a = any_layout(),
                    .b = any_layout(),
                    .batch = {1 + uniform(2), 1 + uniform(3)},
                    .bias = uniform(2) == 0,
                    .relu = uniform(2) == 0,
                    .c_gap = 2 * uniform(3)};
    check_gemm<float>(p, 0);
  }
}

void right_kernels() {
  all_of<float, LargeTile>();
  all_of<double, LargeTileOfDouble>();
  all_of<bfloat16_t, LargeTile>();
  all_of<float16_t, LargeTile>();
  drawn_shapes();
}

// Every barrier, for ThreadSanitizer, which needs a minute for all of the above.
void few() {
  check_tile<float, LargeTile>({.m = 36, .n = 40, .k = 20, .b = {.transposed = true}}, 0);
  check_tile<double, LargeTileOfDouble>({.m = 33, .n = 35, .k = 37}, 0);
  check_gemm<float>({.m = 33, .n = 7, .k = 300, .bias = true}, 0);
  check_gemm<bfloat16_t>({.m = 5, .n = 6, .k = 40, .batch = {1, 2}}, kRoundoff<bfloat16_t>);
}

}  // namespace

int main() {
  under_every_schedule(kFew ? few : right_kernels);
  report_success();
}
