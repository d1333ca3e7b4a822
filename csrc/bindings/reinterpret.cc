// The bytes of an array under another dtype and shape: how files and hashes see arrays.
#include <cstring>

#include "bindings/tensor_base.h"
#include "core/view.h"

namespace dlx {
namespace {

// A view where the memory is aligned for `dtype`, else a copy. x is made dense first.
Array reinterpret(const Array& x, DType dtype, const Dims& shape) {
  Array a = dense(current_ctx(), x);
  check_extents(shape, "reinterpret");
  const int64_t size = size_of(dtype), offset = a.offset * size_of(a.dtype);
  DLX_CHECK(shape.product() * size == a.bytes(), "reinterpret: ", dtype, " of shape ", shape,
            " needs ", shape.product() * size, " bytes, x has ", a.bytes());
  if (offset % size || reinterpret_cast<uintptr_t>(a.data()) % size) {
    Array copy = empty(shape, dtype, a.device());
    notify_host_read(current_ctx(), a);
    std::memcpy(copy.data(), a.data(), a.bytes());
    copy.storage->from_host = true;
    return copy;
  }
  a.offset = offset / size;
  a.dtype = dtype;
  a.shape = shape;
  a.strides = dense_strides(shape);
  return a;
}

}  // namespace

void bind_reinterpret(pybind11::module_& m) { m.def("reinterpret", reinterpret); }

}  // namespace dlx
