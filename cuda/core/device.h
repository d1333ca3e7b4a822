// The one header of CUDA that a kernel file includes. nvcc: CUDA itself. Another compiler: the
// emulator of tests/simt.
#pragma once

#if defined(__CUDACC__)
#define DLX_SHARED(T, name, extents) __shared__ __align__(128) T name extents
#define DLX_DYNAMIC_SHARED(T, name)                                     \
  extern __shared__ __align__(1024) unsigned char dlx_dynamic_shared[]; \
  T* name = reinterpret_cast<T*>(dlx_dynamic_shared)
#else
#include "simt/language.h"
#endif
