// How the rows of a pooling result are read for and written. Not for kernel files.
#pragma once
#include <algorithm>

#include "core/parallel.h"
#include "ops/map.h"

namespace dlx {

constexpr int64_t kPoolBlock = 8192;  // bytes of y, at most, that go past the caches at a time

struct PoolTraffic {
  int64_t row_bytes;  // of y
  bool far;           // what a forward pass reads is beyond all caches
  bool streams;       // y goes past them all

  // bytes: all that is read and written.
  PoolTraffic(int64_t bytes, int64_t y_row_bytes);

  // write(begin, end, y) for rows [begin, end) of y. Where y streams, what write gets is a block in
  // L1 that row `begin` stands first in.
  template <class Write>
  void write_rows(int64_t rows, int64_t grain, void* y, const Write& write) const {
    if (!streams)
      return parallel_for(rows, grain, [&](int64_t begin, int64_t end) { write(begin, end, y); });
    const int64_t step = rows_of_block(), whole = (grain + step - 1) / step * step;
    parallel_for(rows, effective_grain(whole), [&](int64_t begin, int64_t end) {
      alignas(64) char block[kPoolBlock];
      for (int64_t next; begin < end; begin = next) {
        next = std::min(begin + step, end);
        write(begin, next, block - begin * row_bytes);
        char* to = static_cast<char*>(y) + begin * row_bytes;
        map_table().stream(block, to, (next - begin) * row_bytes);
      }
      map_table().end_stream();
    });
  }

 private:
  int64_t rows_of_block() const;
};

}  // namespace dlx
