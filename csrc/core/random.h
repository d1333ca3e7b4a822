// Philox for kernel files, block by block (philox.h) and many blocks at a time: all code inside the
// level.
#pragma once
#include <cstdint>

#include "core/simd.h"

namespace dlx::DLX_ISA {

#include "core/philox.h"

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

}  // namespace dlx::DLX_ISA
