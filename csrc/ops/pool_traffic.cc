#include "ops/pool_traffic.h"

#include <algorithm>
#include <numeric>

#include "core/choice.h"
#include "core/machine_limits.h"

namespace dlx {

namespace {

Choice reads("pool_reads", {"near", "far"});
Choice stores("pool_result", {"cached", "streamed"});

}  // namespace

PoolTraffic::PoolTraffic(int64_t bytes, int64_t y_row_bytes)
    : row_bytes(y_row_bytes), far(reads.pick(pays_to_stream(bytes), 0b11)) {
  const bool fits = 0 < row_bytes && row_bytes <= kPoolBlock;
  streams = stores.pick(fits && pays_to_stream(bytes), 1 | fits << 1);
}

// Few, for nothing is read while a block is written; of whole lines if there is room for those.
int64_t PoolTraffic::rows_of_block() const {
  constexpr int64_t kLine = 64, kFew = 2048;  // bytes
  const int64_t of_lines = kLine / std::gcd(kLine, row_bytes);
  const int64_t rows = (kFew / row_bytes / of_lines + 1) * of_lines;
  return std::min(rows, kPoolBlock / row_bytes);
}

}  // namespace dlx
