// GEMM against a triple loop: every element within the rounding of its own sum, the same bits on
// any number of threads.
#include <cfloat>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <vector>

#include "core/choice.h"
#include "core/cpu_features.h"
#include "core/machine_limits.h"
#include "core/parallel.h"
#include "gemm/gemm.h"
#include "gemm/tiles.h"

namespace {

using namespace dlx;

constexpr int kThreads[] = {2, 3, 5};
constexpr int64_t kGuard = 16;  // words before and after each array
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
// Of a product of more multiply-adds than kMany, each kStep-th row and column is summed again (the
// step has no factor in common with any tile); beyond kTooMany no algorithm is forced.
constexpr int64_t kMany = 1 << 20, kTooMany = 1 << 22, kStep = 5;
int64_t cases = 0;
const Choice* forced = nullptr;

[[noreturn]] void fail(const GemmShape& s, const char* what, double got, double expected) {
  std::printf(
      "gemm %s on %s: %s: got %.9g, expected %.9g; m=%ld n=%ld k=%ld a=(%ld,%ld) b=(%ld,%ld) "
      "c_row=%ld batch_ndim=%d\n",
      name_of(s.dtype), kIsaName[static_cast<int>(current_isa())], what, got, expected, long(s.m),
      long(s.n), long(s.k), long(s.a_row), long(s.a_col), long(s.b_row), long(s.b_col),
      long(s.c_row), s.batch_ndim);
  std::exit(1);
}

// xorshift64*, Vigna 2016: values in [-1, 1)
double next_random() {
  static uint64_t x = 88172645463325252ull;
  x ^= x >> 12, x ^= x << 25, x ^= x >> 27;
  return static_cast<double>(static_cast<int64_t>(x * 2685821657736338717ull)) /
         9223372036854775808.0;
}

// One past the largest offset of a matrix with these extents and non-negative strides, over the
// whole batch.
int64_t extent(const GemmShape& s, const int64_t* batch_strides, int64_t rows, int64_t row,
               int64_t cols, int64_t col) {
  if (rows == 0 || cols == 0) return 0;
  int64_t last = (rows - 1) * row + (cols - 1) * col;
  for (int d = 0; d < s.batch_ndim; ++d) {
    if (s.batch[d] == 0) return 0;
    last += (s.batch[d] - 1) * batch_strides[d];
  }
  return last + 1;
}

// Calls body(a offset, b offset, c offset) for each matrix of the batch.
template <class F>
void for_each_batch(const GemmShape& s, const F& body) {
  int64_t count = 1;
  for (int d = 0; d < s.batch_ndim; ++d) count *= s.batch[d];
  for (int64_t i = 0; i < count; ++i) {
    int64_t a = 0, b = 0, c = 0, rest = i;
    for (int d = s.batch_ndim - 1; d >= 0; rest /= s.batch[d--]) {
      const int64_t at = rest % s.batch[d];
      a += at * s.a_batch[d], b += at * s.b_batch[d], c += at * s.c_batch[d];
    }
    body(a, b, c);
  }
}

template <class T>
struct Problem {
  GemmShape shape;
  // Exactly as long as the strides reach, so that a sanitizer sees any read outside.
  std::vector<T> a, b, bias;
  int64_t c_size;

  explicit Problem(const GemmShape& s) : shape(s) {
    a.resize(static_cast<size_t>(extent(s, s.a_batch, s.m, s.a_row, s.k, s.a_col)));
    b.resize(static_cast<size_t>(extent(s, s.b_batch, s.k, s.b_row, s.n, s.b_col)));
    c_size = extent(s, s.c_batch, s.m, s.c_row, s.n, 1);
    for (T& x : a) x = static_cast<T>(next_random());
    for (T& x : b) x = static_cast<T>(next_random());
    bias.resize(static_cast<size_t>(s.bias ? s.n : 0));
    for (T& x : bias) x = static_cast<T>(next_random());
  }

