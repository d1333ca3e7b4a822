// Philox4x32-10, a counter-based generator: Salmon, Moraes, Dror, Shaw, "Parallel random numbers:
// as easy as 1, 2, 3" (SC 2011). A draw is a function of (seed, block, lane) alone, so any thread
// and any vector width may compute any part. For kernel files: all code inside the level.
//
// 32-bit draws: element i is lane i mod 4 of block offset + i / 4. 64-bit draws: element i is the
// lanes 2 (i mod 2) and 2 (i mod 2) + 1 of block offset + i / 2, that is the 32-bit draws 2i and
// 2i + 1. A random op over n elements advances the counter by philox_blocks(draws).
#pragma once
#include <cstdint>

#include "core/simd.h"

namespace dlx::DLX_ISA {

struct PhiloxBlock {
  uint32_t lane[4];
};

static constexpr int64_t philox_blocks(int64_t draws) { return (draws + 3) / 4; }

// Counter (block, stream), key seed; each 64-bit word low half first. No branches: a loop over
// blocks becomes vector code.
[[gnu::always_inline]] static inline PhiloxBlock philox(uint64_t seed, uint64_t block,
                                                        uint64_t stream = 0) {
  uint32_t c0 = static_cast<uint32_t>(block), c1 = static_cast<uint32_t>(block >> 32);
  uint32_t c2 = static_cast<uint32_t>(stream), c3 = static_cast<uint32_t>(stream >> 32);
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53} * c0, p1 = uint64_t{0xCD9E8D57} * c2;
    c0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c1 = static_cast<uint32_t>(p1);
    c2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c3 = static_cast<uint32_t>(p0);
    k0 += 0x9E3779B9;  // the Weyl sequences of the key: golden ratio, sqrt(3) - 1
    k1 += 0xBB67AE85;
  }
  return {{c0, c1, c2, c3}};
}

// Blocks side by side, one in each 64-bit lane.
typedef uint64_t PhiloxVec __attribute__((vector_size(kVecBytes)));
typedef uint32_t PhiloxHalves __attribute__((vector_size(kVecBytes)));
constexpr int kPhiloxLanes = kVecBytes / 8;

