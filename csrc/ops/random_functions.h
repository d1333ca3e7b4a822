// What the ops that draw make of the words of a Philox block. No FMA and no libm for float32, so
// that every instruction set and every device gives the same bits. Included inside namespace
// dlx::<instruction set> or dlx::cuda, after math_functions.h and philox.h.
#pragma once

template <class T>
constexpr int64_t kWords = sizeof(T) / 4;  // 32-bit words an element is made of

constexpr float unit(const uint32_t* words, float) { return uniform_float(words[0]); }
constexpr double unit(const uint32_t* words, double) { return uniform_double(words[1], words[0]); }

// low + width u, at most `most`
template <class T>
[[gnu::always_inline]] constexpr T uniform_of(const uint32_t* words, T low, T width, T most) {
  const T value = low + width * unit(words, T{});
  return value < most ? value : most;
}

constexpr float log_of(float x) { return math::log<false>(x); }
constexpr double log_of(double x) { return math::log(x); }

// G. Box, M. Muller, "A note on the generation of random normal deviates" (1958): two from two.
// 1 - u0 is exact and never 0.
template <class T>
[[gnu::always_inline]] constexpr void normal_pair(const uint32_t* words, T mean, T std, T& even,
                                                  T& odd) {
  const T radius = math::sqrt(T{-2} * log_of(T{1} - unit(words, T{})));
  T sine{}, cosine{};
  math::sincos_turns(unit(words + kWords<T>, T{}), sine, cosine);
  even = mean + std * (radius * cosine);
  odd = mean + std * (radius * sine);
}

constexpr uint64_t word64(const uint32_t* words) { return uint64_t{words[1]} << 32 | words[0]; }

// x factor where the upper 24 bits of the element's word are >= threshold, else 0
template <class T>
[[gnu::always_inline]] constexpr T kept_or_zero(uint32_t word, int32_t threshold, T x, T factor) {
  const bool keep = static_cast<int32_t>(word >> 8) >= threshold;
  const T scaled = x * factor;
  return keep ? scaled : T{};
}
