// Which mutation is on, and in which order the emulator runs: set from Python, by ctypes.
#include "simt/mutants/mutant.h"

#include "cuda/core/divide.h"
#include "simt/emulator.h"

#define VISIBLE __attribute__((visibility("default")))

extern "C" {
VISIBLE int dlx_mutation = 0;
VISIBLE unsigned char dlx_mutation_reached[1 << 16] = {};
VISIBLE void dlx_simt_schedule(int order, uint64_t seed) {
  simt::schedule = {static_cast<simt::Order>(order), seed};
}
VISIBLE void dlx_divide(int64_t n, int64_t d, int64_t* both) {
  const dlx::cuda::Division division = dlx::cuda::divide(n, d);
  both[0] = division.quotient, both[1] = division.rest;
}
}
