#include "bindings/from_python.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "bindings/map.h"
#include "core/device.h"
#include "ops/map.h"

namespace dlx {
namespace {

namespace py = pybind11;

// struct-module codes of our dtypes, native byte order.
constexpr const char* kFormat[kNumDTypes] = {"f", "d", nullptr, "e", "i", "q", "B", "?"};

class BufferView {
 public:
  BufferView(PyObject* exporter, int flags) {
    if (PyObject_GetBuffer(exporter, &view_, flags) != 0) throw py::error_already_set();
  }
  ~BufferView() {
    if (view_.obj) PyBuffer_Release(&view_);
  }
  BufferView(const BufferView&) = delete;
  Py_buffer& operator*() { return view_; }
  Py_buffer* operator->() { return &view_; }
  void let_go() { view_.obj = nullptr; }  // somebody else releases it

 private:
  Py_buffer view_{};
};

DType dtype_of_format(const Py_buffer& view) {
  const std::string format = view.format ? view.format : "B";
  size_t at = format[0] == '@' || format[0] == '=' || format[0] == '<' || format[0] == '|' ? 1 : 0;
  if (format.size() == at + 1) {
    switch (format[at]) {
      case 'f':
        return DType::float32;
      case 'd':
        return DType::float64;
      case 'e':
        return DType::float16;
      case '?':
        return DType::boolean;
      case 'B':
        return DType::uint8;
      case 'i':
      case 'l':
      case 'q':
        if (view.itemsize == 4) return DType::int32;
        if (view.itemsize == 8) return DType::int64;
    }
  }
  throw TypeError(message(
      "tensor: no dlx dtype holds elements of format '", format,
      "'; expected one of float32, float64, float16, int32, int64, uint8, bool in native byte "
      "order, convert with .astype() first"));
}

DType dtype_of_buffer(const Py_buffer& view) {
  const DType dtype = dtype_of_format(view);
  DLX_CHECK(view.itemsize == size_of(dtype), "tensor: expected elements of ", size_of(dtype),
            " bytes as ", dtype, ", got ", view.itemsize);
  return dtype;
}

Dims shape_of_buffer(const Py_buffer& view) {
  DLX_CHECK(view.ndim <= kMaxDims, "tensor: expected at most ", kMaxDims, " dimensions, got ",
            view.ndim);
  Dims shape;
  for (int i = 0; i < view.ndim; ++i) shape.push_back(view.shape[i]);
  return shape;
}

Array copy_buffer(PyObject* exporter) {
  BufferView view(exporter, PyBUF_FULL_RO);
  Array a = empty(shape_of_buffer(*view), dtype_of_buffer(*view), Device{});
  a.storage->from_host = true;
  if (PyBuffer_ToContiguous(a.data(), &*view, view->len, 'C') != 0) throw py::error_already_set();
  return a;
}

// ---- nested sequences

enum class Kind { none, boolean, integer, real };

bool is_sequence(PyObject* o) {
  return PyList_Check(o) || PyTuple_Check(o) ||
         (!is_number(o) && !PyUnicode_Check(o) && !PyBytes_Check(o) && PySequence_Check(o) &&
          !PyDict_Check(o) && !(is_tensor(o) && as_tensor(o)->array.shape.ndim == 0));
}

[[noreturn]] void not_a_number(PyObject* o) {
  throw TypeError(message("tensor: expected numbers, got ", Py_TYPE(o)->tp_name));
}

// Walks the nested data once: its shape, its numbers in row-major order, and the widest kind among
// them.
struct Flattened {
  Dims shape;
  std::vector<py::object> numbers;
  Kind kind = Kind::none;

  explicit Flattened(PyObject* data) { walk(data, 0); }

 private:
  bool leaf_seen_ = false;

  void walk(PyObject* data, int depth) {
    if (!is_sequence(data)) return add_number(data, depth);
    const Py_ssize_t n = PySequence_Size(data);
    if (n < 0) throw py::error_already_set();
    if (depth == shape.ndim && !leaf_seen_) {
      DLX_CHECK(depth < kMaxDims, "tensor: expected at most ", kMaxDims, " dimensions");
      shape.push_back(n);
    }
    DLX_CHECK(depth < shape.ndim && shape[depth] == n, "tensor: ragged nested data: expected ",
              depth < shape.ndim ? message(shape[depth], " elements") : std::string("a number"),
              " at depth ", depth, ", got ", n, " elements");
    for (Py_ssize_t i = 0; i < n; ++i) {
      py::object element = py::reinterpret_steal<py::object>(PySequence_GetItem(data, i));
      if (!element) throw py::error_already_set();
      walk(element.ptr(), depth + 1);
    }
    if (n == 0) leaf_seen_ = true;  // nothing deeper fixes the shape
  }

