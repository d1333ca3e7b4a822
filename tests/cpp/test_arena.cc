// place_blocks: no two blocks that are in use at once overlap, and little room is lost.
#include <cstdio>
#include <cstdlib>
#include <random>

#include "core/allocator.h"
#include "program/arena.h"

using namespace dlx;

namespace {

void require(bool holds, const char* what, unsigned seed) {
  if (holds) return;
  std::printf("seed %u: %s\n", seed, what);
  std::exit(1);
}

bool together(const ArenaBlock& a, const ArenaBlock& b) {
  return a.first <= b.last && b.first <= a.last;
}

void check(unsigned seed) {
  std::mt19937 draw(seed);
  std::vector<ArenaBlock> blocks(1 + draw() % 60);
  std::vector<ArenaBlock*> all;
  for (ArenaBlock& b : blocks) {
    b.bytes = draw() % 3 ? draw() % 5000 : 0;
    b.first = static_cast<int32_t>(draw() % 40);
    b.last = b.first + static_cast<int32_t>(draw() % 12);
    all.push_back(&b);
  }
  const int64_t bytes = place_blocks(all);
  int64_t most = 0;  // in use at once
  for (int32_t now = 0; now < 52; ++now) {
    int64_t sum = 0;
    for (const ArenaBlock& b : blocks)
      if (b.first <= now && now <= b.last) sum += b.bytes;
    most = std::max(most, sum);
  }
  for (size_t i = 0; i < blocks.size(); ++i) {
    const ArenaBlock& a = blocks[i];
    require(a.place >= 0 && a.place % kAlignment == 0, "a place is not aligned", seed);
    require(a.place + a.bytes <= bytes, "a block ends outside of the arena", seed);
    for (size_t k = 0; k < i; ++k) {
      const ArenaBlock& b = blocks[k];
      require(!together(a, b) || a.place + a.bytes <= b.place || b.place + b.bytes <= a.place,
              "two blocks overlap", seed);
    }
  }
  require(bytes >= most, "the arena is smaller than what is in use at once", seed);
  require(bytes <= 2 * most, "the arena is twice as large as what is in use at once", seed);
}

}  // namespace

int main() {
  require(place_blocks({}) == 0, "nothing needs room", 0);
  for (unsigned seed = 0; seed < 500; ++seed) check(seed);
  std::printf("ok\n");
}
