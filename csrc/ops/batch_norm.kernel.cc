// Sums and affine maps of batch normalisation, for one instruction set.
#include "ops/norm_sums.h"

namespace dlx::DLX_ISA {

namespace {

// ----------------------------------------------------------------------------------------------
// rows: the values of a channel lie side by side

// The block as one dense vector: in place, or copied to `buffer`.
template <class T>
const T* gathered(const NormBlock& b, const T* x, T* buffer) {
  if (b.planes == 1) return x;
  for (int64_t p = 0; p < b.planes; ++p)
    memcpy(buffer + p * b.length, x + p * b.stride, static_cast<size_t>(b.length) * sizeof(T));
  return buffer;
}

template <class T>
void moments(const NormBlock& b, const void* x, double* sum, double* square) {
  alignas(64) T buffer[kNormGather];
  const T* values = gathered(b, static_cast<const T*>(x), buffer);
  const int64_t n = b.planes * b.length;
  const Moments m = moments_of(values, n, b.next ? values + b.next : nullptr);
  *sum = m.sum, *square = m.square;
}

template <class T>
void products(const NormBlock& b, const void* dy0, const void* x0, double mean0, double* sum,
              double* product) {
  alignas(64) T dy_buffer[kNormGather], x_buffer[kNormGather];
  const T* dy = gathered(b, static_cast<const T*>(dy0), dy_buffer);
  const T* x = gathered(b, static_cast<const T*>(x0), x_buffer);
  gradient_sums(b.planes * b.length, dy, x, static_cast<const T*>(nullptr), Mean<T>(mean0), b.next,
                sum, product);
}

// body(channel, element offset, count) for units [begin, end).
template <class Body>
[[gnu::always_inline]] inline void for_units(const NormPlanes& s, int64_t begin, int64_t end,
                                             const Body& body) {
  int64_t plane = s.first + begin / s.pieces * s.step, at = begin % s.pieces * s.piece;
  for (int64_t u = begin; u < end; ++u) {
    const int64_t rest = s.length - at, count = rest < s.piece ? rest : s.piece;
    body(plane % s.channels, plane * s.length + at, count);
    at += count;
    if (at == s.length) plane += s.step, at = 0;
  }
}

// body(offset, count, y) for the parts of a unit, y being where its result goes: to its place, or
// first to a buffer and then past the caches.
template <class T, class Body>
[[gnu::always_inline]] inline void for_results(const NormPlanes& s, int64_t count, T* y,
                                               const Body& body) {
  if (!s.streams) return body(0, count, y);
  alignas(64) T buffer[kNormGather];
  for (int64_t i = 0; i < count; i += kNormGather) {
    const int64_t part = count - i < kNormGather ? count - i : kNormGather;
    body(i, part, buffer);
    stream_bytes(buffer, y + i, part * static_cast<int64_t>(sizeof(T)));
  }
}

// run(finish): finish(y, r) is y with the epilogues, of which the loop then has no branch.
template <class T, class Run>
[[gnu::always_inline]] inline void with_epilogue(const NormAffine& a, const Run& run) {
  const auto relu = [](T y) { return y < 0 ? T{} : y; };
  if (!a.r && !a.relu) return run([](T y, const T*) { return y; });
  if (!a.r) return run([=](T y, const T*) { return relu(y); });
  if (!a.relu) return run([](T y, const T* r) { return y + *r; });
  run([=](T y, const T* r) { return relu(y + *r); });
}

template <class T>
void affine(const NormPlanes& s, int64_t begin, int64_t end, const void* x0, const NormAffine& a,
            void* y0) {
  with_epilogue<T>(a, [&](const auto& finish) {
    for_units(s, begin, end, [&](int64_t c, int64_t offset, int64_t size) {
      const Mean<T> mean(a.mean[c]);
      const T scale = static_cast<T>(a.scale[c]), shift = static_cast<T>(a.shift[c]);
      for_results(s, size, static_cast<T*>(y0) + offset, [&](int64_t first, int64_t count, T* y) {
        const T* x = static_cast<const T*>(x0) + offset + first;
        const T* r = a.r ? static_cast<const T*>(a.r) + offset + first : x;
#pragma GCC ivdep
        for (int64_t i = 0; i < count; ++i) y[i] = finish(mean.from(x[i]) * scale + shift, r + i);
      });
    });
  });
  if (s.streams) end_stream();
}

template <class T>
void gradient(const NormPlanes& s, int64_t begin, int64_t end, const void* dy0, const void* x0,
              const NormGradient& g, void* dx0) {
  for_units(s, begin, end, [&](int64_t c, int64_t offset, int64_t size) {
    const T scale = static_cast<T>(g.scale[c]), weight = static_cast<T>(g.weight ? g.weight[c] : 1);
    const Mean<T> mean(g.slope ? g.mean[c] : 0);
    const T mean_dy = g.slope ? static_cast<T>(g.mean_dy[c]) : T{},
            slope = g.slope ? static_cast<T>(g.slope[c]) : T{};
    for_results(s, size, static_cast<T*>(dx0) + offset, [&](int64_t first, int64_t count, T* dx) {
      const T* dy = static_cast<const T*>(dy0) + offset + first;
      const T* x = static_cast<const T*>(x0) + offset + first;
      if (!g.slope) {
#pragma GCC ivdep
        for (int64_t i = 0; i < count; ++i) dx[i] = dy[i] * scale;
        return;
      }
      const auto each = [&](const auto& weighted) {
#pragma GCC ivdep
        for (int64_t i = 0; i < count; ++i)
          dx[i] = ((weighted(dy[i]) - mean_dy) - mean.from(x[i]) * slope) * scale;
      };
      if (!g.weight) return each([](T v) { return v; });
      each([=](T v) { return v * weight; });
    });
  });
  if (s.streams) end_stream();
}

// ----------------------------------------------------------------------------------------------
// columns: the values of a channel stand one below the other

// Per column, a mean in its two parts.
template <class T>
struct ColumnMeans {
  alignas(64) T hi[kNormTile], lo[kNormTile];
  void set(int64_t j, double mean) {
    const Mean<T> m(mean);
    hi[j] = m.hi, lo[j] = m.lo;
  }
  [[gnu::always_inline]] T from(T x, int64_t j) const { return (x - hi[j]) - lo[j]; }
};

int64_t channel(const NormColumns& s, int64_t j) { return (s.first + j) / s.length; }

template <class T>
void moments_columns(const NormColumns& s, const void* x0, double* sum, double* square) {
  const T* x = static_cast<const T*>(x0);
  ColumnSums<double> sums;
  ColumnSums<T> squares;
  sums.add(s.rows, s.count,
           [&](int64_t r, int64_t j) { return static_cast<double>(x[r * s.stride + j]); });
  sums.store(s.count, sum);
  ColumnMeans<T> mean;
  for (int64_t j = 0; j < s.count; ++j) mean.set(j, sum[j] / static_cast<double>(s.rows));
  squares.add(s.rows, s.count, [&](int64_t r, int64_t j) {
    const T d = mean.from(x[r * s.stride + j], j);
    return d * d;
  });
  squares.store(s.count, square);
}

template <class T>
void products_columns(const NormColumns& s, const void* dy0, const void* x0, const double* mean0,
                      double* sum, double* product) {
  const T *dy = static_cast<const T*>(dy0), *x = static_cast<const T*>(x0);
  ColumnMeans<T> mean;
  for (int64_t j = 0; j < s.count; ++j) mean.set(j, mean0[channel(s, j)]);
  ColumnSums<T> sums, products;
  sums.add(s.rows, s.count, [&](int64_t r, int64_t j) { return dy[r * s.stride + j]; });
  products.add(s.rows, s.count, [&](int64_t r, int64_t j) {
    return dy[r * s.stride + j] * mean.from(x[r * s.stride + j], j);
  });
  sums.store(s.count, sum);
  products.store(s.count, product);
}

template <class T>
void affine_columns(const NormColumns& s, const void* x0, const NormAffine& a, void* y0) {
  ColumnMeans<T> mean;
  alignas(64) T scale[kNormTile], shift[kNormTile];
  for (int64_t j = 0; j < s.count; ++j) {
    const int64_t c = channel(s, j);
    mean.set(j, a.mean[c]);
    scale[j] = static_cast<T>(a.scale[c]), shift[j] = static_cast<T>(a.shift[c]);
  }
  with_epilogue<T>(a, [&](const auto& finish) {
    for (int64_t row = 0; row < s.rows; ++row) {
      const T* x = static_cast<const T*>(x0) + row * s.stride;
      const T* r = a.r ? static_cast<const T*>(a.r) + row * s.stride : x;
      T* y = static_cast<T*>(y0) + row * s.stride;
#pragma GCC ivdep
      for (int64_t j = 0; j < s.count; ++j)
        y[j] = finish(mean.from(x[j], j) * scale[j] + shift[j], r + j);
    }
  });
}

template <class T>
void gradient_columns(const NormColumns& s, const void* dy0, const void* x0, const NormGradient& g,
                      void* dx0) {
  const T *dy = static_cast<const T*>(dy0), *x = static_cast<const T*>(x0);
  T* dx = static_cast<T*>(dx0);
  ColumnMeans<T> mean;
  alignas(64) T mean_dy[kNormTile], slope[kNormTile], scale[kNormTile];
  for (int64_t j = 0; j < s.count; ++j) {
    const int64_t c = channel(s, j);
    scale[j] = static_cast<T>(g.scale[c]);
    if (!g.slope) continue;
    mean.set(j, g.mean[c]);
    mean_dy[j] = static_cast<T>(g.mean_dy[c]), slope[j] = static_cast<T>(g.slope[c]);
  }
  for (int64_t r = 0; r < s.rows; ++r, dy += s.stride, x += s.stride, dx += s.stride) {
    if (!g.slope) {
#pragma GCC ivdep
      for (int64_t j = 0; j < s.count; ++j) dx[j] = dy[j] * scale[j];
      continue;
    }
#pragma GCC ivdep
    for (int64_t j = 0; j < s.count; ++j)
      dx[j] = ((dy[j] - mean_dy[j]) - mean.from(x[j], j) * slope[j]) * scale[j];
  }
}

}  // namespace

extern const BatchNormTable batch_norm_table;
const BatchNormTable batch_norm_table = {
    {moments<float>, moments<double>},
    {moments_columns<float>, moments_columns<double>},
    {products<float>, products<double>},
    {products_columns<float>, products_columns<double>},
    {affine<float>, affine<double>},
    {affine_columns<float>, affine_columns<double>},
    {gradient<float>, gradient<double>},
    {gradient_columns<float>, gradient_columns<double>},
    total_of<double>,
};

}  // namespace dlx::DLX_ISA
