// Memory for tests: filled with NaN bits, and with guard bytes behind it that no kernel may touch.
#pragma once
#include <cstdint>

namespace dlx {

void* allocate_guarded(int64_t bytes);
// Looks at the guard bytes, which stay wrong only for check_guards() to report.
void release_guarded(void* block, int64_t bytes) noexcept;

// Throws std::runtime_error naming size and place of the first write behind a guarded block, alive
// or released, since the last call.
void check_guards();

}  // namespace dlx
