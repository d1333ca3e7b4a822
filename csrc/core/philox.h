// Philox4x32-10, a counter-based generator: Salmon, Moraes, Dror, Shaw, "Parallel random numbers:
// as easy as 1, 2, 3" (SC 2011). A draw is a function of (seed, block, lane) alone, so any thread
// and any vector width may compute any part. Included inside namespace dlx::<instruction set> or
// dlx::cuda.
//
// 32-bit draws: element i is lane i mod 4 of block offset + i / 4. 64-bit draws: element i is the
// lanes 2 (i mod 2) and 2 (i mod 2) + 1 of block offset + i / 2, that is the 32-bit draws 2i and
// 2i + 1. A random op over n elements advances the counter by philox_blocks(draws).
#pragma once

struct PhiloxBlock {
  uint32_t lane[4];
};

constexpr int64_t philox_blocks(int64_t draws) { return (draws + 3) / 4; }

// Counter (block, stream), key seed; each 64-bit word low half first. No branches: a loop over
// blocks becomes vector code.
[[gnu::always_inline]] constexpr PhiloxBlock philox(uint64_t seed, uint64_t block,
                                                    uint64_t stream = 0) {
  uint32_t c0 = static_cast<uint32_t>(block), c1 = static_cast<uint32_t>(block >> 32);
  uint32_t c2 = static_cast<uint32_t>(stream), c3 = static_cast<uint32_t>(stream >> 32);
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
#if !defined(__CUDACC__)  // which unrolls it, and does not know this
#pragma GCC unroll 10
#endif
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

// Uniform on the multiples of 2^-24 in [0, 1). Through int32: AVX2 converts no unsigned integers.
[[gnu::always_inline]] constexpr float uniform_float(uint32_t draw) {
  return static_cast<float>(static_cast<int32_t>(draw >> 8)) * 0x1p-24f;
}

// Uniform on the multiples of 2^-53 in [0, 1): 27 bits of `high`, 26 of `low`, every step exact.
[[gnu::always_inline]] constexpr double uniform_double(uint32_t high, uint32_t low) {
  const double top = static_cast<int32_t>(high >> 5), rest = static_cast<int32_t>(low >> 6);
  return (top * 0x1p26 + rest) * 0x1p-53;
}
