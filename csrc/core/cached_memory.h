// For what knows better than the allocator that memory will not be asked for again.
#pragma once
#include <cstdint>

namespace dlx {

// Gives back to the system that many bytes of the host memory that waits to be used again, or all.
void give_back_cached(int64_t bytes);

}  // namespace dlx
