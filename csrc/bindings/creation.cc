// Arrays from numbers.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "bindings/tensor_base.h"
#include "core/view.h"
#include "ops/arange.h"
#include "ops/fill.h"
#include "ops/map.h"

namespace dlx {
namespace {

namespace py = pybind11;

Array new_array(const char* op, const Dims& shape, DType dtype, const DeviceCode& device) {
  check_extents(shape, op);
  return empty(shape, dtype, device_from(device));
}

double real(PyObject* number) {
  const double v = PyFloat_AsDouble(number);
  if (v == -1.0 && PyErr_Occurred()) throw py::error_already_set();
  return v;
}

int64_t integer(PyObject* number, DType dtype) {
  if (!PyIndex_Check(number)) {  // an explicit dtype is a cast: 1.9 becomes 1
    const double v = real(number);
    DLX_CHECK(std::abs(v) < 9.2e18, "full: the number ", v, " does not fit ", dtype);
    return static_cast<int64_t>(v);
  }
  const py::object index = py::reinterpret_steal<py::object>(PyNumber_Index(number));
  if (!index) throw py::error_already_set();
  const long long v = PyLong_AsLongLong(index.ptr());
  if (v == -1 && PyErr_Occurred()) throw py::error_already_set();
  return v;
}

// The bytes of a Python number as one element of dtype.
uint64_t element_bits(PyObject* number, DType dtype) {
  uint64_t bits = 0;
  const auto put = [&](auto v) { std::memcpy(&bits, &v, sizeof v); };
  if (dtype == DType::boolean) {
    put(real(number) != 0.0);
  } else if (dtype == DType::float64) {
    put(real(number));
  } else if (is_floating(dtype)) {
    const auto v = static_cast<float>(real(number));
    if (dtype == DType::float32)
      put(v);
    else
      map_table().convert[static_cast<int>(DType::float32)][static_cast<int>(dtype)](&v, &bits, 1);
  } else {
    const int64_t v = integer(number, dtype);
    const bool fits = dtype == DType::int64 ||
                      (dtype == DType::int32 && v == static_cast<int32_t>(v)) ||
                      (dtype == DType::uint8 && v == static_cast<uint8_t>(v));
    if (!fits) {
      PyErr_Format(PyExc_OverflowError, "full: the number %lld does not fit %s",
                   static_cast<long long>(v), name_of(dtype));
      throw py::error_already_set();
    }
    put(v);  // little-endian: the low bytes are the element
  }
  return bits;
}

void fill(Array& y, int64_t n, int64_t step, uint64_t bits) {
  launch_from_python(ops::fill, FillShape::make(y.dtype, n, step, bits), {}, {&y});
}

Array full(const char* op, const Dims& shape, PyObject* number, DType dtype,
           const DeviceCode& device) {
  const uint64_t bits = element_bits(number, dtype);
  Array y = new_array(op, shape, dtype, device);
  fill(y, y.size(), 1, bits);
  return y;
}

// 1 where column == row + k.
Array eye(int64_t rows, int64_t columns, int64_t k, DType dtype, const DeviceCode& device) {
  Array y = full("eye", Dims{rows, columns}, py::int_(0).ptr(), dtype, device);
  Array diagonal = y;
  if (y.size() == 0 || k <= -rows || k >= columns) return y;
  const int64_t down = std::max<int64_t>(-k, 0), right = std::max<int64_t>(k, 0);
  diagonal.offset += down * columns + right;
  fill(diagonal, std::min(rows - down, columns - right), columns + 1,
       element_bits(py::int_(1).ptr(), dtype));
  return y;
}

Array arange(const ArangeShape& s, const DeviceCode& device) {
  Array y = new_array("arange", Dims{s.n}, s.integers ? DType::int64 : DType::float64, device);
  launch_from_python(ops::arange, s, {}, {&y});
  return y;
}

}  // namespace

void bind_creation(py::module_& m) {
  m.def("empty", [](py::handle shape, DType dtype, const DeviceCode& device) {
    return new_array("empty", dims_from(shape.ptr(), "empty", "shape"), dtype, device);
  });
  m.def("full", [](const char* op, py::handle shape, py::handle number, DType dtype,
                   const DeviceCode& device) {
    return full(op, dims_from(shape.ptr(), op, "shape"), number.ptr(), dtype, device);
  });
  m.def("eye", eye);
  m.def("arange_int", [](int64_t start, int64_t step, int64_t n, const DeviceCode& device) {
    ArangeShape s{};
    s.n = n;
    s.integers = true;
    s.int_start = start;
    s.int_step = step;
    return arange(s, device);
  });
  m.def("arange_float",
        [](double start, double step, int64_t n, py::object last, const DeviceCode& device) {
          ArangeShape s{};
          s.n = n;
          s.start = start;
          s.step = step;
          s.ends = !last.is_none();
          if (s.ends) s.last = last.cast<double>();
          return arange(s, device);
        });
}

}  // namespace dlx