  void add_number(PyObject* o, int depth) {
    DLX_CHECK(depth == shape.ndim, "tensor: ragged nested data: expected ",
              shape[depth < kMaxDims ? depth : 0], " elements at depth ", depth, ", got a number");
    leaf_seen_ = true;
    py::object number = py::reinterpret_borrow<py::object>(o);
    if (is_tensor(o)) {
      number = py::reinterpret_steal<py::object>(item_of(array_of(o)));
      if (!number) throw py::error_already_set();
    } else if (!is_number(o)) {
      not_a_number(o);
    }
    Kind found = PyBool_Check(number.ptr())    ? Kind::boolean
                 : PyIndex_Check(number.ptr()) ? Kind::integer
                                               : Kind::real;
    if (std::string(Py_TYPE(number.ptr())->tp_name).starts_with("numpy.bool"))
      found = Kind::boolean;
    kind = std::max(kind, found);
    numbers.push_back(std::move(number));
  }
};

Array array_from_numbers(const Flattened& data, DType dtype) {
  const bool integers = is_integer(dtype) && data.kind != Kind::real;
  Array wide = empty(data.shape, integers ? DType::int64 : DType::float64, Device{});
  wide.storage->from_host = true;
  for (size_t i = 0; i < data.numbers.size(); ++i) {
    if (integers) {
      int overflow = 0;
      long long v = PyLong_AsLongLongAndOverflow(data.numbers[i].ptr(), &overflow);
      if (v == -1 && PyErr_Occurred()) throw py::error_already_set();
      const bool fits = overflow == 0 && (dtype == DType::int64 ||
                                          (dtype == DType::int32 && v == static_cast<int32_t>(v)) ||
                                          (dtype == DType::uint8 && v == static_cast<uint8_t>(v)));
      if (!fits) {
        PyErr_Format(PyExc_OverflowError, "tensor: the number %R does not fit %s",
                     data.numbers[i].ptr(), name_of(dtype));
        throw py::error_already_set();
      }
      static_cast<int64_t*>(wide.data())[i] = v;
    } else {
      double v = PyFloat_AsDouble(data.numbers[i].ptr());
      if (v == -1.0 && PyErr_Occurred()) throw py::error_already_set();
      static_cast<double*>(wide.data())[i] = v;
    }
  }
  return cast_to(wide, dtype);
}

template <class F>
auto visit(DType t, const void* p, const F& f) {
  switch (t) {
    case DType::float32:
      return f(double{*static_cast<const float*>(p)});
    case DType::float64:
      return f(*static_cast<const double*>(p));
    case DType::int32:
      return f(int64_t{*static_cast<const int32_t*>(p)});
    case DType::int64:
      return f(*static_cast<const int64_t*>(p));
    case DType::uint8:
      return f(int64_t{*static_cast<const uint8_t*>(p)});
    case DType::boolean:
      return f(*static_cast<const bool*>(p));
    default: {  // half precision: through the cast kernel
      double wide = 0;
      map_table().convert[static_cast<int>(t)][static_cast<int>(DType::float64)](p, &wide, 1);
      return f(wide);
    }
  }
}

struct ToPython {
  PyObject* operator()(double v) const { return PyFloat_FromDouble(v); }
  PyObject* operator()(int64_t v) const { return PyLong_FromLongLong(v); }
  PyObject* operator()(bool v) const { return PyBool_FromLong(v); }
};

PyObject* nested_list(const Array& a, int depth, const char* at) {
  if (depth == a.shape.ndim) return visit(a.dtype, at, ToPython{});
  const py::object list = py::reinterpret_steal<py::object>(PyList_New(a.shape[depth]));
  const int64_t step = a.strides[depth] * size_of(a.dtype);
  for (int64_t i = 0; list && i < a.shape[depth]; ++i) {
    PyObject* element = nested_list(a, depth + 1, at + i * step);
    if (!element) return nullptr;
    PyList_SET_ITEM(list.ptr(), i, element);
  }
  return list.inc_ref().ptr();
}

}  // namespace

namespace {
Array array_on_host(PyObject* data, std::optional<DType> dtype) {
  if (is_tensor(data)) {
    const Array a = array_of(data);  // another thread may give the tensor a new value meanwhile
    return dtype && *dtype != a.dtype ? cast_to(a, *dtype) : copy_of(current_ctx(), a);
  }
  if (PyObject_CheckBuffer(data) && !PyBytes_Check(data)) {
    Array a = copy_buffer(data);
    return dtype ? cast_to(a, *dtype) : a;
  }
  Flattened flat(data);
  const DType natural = flat.kind == Kind::boolean   ? DType::boolean
                        : flat.kind == Kind::integer ? DType::int64
                                                     : DType::float32;
  return array_from_numbers(flat, dtype.value_or(natural));
}
}  // namespace

Array array_from_data(PyObject* data, std::optional<DType> dtype, Device device) {
  return moved(current_ctx(), array_on_host(data, dtype), device);
}

Array borrow_buffer(PyObject* exporter) {
  if (!PyObject_CheckBuffer(exporter))
    throw TypeError(message("asarray: expected an array with the buffer protocol, got ",
                            Py_TYPE(exporter)->tp_name));
  BufferView view(exporter, PyBUF_FULL_RO);
  const DType dtype = dtype_of_buffer(*view);
  const Dims shape = shape_of_buffer(*view);
  Dims strides;
  bool viewable = !view->suboffsets && reinterpret_cast<uintptr_t>(view->buf) % view->itemsize == 0;
  for (int i = 0; i < view->ndim; ++i) {
    viewable = viewable && view->strides[i] % view->itemsize == 0;
    strides.push_back(view->strides[i] / view->itemsize);
  }
  if (!viewable) return copy_buffer(exporter);
  auto held = std::make_unique<Py_buffer>(*view);
  Array a = borrow(held->buf, shape, strides, dtype, Device{}, held.get(), [](Storage* s) {
    const std::unique_ptr<Py_buffer> buffer(static_cast<Py_buffer*>(s->owner));
    PyGILState_STATE state = PyGILState_Ensure();
    PyBuffer_Release(buffer.get());
    PyGILState_Release(state);
  });
  view.let_go();
  static_cast<void>(held.release());
  return a;
}

PyObject* item_of(const Array& a) {
  return guarded([&] {
    DLX_CHECK(a.size() == 1, "item: expected one element, got shape ", a.shape);
    DLX_CHECK_AS(std::runtime_error, a.storage, "item: this value was not kept");
    const Array here = on_host(current_ctx(), a);
    return visit(a.dtype, here.data(), ToPython{});
  });
}

PyObject* list_of(const Array& cell) {
  return guarded([&] {
    DLX_CHECK_AS(std::runtime_error, cell.storage, "tolist: this value was not kept");
    // A copy: making lists may run code that gives the tensor another value.
    const Array a = on_host(current_ctx(), cell);
    return nested_list(a, 0, static_cast<const char*>(a.data()));
  });
}

namespace {
struct ExportedView {
  StorageRef storage;  // a second owner: whoever writes from now on copies first
  Py_ssize_t shape[kMaxDims], strides[kMaxDims];
};

// Whether a's elements stand as the consumer asks: row-major unless it takes strides.
bool has_layout(const Array& a, int flags) {
  const auto asks = [flags](int layout) { return (flags & layout) == layout; };
  Array transposed = a;
  std::reverse(transposed.shape.extent, transposed.shape.extent + a.shape.ndim);
  std::reverse(transposed.strides.extent, transposed.strides.extent + a.shape.ndim);
  const bool c = a.is_dense(), f = transposed.is_dense();
  return (c || (asks(PyBUF_STRIDES) && !asks(PyBUF_C_CONTIGUOUS))) &&
         (f || !asks(PyBUF_F_CONTIGUOUS)) && (c || f || !asks(PyBUF_ANY_CONTIGUOUS));
}
}  // namespace

int get_buffer(PyObject* self, Py_buffer* view, int flags) {
  PyObject* done = guarded([&]() -> PyObject* {
    const Array& a = array_of(self);
    if (a.device().kind != DeviceKind::cpu) {
      PyErr_SetString(PyExc_TypeError, "numpy: the tensor is not on the CPU; use x.cpu().numpy()");
      throw py::error_already_set();
    }
    const char* format = kFormat[static_cast<int>(a.dtype)];
    if (!format) {
      PyErr_Format(PyExc_TypeError, "numpy: NumPy has no dtype %s; use x.float().numpy()",
                   name_of(a.dtype));
      throw py::error_already_set();
    }
    if ((flags & PyBUF_WRITABLE) || !has_layout(a, flags)) {
      PyErr_SetString(PyExc_BufferError, "Tensor: exports read-only, strided buffers only");
      throw py::error_already_set();
    }
    notify_host_read(current_ctx(), a);
    auto* exported = new ExportedView{a.storage, {}, {}};
    for (int i = 0; i < a.shape.ndim; ++i) {
      exported->shape[i] = a.shape[i];
      exported->strides[i] = a.strides[i] * size_of(a.dtype);
    }
    *view = Py_buffer{};
    view->buf = a.data();
    view->obj = Py_NewRef(self);
    view->len = a.bytes();
    view->itemsize = size_of(a.dtype);
    view->readonly = 1;
    view->ndim = a.shape.ndim;
    view->format = flags & PyBUF_FORMAT ? const_cast<char*>(format) : nullptr;
    view->shape = flags & PyBUF_ND ? exported->shape : nullptr;
    view->strides = flags & PyBUF_STRIDES ? exported->strides : nullptr;
    view->internal = exported;
    return self;
  });
  if (done) return 0;
  view->obj = nullptr;
  return -1;
}

void release_buffer(PyObject*, Py_buffer* view) {
  delete static_cast<ExportedView*>(view->internal);
}

void bind_from_python(py::module_& m) {
  // On the device of (kind, index): Tensor._device_code.
  m.def(
      "from_data",
      [](py::handle data, py::object dtype, const DeviceCode& device) {
        std::optional<DType> t;
        if (!dtype.is_none()) t = dtype_from(dtype.ptr(), "tensor");
        return array_from_data(data.ptr(), t, device_from(device));
      },
      py::arg("data"), py::arg("dtype"), py::arg("device") = std::pair(0, 0));
  m.def("borrow", [](py::handle exporter) { return borrow_buffer(exporter.ptr()); });
}

}  // namespace dlx
