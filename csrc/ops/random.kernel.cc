// Draws and dropout for one instruction set. No FMA and no libm for float32, so that every
// instruction set gives the same bits.
#include "core/random.h"

#include "ops/random_table.h"

namespace dlx::DLX_ISA {

#include "ops/math_functions.h"

namespace {

constexpr int64_t kBlock = 2048;  // words drawn at a time: 8 KB, with as much output, stay in L1

template <class T>
constexpr int64_t kWords = sizeof(T) / 4;  // 32-bit words an element is made of

inline float unit(const uint32_t* words, float) { return uniform_float(words[0]); }
inline double unit(const uint32_t* words, double) { return uniform_double(words[1], words[0]); }

// body(words, i, n): the words of the elements begin + i .. begin + i + n; i is a multiple of 4.
template <int64_t words_each, class F>
void for_each_block(const RandomRange& r, const F& body) {
  alignas(64) uint32_t words[kBlock];
  const int64_t n = r.end - r.begin, step = kBlock / words_each;
  for (int64_t i = 0; i < n; i += step) {
    const int64_t count = n - i < step ? n - i : step;
    const int64_t first = (r.begin + i) * words_each;
    philox_fill(r.seed, r.offset, first, first + count * words_each, words);
    body(words, i, count);
  }
}

template <class T>
void uniform(const RandomRange& r, double low, double width, double last, void* out) {
  const T a = static_cast<T>(low), w = static_cast<T>(width), most = static_cast<T>(last);
  for_each_block<kWords<T>>(r, [&](const uint32_t* words, int64_t at, int64_t n) {
    T* y = static_cast<T*>(out) + at;
    for (int64_t i = 0; i < n; ++i) {
      const T value = a + w * unit(words + i * kWords<T>, T{});
      y[i] = value < most ? value : most;
    }
  });
}

inline float log_of(float x) { return math::log<false>(x); }
inline double log_of(double x) { return math::log(x); }

// G. Box, M. Muller, "A note on the generation of random normal deviates" (1958): two from two.
// 1 - u0 is exact and never 0.
template <class T>
void normal(const RandomRange& r, double mean, double std, void* out) {
  const T m = static_cast<T>(mean), s = static_cast<T>(std);
  const auto pair = [m, s](const uint32_t* words, T& even, T& odd) {
    const T radius = math::sqrt(T{-2} * log_of(T{1} - unit(words, T{})));
    T sine, cosine;
    math::sincos_turns(unit(words + kWords<T>, T{}), sine, cosine);
    even = m + s * (radius * cosine);
    odd = m + s * (radius * sine);
  };
  for_each_block<kWords<T>>(r, [&](const uint32_t* words, int64_t at, int64_t n) {
    T* y = static_cast<T*>(out) + at;
    for (int64_t i = 0; i < n / 2; ++i) pair(words + 2 * i * kWords<T>, y[2 * i], y[2 * i + 1]);
    if (n % 2) {  // the last element's partner is drawn, not written
      uint32_t rest[2 * kWords<T>];
      philox_fill(r.seed, r.offset, (r.end - 1) * kWords<T>, (r.end + 1) * kWords<T>, rest);
      T unused;
      pair(rest, y[n - 1], unused);
    }
  });
}

void words64(const RandomRange& r, uint64_t* y) {
  for_each_block<2>(r, [&](const uint32_t* words, int64_t at, int64_t n) {
    for (int64_t i = 0; i < n; ++i) y[at + i] = uint64_t{words[2 * i + 1]} << 32 | words[2 * i];
  });
}

template <class T>
void dropout(const RandomRange& r, int32_t threshold, double scale, const void* in, void* out) {
  const T factor = static_cast<T>(scale);
  for_each_block<1>(r, [&](const uint32_t* words, int64_t at, int64_t n) {
    const T* x = static_cast<const T*>(in) + at;
    T* y = static_cast<T*>(out) + at;
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) {
      const bool keep = static_cast<int32_t>(words[i] >> 8) >= threshold;
      const T scaled = x[i] * factor;
      y[i] = keep ? scaled : T{};
    }
  });
}

}  // namespace

extern const RandomTable random_table;
const RandomTable random_table = {
    {uniform<float>, uniform<double>},
    {normal<float>, normal<double>},
    words64,
    {dropout<float>, dropout<double>},
};

}  // namespace dlx::DLX_ISA
