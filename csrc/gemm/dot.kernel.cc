// Products of few rows or columns whose operands both lie along k: x w^T of a dense layer, and a
// matrix times a vector. Vectors run along k; nothing is packed, and B is read once. Halves are
// widened as they are loaded.
#include <utility>

#include "core/half_numbers.h"
#include "core/simd.h"
#include "gemm/thin_tasks.h"

namespace dlx::DLX_ISA {
namespace {

// A tile's sums, and a vector of each row of B or A, fit into the registers.
#if defined(__AVX512F__)
constexpr int kRows = 6;
#else
constexpr int kRows = 2;
#endif
constexpr int kCols = 4;
constexpr int kManyCols = 8;  // beside one row: as many streams as keep the memory busy

// Lane i: the sum of two lanes that differ in bit BIT alone, of a where that bit of i is 0, of b
// where it is 1.
template <class T, int BIT, int... I>
[[gnu::always_inline]] inline Vec<T> fold_lanes(Vec<T> a, Vec<T> b,
                                                std::integer_sequence<int, I...>) {
  constexpr int W = Vec<T>::kWidth;
  return {__builtin_shufflevector(a.raw, b.raw, (I & BIT ? W + I : I)...) +
          __builtin_shufflevector(a.raw, b.raw, (I & BIT ? W + (I ^ BIT) : I ^ BIT)...)};
}

// Lane i: the sum of all lanes of v[i], in a tree.
template <class T, int BIT = 1>
[[gnu::always_inline]] inline Vec<T> fold(const Vec<T>* v) {
  constexpr int W = Vec<T>::kWidth;
  if constexpr (BIT == W) {
    return v[0];
  } else {
    Vec<T> half[W / 2];
#pragma GCC unroll 8
    for (int i = 0; i < W / 2 / BIT; ++i)
      half[i] = fold_lanes<T, BIT>(v[2 * i], v[2 * i + 1], std::make_integer_sequence<int, W>{});
    return fold<T, 2 * BIT>(half);
  }
}

// What elements are summed in: halves in float32.
template <class T>
struct SumOf {
  using type = T;
};
template <>
struct SumOf<bfloat16_t> {
  using type = float;
};
template <>
struct SumOf<float16_t> {
  using type = float;
};
template <class T>
using Sum = typename SumOf<T>::type;

template <class T>
[[gnu::always_inline]] inline Vec<T> load_sum(const T* x) {
  return Vec<T>::load(x);
}
[[gnu::always_inline]] inline Vec<float> load_sum(const bfloat16_t* x) {
  typedef uint32_t Words __attribute__((vector_size(kVecBytes)));
#if defined(__AVX512F__)
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x));
  const auto words = reinterpret_cast<Words>(_mm512_maskz_cvtepu16_epi32(0xffff, bits));
#elif defined(__AVX2__)
  const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x));
  const auto words = reinterpret_cast<Words>(_mm256_cvtepu16_epi32(bits));
#else
  Words words;
  for (int i = 0; i < Vec<float>::kWidth; ++i) words[i] = x[i].bits;
#endif
  return {reinterpret_cast<FloatVec>(words << 16)};
}
[[gnu::always_inline]] inline Vec<float> load_sum(const float16_t* x) {
#if defined(__AVX512F__)
  return {_mm512_maskz_cvtph_ps(0xffff, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)))};
#elif defined(__AVX2__)
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x)))};
#else
  Vec<float> y;
  for (int i = 0; i < Vec<float>::kWidth; ++i) y.raw[i] = widened(x[i]);
  return y;
#endif
}

// The first n elements, 0 behind them.
template <class T>
[[gnu::always_inline]] inline Vec<Sum<T>> load_sum(const T* x, int n) {
  if constexpr (sizeof(T) == sizeof(Sum<T>)) {
    return {load_first(x, n)};
  } else {
    T copy[Vec<float>::kWidth] = {};
    memcpy(copy, x, static_cast<size_t>(n) * sizeof(T));
    return load_sum(copy);
  }
}

// With the epilogue.
template <class T>
inline void store_sum(Sum<T> sum, const T* bias, bool relu, T& y) {
  if constexpr (sizeof(T) == sizeof(Sum<T>)) {
    if (bias) sum += *bias;
    y = relu && sum < 0 ? T(0) : sum;
  } else {
    if (bias) sum += widened(*bias);
    narrow(relu && sum < 0 ? 0.f : sum, y);
  }
}

