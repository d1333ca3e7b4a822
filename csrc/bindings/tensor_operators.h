#pragma once
// What Python's operators, comparisons and conversions to numbers do with tensors.
#include <vector>

#include "bindings/tensor_base.h"

namespace dlx {

template <class F>
void* as_slot(F* function) {
  return reinterpret_cast<void*>(function);
}

// The slots of the type that make them: nb_*, mp_length and tp_richcompare.
std::vector<PyType_Slot> operator_slots();

}  // namespace dlx