// The products of the lanes' lower halves.
[[gnu::always_inline]] static inline PhiloxVec multiply_low(PhiloxVec a, PhiloxVec b) {
#if defined(__AVX512F__)
  const auto x = reinterpret_cast<__m512i>(a), y = reinterpret_cast<__m512i>(b);
  return reinterpret_cast<PhiloxVec>(_mm512_maskz_mul_epu32(0xff, x, y));  // g++ 12 warns without
#elif defined(__AVX2__)
  return reinterpret_cast<PhiloxVec>(
      _mm256_mul_epu32(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
#elif defined(__SSE2__)
  return reinterpret_cast<PhiloxVec>(
      _mm_mul_epu32(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
#else
  return (a & 0xffffffff) * (b & 0xffffffff);
#endif
}

// The lanes' upper halves, below anything. A shuffle: shifts and products share a port on x86.
[[gnu::always_inline]] static inline PhiloxVec upper_halves(PhiloxVec a) {
  PhiloxHalves halves = reinterpret_cast<PhiloxHalves>(a), order;
  for (int i = 0; i < 2 * kPhiloxLanes; ++i) order[i] = static_cast<uint32_t>(i | 1);
  return reinterpret_cast<PhiloxVec>(__builtin_shuffle(halves, order));
}

// philox() of `count` blocks from `first` on, kPhiloxVectors vectors at a time to hide what a
// product waits for; returns how many it wrote. Upper halves of the counter's words are rubbish.
[[maybe_unused]] static int64_t philox_vectors(uint64_t seed, uint64_t first, int64_t count,
                                               uint32_t* __restrict out) {
  constexpr int kPhiloxVectors = 4, kBlocks = kPhiloxVectors * kPhiloxLanes;
  PhiloxVec index, even, odd;  // the lanes' numbers, and the order in which halves of blocks stand
  for (int i = 0; i < kPhiloxLanes; ++i) {
    index[i] = static_cast<uint64_t>(i);
    even[i] = static_cast<uint64_t>(i / 2 + i % 2 * kPhiloxLanes);
    odd[i] = even[i] + kPhiloxLanes / 2;
  }
  const PhiloxVec m0 = PhiloxVec{} + 0xD2511F53, m1 = PhiloxVec{} + 0xCD9E8D57;
  int64_t b = 0;
  for (; b + kBlocks <= count; b += kBlocks) {
    PhiloxVec c0[kPhiloxVectors], c1[kPhiloxVectors], c2[kPhiloxVectors], c3[kPhiloxVectors];
    for (int v = 0; v < kPhiloxVectors; ++v) {
      c0[v] = index + (first + static_cast<uint64_t>(b + v * kPhiloxLanes));
      c1[v] = c0[v] >> 32;
      c2[v] = c3[v] = PhiloxVec{};
    }
    uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
#pragma GCC unroll 10
    for (int round = 0; round < 10; ++round, k0 += 0x9E3779B9, k1 += 0xBB67AE85) {
#pragma GCC unroll 4
      for (int v = 0; v < kPhiloxVectors; ++v) {
        const PhiloxVec p0 = multiply_low(c0[v], m0), p1 = multiply_low(c2[v], m1);
        c0[v] = upper_halves(p1) ^ c1[v] ^ uint64_t { k0 };
        c2[v] = upper_halves(p0) ^ c3[v] ^ uint64_t { k1 };
        c1[v] = p1, c3[v] = p0;
      }
    }
    for (int v = 0; v < kPhiloxVectors; ++v) {
      const PhiloxVec low = (c0[v] & 0xffffffff) | c1[v] << 32;
      const PhiloxVec high = (c2[v] & 0xffffffff) | c3[v] << 32;
      const PhiloxVec blocks[] = {__builtin_shuffle(low, high, even),
                                  __builtin_shuffle(low, high, odd)};
      memcpy(out + 4 * (b + v * kPhiloxLanes), blocks, sizeof blocks);
    }
  }
  return b;
}

// out: (end - begin), the 32-bit draws begin .. end of the counter `offset`; 0 <= begin <= end.
// Fill a buffer of the L1 cache's size, then map it element by element with the functions below.
[[maybe_unused]] static void philox_fill(uint64_t seed, uint64_t offset, int64_t begin, int64_t end,
                                         uint32_t* __restrict out) {
  int64_t i = begin;
  for (; i < end && i % 4 != 0; ++i) *out++ = philox(seed, offset + i / 4).lane[i % 4];
  const uint64_t first = offset + i / 4;
  const int64_t blocks = (end - i) / 4;
  for (int64_t b = philox_vectors(seed, first, blocks, out); b < blocks; ++b) {
    const PhiloxBlock r = philox(seed, first + b);
    for (int lane = 0; lane < 4; ++lane) out[4 * b + lane] = r.lane[lane];
  }
  out += 4 * blocks;
  for (i += 4 * blocks; i < end; ++i) *out++ = philox(seed, offset + i / 4).lane[i % 4];
}

// Uniform on the multiples of 2^-24 in [0, 1). Through int32: AVX2 converts no unsigned integers.
[[gnu::always_inline]] static inline float uniform_float(uint32_t draw) {
  return static_cast<float>(static_cast<int32_t>(draw >> 8)) * 0x1p-24f;
}

// Uniform on the multiples of 2^-53 in [0, 1): 27 bits of `high`, 26 of `low`, every step exact.
[[gnu::always_inline]] static inline double uniform_double(uint32_t high, uint32_t low) {
  const double top = static_cast<int32_t>(high >> 5), rest = static_cast<int32_t>(low >> 6);
  return (top * 0x1p26 + rest) * 0x1p-53;
}

}  // namespace dlx::DLX_ISA
