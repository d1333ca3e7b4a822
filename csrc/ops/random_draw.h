// What every op that draws shares: its turn at the generator's cell, and chunks of whole blocks.
#pragma once
#include <algorithm>

#include "core/parallel.h"
#include "ops/map.h"
#include "ops/random.h"
#include "ops/random_table.h"

namespace dlx {

const RandomTable& random_table();  // of the instruction set in force

namespace cpu {

constexpr int64_t kDrawGrain = 16384;  // elements a chunk: 10-50 us
constexpr int64_t kDrawBlock = 1024;   // elements of half precision drawn at a time

inline bool is_half(DType t) { return size_of(t) == 2; }
inline int float_index(DType t) { return t == DType::float64; }

// Takes its blocks from the generator. Atomic, because two Python threads may draw at once.
inline RandomRange advance(void* cell, int64_t n, int64_t bytes) {
  auto* words = static_cast<uint64_t*>(cell);
  return {words[0], __atomic_fetch_add(&words[1], random_blocks(n, bytes), __ATOMIC_RELAXED), 0, n};
}

// body(range): chunks that begin at multiples of 4 elements.
template <class F>
void for_each_chunk(const RandomRange& all, const F& body) {
  parallel_for((all.end + 3) / 4, effective_grain(kDrawGrain / 4), [&](int64_t begin, int64_t end) {
    body(RandomRange{all.seed, all.offset, 4 * begin, std::min(4 * end, all.end)});
  });
}

inline void convert(DType from, DType to, const void* x, void* y, int64_t n) {
  map_table().convert[static_cast<int>(from)][static_cast<int>(to)](x, y, n);
}

}  // namespace cpu
}  // namespace dlx
