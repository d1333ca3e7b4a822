// The static plan of memory: blocks that live from one launch to another, in one arena.
#pragma once
#include <cstdint>
#include <vector>

namespace dlx {

struct ArenaBlock {
  int64_t bytes;
  int32_t first, last;  // launches between which it is in use, both included
  int64_t place = 0;    // its offset in the arena
};

// Places the blocks so that no two that are in use at once overlap; the bytes of the arena. The
// largest first, each at the lowest place that is free during its life (Pisarchyk and Lee 2020,
// "greedy by size").
int64_t place_blocks(std::vector<ArenaBlock*> blocks);

}  // namespace dlx
