// A loss, or one term of it, in memory of float32 or float64. For host code only.
#pragma once
#include "core/dtype.h"

namespace dlx {

inline double read_number(const void* p, DType t) {
  return t == DType::float64 ? *static_cast<const double*>(p)
                             : static_cast<double>(*static_cast<const float*>(p));
}

inline void write_number(double v, void* p, DType t) {
  if (t == DType::float64) {
    *static_cast<double*>(p) = v;
  } else {
    *static_cast<float*>(p) = static_cast<float>(v);
  }
}

}  // namespace dlx