template <class T>
struct Tile {
  const T* a;
  int64_t a_row;
  const T* b;
  int64_t b_col;
  T* c;
  int64_t c_row;
  int64_t k;
  const T* bias;  // of the tile's columns, or null
  bool relu;
  const T* ahead;  // a column of B to bring nearer meanwhile
};

template <class T, int ROWS, int COLS>
void tile(const Tile<T>& t) {
  using V = Vec<Sum<T>>;
  constexpr int W = V::kWidth, kGroups = (ROWS * COLS + W - 1) / W;
  V sum[kGroups * W];
#pragma GCC unroll 32
  for (int i = 0; i < kGroups * W; ++i) sum[i] = V::zero();
  const auto add = [&](int64_t p, auto load) __attribute__((always_inline)) {
    V y[COLS];
#pragma GCC unroll 8
    for (int j = 0; j < COLS; ++j) y[j] = load(t.b + j * t.b_col + p);
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; ++i) {
      const V x = load(t.a + i * t.a_row + p);
#pragma GCC unroll 8
      for (int j = 0; j < COLS; ++j) sum[i * COLS + j] = fma(x, y[j], sum[i * COLS + j]);
    }
  };
  int64_t p = 0;
  for (; p + W <= t.k; p += W) {
    if (ROWS > 1) __builtin_prefetch(t.ahead + p);
    add(p, [](const T* x) { return load_sum(x); });
  }
  if (p < t.k) {
    const int left = static_cast<int>(t.k - p);
    add(p, [left](const T* x) { return load_sum(x, left); });
  }
  Sum<T> total[kGroups * W];
#pragma GCC unroll 32
  for (int g = 0; g < kGroups; ++g) fold<Sum<T>>(sum + g * W).store(total + g * W);
  for (int i = 0; i < ROWS; ++i) {
    for (int j = 0; j < COLS; ++j) {
      store_sum(total[i * COLS + j], t.bias ? t.bias + j : nullptr, t.relu, t.c[i * t.c_row + j]);
    }
  }
}

template <class T, int ROWS, int COLS>
void tile_of_cols(const Tile<T>& t, int64_t cols) {
  if (cols == COLS) {
    tile<T, ROWS, COLS>(t);
  } else if constexpr (COLS > 1) {
    tile_of_cols<T, ROWS, COLS - 1>(t, cols);
  }
}

template <class T, int ROWS = kRows>
void tile_of_rows(const Tile<T>& t, int64_t rows, int64_t cols) {
  if (rows == ROWS) {
    tile_of_cols<T, ROWS, ROWS == 1 ? kManyCols : kCols>(t, cols);
  } else if constexpr (ROWS > 1) {
    tile_of_rows<T, ROWS - 1>(t, rows, cols);
  }
}

template <class T>
void multiply(void* state, int64_t begin, int64_t end, int) {
  const auto& run = *static_cast<const ThinRun<T>*>(state);
  const GemmShape& s = run.plan.shape;
  for (int64_t task = begin; task < end; ++task) {
    const ThinTask<T> block = thin_task(run, task);
    const int64_t rows = even(block.rows, kRows);
    const int64_t cols = even(block.cols, rows == 1 ? kManyCols : kCols);
    for (int64_t j = 0; j < block.cols; j += cols) {
      Tile<T> t{.a = block.a,
                .a_row = s.a_row,
                .b = block.b + j * s.b_col,
                .b_col = s.b_col,
                .c = block.c + j,
                .c_row = s.c_row,
                .k = s.k,
                .bias = block.bias ? block.bias + j : nullptr,
                .relu = s.relu,
                .ahead = nullptr};
      const int64_t left = min(cols, block.cols - j);
      for (int64_t i = 0; i < block.rows; i += rows) {
        t.ahead = block.b + min(j + cols + i / rows, block.cols - 1) * s.b_col;
        tile_of_rows(t, min(rows, block.rows - i), left);
        t.a += rows * s.a_row, t.c += rows * s.c_row;
      }
    }
  }
}

template <class T>
void dot(const ThinPlan& plan, const void* a, const void* b, void* c, const void* bias,
         void* workspace) {
  run_thin<T>(plan, a, b, c, bias, workspace, multiply<T>);
}

}  // namespace

const ThinKernels dot_kernels = {{dot<float>, dot<double>, dot<bfloat16_t>, dot<float16_t>}};

}  // namespace dlx::DLX_ISA