  // C from a buffer full of NaN, with its guards.
  std::vector<T> run(int threads) const {
    set_num_threads(threads);
    std::vector<T> c(static_cast<size_t>(c_size + 2 * kGuard), static_cast<T>(kNaN));
    const int64_t bytes = gemm_workspace(shape);
    void* workspace = std::aligned_alloc(64, static_cast<size_t>((bytes + 64) / 64 * 64));
    std::memset(workspace, 0xff, static_cast<size_t>(bytes));  // NaN too
    gemm(shape, a.data(), b.data(), c.data() + kGuard, workspace, bias.data());
    std::free(workspace);
    return c;
  }
};

template <class T>
void check_values(const Problem<T>& problem, std::vector<T> c) {
  const GemmShape& s = problem.shape;
  constexpr double eps = sizeof(T) == 4 ? FLT_EPSILON : DBL_EPSILON;
  const int64_t step = s.m * s.n * s.k > kMany ? kStep : 1;
  for_each_batch(s, [&](int64_t a0, int64_t b0, int64_t c0) {
    for (int64_t i = 0; i < s.m; ++i) {
      for (int64_t j = 0; j < s.n; ++j) {
        T& got = c[static_cast<size_t>(kGuard + c0 + i * s.c_row + j)];
        if (i % step != 0 || j % step != 0) {
          if (std::isnan(got)) fail(s, "left unwritten", kNaN, 0);
          got = static_cast<T>(kNaN);
          continue;
        }
        const double start = s.bias ? static_cast<double>(problem.bias[static_cast<size_t>(j)]) : 0;
        double sum = start, size = std::fabs(start);
        for (int64_t p = 0; p < s.k; ++p) {
          const double term =
              static_cast<double>(problem.a[static_cast<size_t>(a0 + i * s.a_row + p * s.a_col)]) *
              static_cast<double>(problem.b[static_cast<size_t>(b0 + p * s.b_row + j * s.b_col)]);
          sum += term;
          size += std::fabs(term);
        }
        // Rounding errors of random sign add up like a walk, sqrt(k), where 4 eps alone would be
        // too tight for k >> 100.
        const double bound = (4 + std::sqrt(static_cast<double>(s.k)) / 8) * eps * size;
        if (s.relu && sum < 0) sum = 0;
        if (!(std::fabs(static_cast<double>(got) - sum) <= bound))
          fail(s, "wrong value", static_cast<double>(got), sum);
        got = static_cast<T>(kNaN);
      }
    }
  });
  for (const T x : c) {  // C's elements are NaN again by now: any number left lies outside C
    if (!std::isnan(x)) fail(s, "wrote outside C", static_cast<double>(x), kNaN);
  }
}

template <class T>
void check(GemmShape s, bool every_thread_count = false) {
  if (forced && s.m * s.n * s.k > kTooMany) return;
  s.dtype = DTypeOf<T>::value;
  s.bias = cases % 2, s.relu = cases % 3 == 0;  // the epilogue, on all kinds of shapes
  const Problem<T> problem(s);
  const int64_t taken = forced ? forced->taken() : -1;
  const std::vector<T> c = problem.run(1);
  if (forced && forced->taken() == taken) return;  // it does not apply: checked as chosen
  check_values(problem, c);
  for (const int threads : kThreads) {
    if (!every_thread_count && threads != 3) continue;
    const std::vector<T> again = problem.run(threads);
    if (std::memcmp(c.data(), again.data(), c.size() * sizeof(T)) != 0)
      fail(s, "bits depend on threads", threads, 1);
  }
  ++cases;
}

// Row-major or transposed operands; `spread` leaves that many elements between neighbours; C's rows
// lie pad apart.
GemmShape make_shape(int64_t m, int64_t n, int64_t k, bool a_transposed = false,
                     bool b_transposed = false, int64_t spread = 1, int64_t pad = 3) {
  GemmShape s{};
  s.m = m, s.n = n, s.k = k, s.c_row = n + pad;
  s.a_row = spread * (a_transposed ? 1 : k), s.a_col = spread * (a_transposed ? m : 1);
  s.b_row = spread * (b_transposed ? 1 : n), s.b_col = spread * (b_transposed ? k : 1);
  return s;
}

template <class T>
void add_batch(GemmShape& s, int64_t count, bool a_moves, bool b_moves) {
  const int d = s.batch_ndim++;
  int64_t a = s.m * s.k, b = s.k * s.n, c = s.m * s.c_row;
  for (int e = d - 1; e >= 0; --e) {  // dimension d varies slowest
    a *= s.batch[e], b *= s.batch[e], c *= s.batch[e];
  }
  s.batch[d] = count, s.a_batch[d] = a_moves ? a : 0, s.b_batch[d] = b_moves ? b : 0,
  s.c_batch[d] = c;
}

template <class T>
void any_size_and_layout() {
  const GemmTiles t =
      kGemmTiles[static_cast<int>(current_isa())][static_cast<int>(DTypeOf<T>::value)];
  const int64_t rows[] = {0, 1, 5, t.mr - 1, t.mr, t.mr + 1, 31};
  const int64_t cols[] = {0, 1, 7, t.nr / 2, t.nr / 2 + 1, t.nr - 1, t.nr, t.nr + 1, 67};
  const int64_t depths[] = {0, 1, 3, 4, 29};
  for (const int64_t m : rows) {
    for (const int64_t n : cols) {
      for (const int64_t k : depths) {
        for (int layout = 0; layout < 8; ++layout) {
          check<T>(make_shape(m, n, k, layout & 1, layout & 2, layout & 4 ? 3 : 1));
        }
      }
    }
  }
}

template <class T>
void beyond_one_block() {
  const GemmTiles t =
      kGemmTiles[static_cast<int>(current_isa())][static_cast<int>(DTypeOf<T>::value)];
  const int64_t near_bytes = core_cache_bytes() * kGemmL2Eighths / 8;
  const int64_t kept_bytes = std::min(near_bytes, kGemmMostKeptBytes);
  // The fewest columns that a task packs in two blocks.
  const int64_t wide = kept_bytes / (t.kc * static_cast<int64_t>(sizeof(T))) + 1;
  const int64_t panels = 8 * t.mr;
  for (int layout = 0; layout < 4; ++layout) {
    const bool ta = layout & 1, tb = layout & 2;
    check<T>(make_shape(panels, 131, 40, ta, tb), true);
    check<T>(make_shape(2 * panels + 1, t.nr, t.kc + 1, ta, tb), true);
    check<T>(make_shape(panels + 1, wide, t.kc, ta, tb), true);
    check<T>(make_shape(t.mr + 1, 2 * kGemmMinCols + 1, 3 * t.kc - 1, ta, tb), true);
    check<T>(make_shape(1, 301, 2 * t.kc + 3, ta, tb), true);
    check<T>(make_shape(601, 1, t.kc, ta, tb), true);
  }
  GemmShape strided = make_shape(panels + 1, wide, t.kc);  // of A, whose panels are kept
  strided.a_row *= 2, strided.a_col *= 2;
  check<T>(strided, true);
  check<T>(make_shape(t.mr + 2, kGemmMaxCols + 5, 9), true);
  check<T>(make_shape(kGemmMaxRows + 5, t.nr + 1, t.kc), true);
  check<T>(make_shape(2, 3, 5000), true);
}

template <class T>
void batches_and_broadcasting() {
  for (int operands = 0; operands < 4; ++operands) {
    const bool a_moves = operands & 1, b_moves = operands & 2;
    for (const int64_t count : {0, 1, 5}) {
      GemmShape s = make_shape(13, 21, 17);
      add_batch<T>(s, count, a_moves, b_moves);
      check<T>(s, true);
      add_batch<T>(s, 3, !a_moves, b_moves);
      check<T>(s, true);
    }
    GemmShape tall = make_shape(400, 40, 30);
    add_batch<T>(tall, 2, a_moves, b_moves);
    check<T>(tall, true);
    GemmShape many = make_shape(64, 32, 64);
    add_batch<T>(many, 40, a_moves, b_moves);
    check<T>(many, true);
  }
  GemmShape empty = make_shape(4, 6, 0);
  add_batch<T>(empty, 3, true, true);
  check<T>(empty, true);
}

// NaN and infinity reach the elements that depend on them and no others, zeros or not.
template <class T>
void nan_propagates() {
  for (const int64_t m : {5, 400}) {
    GemmShape s = make_shape(m, 19, 23, false, false, 1, 0);
    s.dtype = DTypeOf<T>::value;
    Problem<T> problem(s);
    std::fill(problem.b.begin(), problem.b.end(), T(0));
    problem.a[static_cast<size_t>(3 * s.k + 22)] = std::numeric_limits<T>::infinity();  // 0 * inf
    problem.b[static_cast<size_t>(0 * s.n + 18)] = static_cast<T>(kNaN);
    const std::vector<T> c = problem.run(2);
    for (int64_t i = 0; i < s.m; ++i) {
      for (int64_t j = 0; j < s.n; ++j) {
        const T got = c[static_cast<size_t>(kGuard + i * s.c_row + j)];
        const bool expected = i == 3 || j == 18;
        if (std::isnan(got) != expected)
          fail(s, "NaN", static_cast<double>(got), expected ? kNaN : 0);
      }
    }
    ++cases;
  }
}

// Reversed views: strides below zero, pointers at the last element.
template <class T>
void negative_strides() {
  GemmShape s = make_shape(20, 35, 9);
  s.dtype = DTypeOf<T>::value;
  const Problem<T> problem(s);
  const std::vector<T> c = problem.run(1);
  GemmShape r = s;
  r.a_row = -s.a_row, r.a_col = -s.a_col, r.b_row = -s.b_row, r.b_col = -s.b_col;
  std::vector<T> workspace(static_cast<size_t>(gemm_workspace(r)) / sizeof(T) + 64),
      reversed(c.size());
  void* aligned =
      reinterpret_cast<void*>((reinterpret_cast<uintptr_t>(workspace.data()) + 63) / 64 * 64);
  gemm(r, problem.a.data() + problem.a.size() - 1, problem.b.data() + problem.b.size() - 1,
       reversed.data() + kGuard, aligned);
  // The product reversed in rows, columns and k: the same terms, summed the other way round.
  for (int64_t i = 0; i < s.m; ++i) {
    for (int64_t j = 0; j < s.n; ++j) {
      const double expected = static_cast<double>(c[static_cast<size_t>(kGuard + i * s.c_row + j)]);
      const double got = static_cast<double>(
          reversed[static_cast<size_t>(kGuard + (s.m - 1 - i) * s.c_row + s.n - 1 - j)]);
      constexpr double eps = sizeof(T) == 4 ? FLT_EPSILON : DBL_EPSILON;
      if (!(std::fabs(got - expected) <= 8 * eps * 9))
        fail(r, "reversed", got, expected);  // 9 terms below 1
    }
  }
  ++cases;
}

template <class T>
void all() {
  any_size_and_layout<T>();
  beyond_one_block<T>();
  batches_and_broadcasting<T>();
  nan_propagates<T>();
  negative_strides<T>();
}

// bfloat16 (numbers of few bits, so that float32 holds their sums exactly): bias and ReLU come
// before the one rounding. Strides of any kind, C guarded.
void half_epilogue(int64_t m, int64_t n, int64_t k, int64_t spread) {
  const auto bits = [](double x) {
    const float f = static_cast<float>(x);
    uint32_t word;
    std::memcpy(&word, &f, 4);
    return static_cast<uint16_t>((word + 0x7fff + (word >> 16 & 1)) >> 16);
  };
  for (int way = 0; way < 16; ++way) {
    GemmShape s = make_shape(m, n, k, way & 1, way & 2, spread);
    s.dtype = DType::bfloat16, s.bias = way & 4, s.relu = way & 8;
    const auto draw = [&](int64_t count, std::vector<double>& x, std::vector<uint16_t>& to) {
      for (int64_t i = 0; i < count; ++i) {
        x.push_back(std::floor(4 * next_random()) / 4);
        to.push_back(bits(x.back()));
      }
    };
    std::vector<double> a, b, bias;
    std::vector<uint16_t> a_bits, b_bits, bias_bits;
    draw(extent(s, s.a_batch, m, s.a_row, k, s.a_col), a, a_bits);
    draw(extent(s, s.b_batch, k, s.b_row, n, s.b_col), b, b_bits);
    draw(n, bias, bias_bits);
    for (const int threads : {1, 3}) {
      set_num_threads(threads);
      const uint16_t untouched = 0x7fff;
      std::vector<uint16_t> c(static_cast<size_t>(m * s.c_row + 2 * kGuard), untouched);
      const auto bytes = static_cast<size_t>(gemm_workspace(s));
      void* workspace = std::aligned_alloc(64, (bytes + 64) / 64 * 64);
      std::memset(workspace, 0xff, bytes);
      gemm(s, a_bits.data(), b_bits.data(), c.data() + kGuard, workspace, bias_bits.data());
      std::free(workspace);
      for (int64_t i = 0; i < m; ++i) {
        for (int64_t j = 0; j < n; ++j) {
          double sum = s.bias ? bias[static_cast<size_t>(j)] : 0;
          for (int64_t p = 0; p < k; ++p)
            sum += a[static_cast<size_t>(i * s.a_row + p * s.a_col)] *
                   b[static_cast<size_t>(p * s.b_row + j * s.b_col)];
          uint16_t& got = c[static_cast<size_t>(kGuard + i * s.c_row + j)];
          if (got != bits(s.relu && sum < 0 ? 0 : sum)) fail(s, "bfloat16 bits", got, bits(sum));
          got = untouched;
        }
      }
      for (const uint16_t x : c)
        if (x != untouched) fail(s, "wrote outside C", x, untouched);
    }
    ++cases;
  }
}

void halves() {
  for (const int64_t spread : {1, 3}) {
    half_epilogue(1, 1, 1, spread);
    half_epilogue(5, 33, 31, spread);
    half_epilogue(33, 70, 65, spread);
    half_epilogue(97, 31, 545, spread);
  }
}

}  // namespace

int main() {
  for (Choice* choice : Choice::all()) {
    if (choice->op == "half_matmul") {  // not all of them on every CPU
      for (int i = -1; i < static_cast<int>(choice->algorithms.size()); ++i) {
        choice->force(i);
        halves();
      }
      choice->force(-1);
    }
    if (choice->op != "matmul") continue;
    for (int i = -1; i < static_cast<int>(choice->algorithms.size()); ++i) {  // -1: as chosen
      choice->force(i);
      forced = i >= 0 ? choice : nullptr;
      all<float>();
      all<double>();
      if (choice->force(-1) == 0 && i >= 0) {
        std::printf("gemm: %s never ran\n", choice->algorithms[static_cast<size_t>(i)].c_str());
        return 1;
      }
    }
  }
  std::printf("ok: %ld gemm cases on %s\n", long(cases), kIsaName[static_cast<int>(current_isa())]);
}
