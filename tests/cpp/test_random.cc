// Philox against the known answers of its authors, and which element gets which lane.
#ifndef DLX_ISA
#define DLX_ISA portable
#endif
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "core/random.h"

using namespace dlx::DLX_ISA;

#define EXPECT(condition)                                                   \
  do {                                                                      \
    if (!(condition)) {                                                     \
      std::printf("%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
      std::exit(1);                                                         \
    }                                                                       \
  } while (0)

bool equal(const PhiloxBlock& a, const PhiloxBlock& b) {
  for (int lane = 0; lane < 4; ++lane)
    if (a.lane[lane] != b.lane[lane]) return false;
  return true;
}

// Random123's kat_vectors, lines "philox4x32 10": counter, key, result. The third: digits of pi.
void test_known_answers() {
  EXPECT(equal(philox(0, 0, 0), {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}}));
  const uint64_t ones = ~uint64_t{0};
  EXPECT(equal(philox(ones, ones, ones), {{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}}));
  EXPECT(equal(philox(0x299f31d0a4093822, 0x85a308d3243f6a88, 0x0370734413198a2e),
               {{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}));
}

// Any part of the draws, filled on its own, is that part of the whole; 2^32 blocks in, too.
void test_lane_contract() {
  const uint64_t seed = 0x123456789abcdef0;
  for (uint64_t offset : {uint64_t{0}, uint64_t{7}, (uint64_t{1} << 32) - 9, ~uint64_t{0} - 3}) {
    const int64_t n = 203;
    std::vector<uint32_t> guard(n + 1);
    for (int64_t begin = 0; begin <= n; begin += begin < 10 ? 1 : 23)
      for (int64_t end = begin; end <= n; ++end) {
        for (auto& draw : guard) draw = 0xDEADBEEF;
        philox_fill(seed, offset, begin, end, guard.data());
        for (int64_t i = begin; i < end; ++i)
          EXPECT(guard[i - begin] == philox(seed, offset + i / 4).lane[i % 4]);
        EXPECT(guard[end - begin] == 0xDEADBEEF);
      }
  }
  // 64-bit element i, lanes 2 (i mod 2) and + 1 of block offset + i / 2, is the draws 2i and 2i +
  // 1.
  std::vector<uint32_t> draws(40);
  philox_fill(seed, 5, 0, 40, draws.data());
  for (int64_t i = 0; i < 20; ++i) {
    const PhiloxBlock block = philox(seed, 5 + i / 2);
    EXPECT(draws[2 * i] == block.lane[2 * (i % 2)]);
    EXPECT(draws[2 * i + 1] == block.lane[2 * (i % 2) + 1]);
  }
  EXPECT(philox_blocks(0) == 0 && philox_blocks(1) == 1 && philox_blocks(4) == 1);
  EXPECT(philox_blocks(5) == 2);
}

void test_uniform() {
  EXPECT(uniform_float(0) == 0 && uniform_double(0, 0) == 0);
  EXPECT(uniform_float(0xFFFFFFFF) == 1 - 0x1p-24f && uniform_float(0x100) == 0x1p-24f);
  EXPECT(uniform_double(0xFFFFFFFF, 0xFFFFFFFF) == 1 - 0x1p-53);
  EXPECT(uniform_double(0, 0x40) == 0x1p-53 && uniform_double(0x20, 0) == 0x1p-27);
  const int64_t n = 1 << 20;
  std::vector<uint32_t> draws(2 * n);
  philox_fill(42, 0, 0, 2 * n, draws.data());
  double mean32 = 0, mean64 = 0, square = 0;
  for (int64_t i = 0; i < n; ++i) {
    const double x = uniform_double(draws[2 * i], draws[2 * i + 1]);
    mean32 += uniform_float(draws[i]) / n;
    mean64 += x / n;
    square += x * x / n;
  }
  // Five standard errors: sqrt(1 / 12 / n) = 2.8e-4, sqrt(4 / 45 / n) = 2.9e-4.
  EXPECT(mean32 > 0.5 - 1.5e-3 && mean32 < 0.5 + 1.5e-3);
  EXPECT(mean64 > 0.5 - 1.5e-3 && mean64 < 0.5 + 1.5e-3);
  EXPECT(square > 1.0 / 3 - 1.5e-3 && square < 1.0 / 3 + 1.5e-3);
}

int main() {
  test_known_answers();
  test_lane_contract();
  test_uniform();
  std::puts("ok");
}
