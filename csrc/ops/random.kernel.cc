// Draws and dropout for one instruction set.
#include "core/random.h"

#include "ops/random_table.h"

namespace dlx::DLX_ISA {

#include "ops/math_functions.h"
#include "ops/random_functions.h"

namespace {

constexpr int64_t kBlock = 2048;  // words drawn at a time: 8 KB, with as much output, stay in L1

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
    for (int64_t i = 0; i < n; ++i) y[i] = uniform_of(words + i * kWords<T>, a, w, most);
  });
}

template <class T>
void normal(const RandomRange& r, double mean, double std, void* out) {
  const T m = static_cast<T>(mean), s = static_cast<T>(std);
  for_each_block<kWords<T>>(r, [&](const uint32_t* words, int64_t at, int64_t n) {
    T* y = static_cast<T*>(out) + at;
    for (int64_t i = 0; i < n / 2; ++i)
      normal_pair(words + 2 * i * kWords<T>, m, s, y[2 * i], y[2 * i + 1]);
    if (n % 2) {  // the last element's partner is drawn, not written
      uint32_t rest[2 * kWords<T>];
      philox_fill(r.seed, r.offset, (r.end - 1) * kWords<T>, (r.end + 1) * kWords<T>, rest);
      T unused;
      normal_pair(rest, m, s, y[n - 1], unused);
    }
  });
}

void words64(const RandomRange& r, uint64_t* y) {
  for_each_block<2>(r, [&](const uint32_t* words, int64_t at, int64_t n) {
    for (int64_t i = 0; i < n; ++i) y[at + i] = word64(words + 2 * i);
  });
}

template <class T>
void dropout(const RandomRange& r, int32_t threshold, double scale, const void* in, void* out) {
  const T factor = static_cast<T>(scale);
  for_each_block<1>(r, [&](const uint32_t* words, int64_t at, int64_t n) {
    const T* x = static_cast<const T*>(in) + at;
    T* y = static_cast<T*>(out) + at;
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) y[i] = kept_or_zero(words[i], threshold, x[i], factor);
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
