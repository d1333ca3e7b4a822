// How a kernel says that an index or a label is out of range. It clamps and goes on.
#pragma once
#include <cstdint>

#include "cuda/core/device.h"
#include "cuda/core/error_slots.h"

namespace dlx::cuda {

// Of the elements that fail the one with the lowest row is told, whatever the schedule.
__device__ inline void report(ErrorReport* slot, int64_t row, int64_t value, int64_t limit) {
  using Word = unsigned long long;
  const Word place = ErrorReport::place_of(row);
  if (atomicMax(&slot->place, place) >= place) return;
  while (atomicCAS(&slot->locked, 0, 1) != 0) __nanosleep(100);
  __threadfence();
  if (atomicMax(&slot->place, Word{0}) == place) {  // none lower has come
    atomicExch(&slot->value, static_cast<Word>(value));
    atomicExch(&slot->limit, static_cast<Word>(limit));
  }
  __threadfence();
  atomicExch(&slot->locked, 0);
}

}  // namespace dlx::cuda
