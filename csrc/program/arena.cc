#include "program/arena.h"

#include <algorithm>

#include "core/allocator.h"

namespace dlx {

int64_t place_blocks(std::vector<ArenaBlock*> blocks) {
  std::stable_sort(blocks.begin(), blocks.end(),
                   [](const ArenaBlock* a, const ArenaBlock* b) { return a->bytes > b->bytes; });
  int64_t end = 0;
  std::vector<ArenaBlock*> placed;  // in the order of places
  for (ArenaBlock* b : blocks) {
    const int64_t bytes =
        (std::max<int64_t>(b->bytes, 1) + kAlignment - 1) / kAlignment * kAlignment;
    int64_t place = 0;
    for (const ArenaBlock* other : placed) {
      if (other->last < b->first || b->last < other->first) continue;
      if (place + bytes <= other->place) break;
      place = std::max(place, other->place + other->bytes);
    }
    b->place = place;
    b->bytes = bytes;
    const auto above = [](const ArenaBlock* x, const ArenaBlock* y) { return x->place < y->place; };
    placed.insert(std::upper_bound(placed.begin(), placed.end(), b, above), b);
    end = std::max(end, place + bytes);
  }
  return end;
}

}  // namespace dlx
