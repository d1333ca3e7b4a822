// Rows of elements between two layouts, for one instruction set. A call of memcpy costs as much as
// a row of an image takes; these copy in place.
#include "core/simd.h"
#include "ops/copy_rows_table.h"
#include "ops/transpose_table.h"

namespace dlx::DLX_ISA {
namespace {

// n bytes by pieces of kBytes, the last of which reaches back; fewer by shorter pieces.
template <int kBytes = kVecBytes>
[[gnu::always_inline]] inline void copy_bytes(const char* x, char* y, int64_t n) {
  if (n >= kBytes) {
    for (int64_t i = 0; i + kBytes <= n; i += kBytes) memcpy(y + i, x + i, kBytes);
    memcpy(y + n - kBytes, x + n - kBytes, kBytes);
  } else if constexpr (kBytes > 1) {
    copy_bytes<kBytes / 2>(x, y, n);
  }
}

template <class T>
constexpr int64_t kWidth = kVecBytes / static_cast<int64_t>(sizeof(T));

template <class T>
[[gnu::always_inline]] inline void copy_row(const T* x, T* y, int64_t n) {
  constexpr int64_t kLong = 4096;  // bytes: from there on memcpy knows better
  const int64_t bytes = n * static_cast<int64_t>(sizeof(T));
  if (bytes >= kLong) {
    memcpy(y, x, static_cast<size_t>(bytes));
  } else {
    copy_bytes(reinterpret_cast<const char*>(x), reinterpret_cast<char*>(y), bytes);
  }
}

template <class T>
[[gnu::always_inline]] inline void fill_row(T x, T* y, int64_t n) {
  constexpr int64_t W = kWidth<T>;
  if (n < W) {
    for (int64_t i = 0; i < n; ++i) y[i] = x;
    return;
  }
  T piece[W];
  for (T& v : piece) v = x;
  for (int64_t i = 0; i + W <= n; i += W) memcpy(y + i, piece, sizeof piece);
  memcpy(y + n - W, piece, sizeof piece);
}

// y[i] = x[-i]
template <class T>
[[gnu::always_inline]] inline void reverse_row(const T* x, T* y, int64_t n) {
  constexpr int64_t W = kWidth<T>;
  if (n < W) {
    for (int64_t i = 0; i < n; ++i) y[i] = x[-i];
    return;
  }
  const auto at = [=](int64_t i) {
    typedef T Elements __attribute__((vector_size(kVecBytes)));
    Elements v, places;
    memcpy(&v, x - i - (W - 1), sizeof v);
    for (int64_t k = 0; k < W; ++k) places[k] = static_cast<T>(W - 1 - k);
    v = __builtin_shuffle(v, places);
    memcpy(y + i, &v, sizeof v);
  };
  for (int64_t i = 0; i + W <= n; i += W) at(i);
  at(n - W);
}

// Rows of y that lie across those of x: transposes.
template <class T>
void turn(const T* x, int64_t x_row, T* y, int64_t y_row, int64_t rows, int64_t n) {
  constexpr int kSize = sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 1 : sizeof(T) == 4 ? 2 : 3;
  const auto& turns = transpose_table.functions[static_cast<int>(TransposeWay::ahead)];
  const int64_t most = n < kTransposeBlock ? kTransposeBlock / n : 1;
  for (int64_t i = 0, wide; i < n; i += wide) {
    wide = n - i < kTransposeBlock ? n - i : kTransposeBlock;
    for (int64_t r = 0, some; r < rows; r += some) {
      some = rows - r < most ? rows - r : most;
      turns.of[kSize](x + r + i * x_row, x_row, y + r * y_row + i, y_row, wide, some);
    }
  }
}

template <class T>
void rows_of(const void* x0, RowsLayout from, void* y0, RowsLayout to, int64_t rows, int64_t n) {
  const T* x = static_cast<const T*>(x0);
  T* y = static_cast<T*>(y0);
  const auto each_row = [&](const auto& copy) {
    for (int64_t r = 0; r < rows; ++r) copy(x + r * from.row, y + r * to.row);
  };
  if (to.step == 1 && from.step == 1) return each_row([n](const T* a, T* b) { copy_row(a, b, n); });
  if (to.step == 1 && from.step == 0)
    return each_row([n](const T* a, T* b) { fill_row(*a, b, n); });
  if (to.step == 1 && from.step == -1)
    return each_row([n](const T* a, T* b) { reverse_row(a, b, n); });
  constexpr int64_t kFew = 4;
  if (to.step == 1 && from.row == 1 && from.step > 1 && to.row >= n && rows >= kFew && n >= kFew)
    return turn(x, from.step, y, to.row, rows, n);
  each_row([&](const T* a, T* b) {
    for (int64_t i = 0; i < n; ++i) b[i * to.step] = a[i * from.step];
  });
}

}  // namespace

extern const CopyRowsTable copy_rows_table;
const CopyRowsTable copy_rows_table = {
    {rows_of<uint8_t>, rows_of<uint16_t>, rows_of<uint32_t>, rows_of<uint64_t>}};

}  // namespace dlx::DLX_ISA
