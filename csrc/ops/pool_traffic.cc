#include "ops/pool_traffic.h"

#include <numeric>

#include "core/choice.h"
#include "core/machine_limits.h"

namespace dlx {

namespace {

Choice reads("pool_reads", {"near", "far"});
Choice stores("pool_result", {"cached", "streamed"});

}  // namespace

PoolTraffic::PoolTraffic(int64_t bytes, int64_t y_row_bytes)
    : row_bytes(y_row_bytes), far(reads.pick(pays_to_stream(4 * bytes), 0b11)) {
  const bool fits = 0 < row_bytes && row_bytes <= kPoolBlock;
  streams = stores.pick(fits && pays_to_stream(bytes), 1 | fits << 1);
}

// As many as a block has room for, of whole lines if it has room for those.
int64_t PoolTraffic::rows_of_block() const {
  constexpr int64_t kLine = 64;
  const int64_t rows = kPoolBlock / row_bytes, of_lines = kLine / std::gcd(kLine, row_bytes);
  return rows - (rows < of_lines ? 0 : rows % of_lines);
}

}  // namespace dlx
