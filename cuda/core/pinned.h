// Host memory that a GPU reads and writes by itself, kept for reuse: to pin some takes long.
#pragma once
#include "cuda/core/context.h"

namespace dlx::cuda {

void* pinned_allocate(int64_t bytes);  // never null; throws OutOfMemory
void pinned_release(void*, int64_t bytes);

// Holds the memory until the copies from it that the stream has got are done.
void keep_for_copy(Context&, const StorageRef&);
void let_go_of_copied();  // of which is done

void empty_pinned_cache();

}  // namespace dlx::cuda
