#include "bindings/map.h"

#include <cmath>
#include <cstring>
#include <deque>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "ops/map.h"

namespace dlx {
namespace {

namespace py = pybind11;

std::vector<RuleRef> rules;  // by row

bool takes(const MapRow& row, DType t) {
  if (t == DType::bfloat16 || t == DType::float16) t = DType::float32;
  return row.block[static_cast<int>(t)] != nullptr;
}

std::string kernels_of(const MapRow& row) {
  std::string names;
  for (int t = 0; t < kNumDTypes; ++t)
    if (takes(row, static_cast<DType>(t)))
      names += std::string(names.empty() ? "" : ", ") + kDTypeName[t];
  return names;
}

enum class Weak { none, boolean, integer, real };

Weak weak_kind(PyObject* number) {
  if (PyBool_Check(number)) return Weak::boolean;
  return PyIndex_Check(number) ? Weak::integer : Weak::real;
}

// The dtype computed on: Tensors promote among themselves, Python numbers only raise the kind.
DType compute_dtype(const MapRow& row, bool any, DType arrays, Weak weak) {
  DType t = any                     ? arrays
            : weak == Weak::real    ? DType::float32
            : weak == Weak::integer ? DType::int64
                                    : DType::boolean;
  if (weak == Weak::integer && t == DType::boolean) t = DType::int64;
  if (weak == Weak::real && !is_floating(t)) t = DType::float32;
  if ((row.kind == RowKind::floating || row.kind == RowKind::predicate) && !is_floating(t))
    t = DType::float32;
  return t;
}

// The integers that an integer dtype, or bool, holds.
struct Range {
  int64_t low, high;
};

Range range_of(DType dtype) {
  switch (dtype) {
    case DType::int64:
      return {std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max()};
    case DType::int32:
      return {std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()};
    case DType::uint8:
      return {0, 255};
    default:
      return {0, 1};
  }
}

// Whether dtype holds a Python int. One of another type, or beyond int64, is for encode_number.
bool holds(DType dtype, PyObject* number) {
  if (!PyLong_CheckExact(number)) return true;
  int overflow = 0;
  const long long v = PyLong_AsLongLongAndOverflow(number, &overflow);
  const Range range = range_of(dtype);
  return overflow || (range.low <= v && v <= range.high);
}

// The bytes of a Python number as one element of dtype (float32 for the half types).
uint64_t encode_number(const MapRow& row, PyObject* number, DType dtype) {
  uint64_t bytes = 0;
  auto put = [&](auto v) { std::memcpy(&bytes, &v, sizeof v); };
  if (is_floating(dtype)) {
    double v = PyFloat_AsDouble(number);
    if (v == -1.0 && PyErr_Occurred()) throw py::error_already_set();
    dtype == DType::float64 ? put(v) : put(static_cast<float>(v));
    return bytes;
  }
  PyObject* index = PyNumber_Index(number);
  if (!index) throw py::error_already_set();
  int overflow = 0;
  long long v = PyLong_AsLongLongAndOverflow(index, &overflow);
  Py_DECREF(index);
  const Range range = range_of(dtype);
  if (overflow || v < range.low || v > range.high) {
    PyErr_Format(PyExc_OverflowError, "%s: the number %R does not fit %s", row.name, number,
                 name_of(dtype));
    throw py::error_already_set();
  }
  if (dtype == DType::int64)
    put(static_cast<int64_t>(v));
  else if (dtype == DType::int32)
    put(static_cast<int32_t>(v));
  else
    put(static_cast<uint8_t>(v));
  return bytes;
}

[[noreturn]] void wrong_operand(const MapRow& row, Py_ssize_t position, PyObject* got) {
  const std::string expected =
      row.inputs == 1 ? "a Tensor" : message("a Tensor or a number as x", position + 1);
  throw TypeError(message(row.name, ": expected ", expected, ", got ", Py_TYPE(got)->tp_name,
                          "; dlx.asarray makes Tensors of arrays"));
}

constexpr int64_t kLongWork = 32768;  // elements: 10 us and more

// Whether long rows of the result lie across those of a large x: turned by a copy first it takes
// less. Of short ones a block of the loop holds enough to turn them itself.
bool is_turned(const Array& x) {
  constexpr int64_t kLarge = 4096, kFew = 8, kLong = 128;
  if (x.size() < kLarge || x.device().kind != DeviceKind::cpu) return false;
  int inner = x.shape.ndim - 1;
  while (x.shape[inner] == 1) --inner;
  if (std::abs(x.strides[inner]) <= 1 || x.shape[inner] < kLong) return false;
  for (int i = 0; i < inner; ++i)
    if (x.strides[i] == 1 && x.shape[i] >= kFew) return true;
  return false;
}

PyObject* call_map_checked(int row_index, PyObject* const* args, Py_ssize_t count) {
  const MapRow& row = map_table().row[row_index];
  if (count != row.inputs) {
    throw TypeError(message(row.name, ": expected ", row.inputs, " arguments, got ", count));
  }
  const Array* operands[kMaxMapInputs] = {};
  bool any = false, uniform = true, foreign = false;
  DType arrays = DType::boolean;
  Weak weak = Weak::none;
  const bool selects = row.kind == RowKind::select;
  for (Py_ssize_t k = 0; k < count; ++k) {
    if (is_tensor(args[k])) {
      operands[k] = &array_of(args[k]);
      if (selects && k == 0) continue;
      uniform = uniform && (!any || operands[k]->dtype == arrays);
      arrays = any ? promote(arrays, operands[k]->dtype) : operands[k]->dtype;
      any = true;
    } else if (is_number(args[k]) && !(selects && k == 0)) {
      weak = std::max(weak, weak_kind(args[k]));
      foreign |= !PyFloat_CheckExact(args[k]) && !PyLong_CheckExact(args[k]);
    } else {
      wrong_operand(row, k, args[k]);
    }
  }
  DLX_CHECK_AS(TypeError, any || selects, row.name,
               ": expected at least one Tensor, got numbers only");
  if (selects) {
    DLX_CHECK_AS(TypeError, operands[0]->dtype == DType::boolean,
                 "where: expected a condition of dtype bool, got ", operands[0]->dtype);
  }
  DType dtype = compute_dtype(row, any, arrays, weak);
  if (row.kind == RowKind::comparison && weak == Weak::integer && !is_floating(dtype)) {
    for (Py_ssize_t k = 0; k < count; ++k)  // by value: no uint8 equals -1
      if (!operands[k] && !holds(dtype, args[k])) dtype = DType::int64;
  }
  DLX_CHECK_AS(TypeError, takes(row, dtype), row.name, ": no kernel for ", dtype, "; it works on ",
               kernels_of(row));

  // Before other code can run, that of other threads or of a number's __float__, the operands must
  // be ours: it may give their tensors other values.
  Array held[kMaxMapInputs];
  const auto hold = [&] {
    for (Py_ssize_t k = 0; k < count; ++k) {
      if (!operands[k] || operands[k] == &held[k]) continue;
      held[k] = *operands[k];
      operands[k] = &held[k];
    }
  };
  if (foreign) hold();
  if (!uniform || (any && arrays != dtype)) {
    hold();
    for (Py_ssize_t k = selects; k < count; ++k)
      if (operands[k]) held[k] = cast_to(held[k], dtype);
  }
  for (Py_ssize_t k = 0; k < count; ++k) {
    if (!operands[k] || !is_turned(*operands[k])) continue;
    hold();
    GilRelease release(held[k].size() > kLongWork);
    held[k] = dense(current_ctx(), held[k]);
  }
  Array y;
  Dims y_shape;
  MapShape shape = MapShape::make(row_index, dtype, static_cast<int>(count), operands, &y_shape);
  const DType compute = size_of(dtype) == 2 ? DType::float32 : dtype;
  const Array* some = nullptr;
  for (Py_ssize_t k = 0; k < count; ++k)
    if (operands[k]) some = operands[k];
  y = empty(y_shape, shape.output_dtype(), some->device());
  for (Py_ssize_t k = 0; k < count; ++k)
    if (!operands[k]) shape.scalar[k] = encode_number(row, args[k], compute);
  const bool large = y.size() > kLongWork;
  if (large) hold();
  const Array* inputs[kMaxMapInputs];
  for (Py_ssize_t k = 0; k < count; ++k)
    inputs[k] = operands[k] ? operands[k] : &y;  // a number has no memory: the kernel does not look
  {
    GilRelease release(large);
    Array* outputs[] = {&y};
    launch_bytes(current_ctx(), {map_op(row_index),
                                 &shape,
                                 sizeof shape,
                                 {inputs, static_cast<size_t>(count)},
                                 outputs,
                                 same_shape<MapShape>});
  }
  PyObject* result = wrap(std::move(y));
  if (recording && rules[row_index].rule)
    record(rules[row_index], args, static_cast<int>(count), &result, 1, nullptr);
  return result;
}

// One C function serves every row: the row's number is its `self`.
PyObject* map_function(PyObject* row, PyObject* const* args, Py_ssize_t count) {
  return call_map(static_cast<int>(PyLong_AsLong(row)), args, count);
}

PyObject* pow_function(PyObject*, PyObject* const* args, Py_ssize_t count) {
  if (count == 2) return call_pow(args[0], args[1]);
  PyErr_Format(PyExc_TypeError, "pow: expected 2 arguments, got %zd", count);
  return nullptr;
}

}  // namespace

bool is_number(PyObject* o) {
  if (PyFloat_CheckExact(o) || PyLong_CheckExact(o) || PyBool_Check(o)) return true;
  if (is_tensor(o) || PyUnicode_Check(o) || PyBytes_Check(o)) return false;
  PyTypeObject* type = Py_TYPE(o);
  if (type->tp_as_sequence && type->tp_as_sequence->sq_length) return false;  // ndarray
  return PyIndex_Check(o) || (type->tp_as_number && type->tp_as_number->nb_float);
}

DType promote(DType a, DType b) {
  if (a == b) return a;
  if (is_floating(a) && is_floating(b)) {
    if (a == DType::float64 || b == DType::float64) return DType::float64;
    return DType::float32;  // also float16 with bfloat16: neither holds the other
  }
  if (is_floating(a)) return a;
  if (is_floating(b)) return b;
  if (a == DType::boolean) return b;
  if (b == DType::boolean) return a;
  return a == DType::int64 || b == DType::int64 ? DType::int64 : DType::int32;
}

Array cast_to(const Array& x, DType dtype) {
  if (x.dtype == dtype) return x;
  Array y = empty(x.shape, dtype, x.device());
  launch_from_python(ops::cast, CastShape::make(x, dtype), {&x}, {&y});
  return y;
}

PyObject* call_map(int row, PyObject* const* args, Py_ssize_t count) {
  return guarded([&] { return call_map_checked(row, args, count); });
}

PyObject* call_pow(PyObject* x, PyObject* exponent) {
  static const int pow_row = map_row("pow"), multiply_row = map_row("multiply");
  if (is_tensor(x) && is_number(exponent)) {
    PyObject* args[] = {x, x};
    double e = PyFloat_AsDouble(exponent);
    if (e == -1.0 && PyErr_Occurred()) return nullptr;
    if (e == 2.0 && weak_kind(exponent) != Weak::boolean &&
        (weak_kind(exponent) == Weak::integer || is_floating(as_tensor(x)->array.dtype)))
      return call_map(multiply_row, args, 2);
    if (e < 0 && weak_kind(exponent) == Weak::integer && !is_floating(as_tensor(x)->array.dtype)) {
      PyErr_Format(
          PyExc_ValueError,
          "pow: %s to the negative power %R is not an integer; cast to a floating type first",
          name_of(as_tensor(x)->array.dtype), exponent);
      return nullptr;
    }
  }
  PyObject* args[] = {x, exponent};
  return call_map(pow_row, args, 2);
}

namespace {

std::deque<PyMethodDef> methods;       // by row
std::deque<std::string> descriptions;  // what their ml_doc points to

void describe(const std::string& name, const std::string& formula) {
  const int index = map_row(name.c_str());
  if (index < 0) throw py::key_error(name);
  const MapRow& row = map_table().row[index];
  const char* arguments[] = {"x", "x1, x2", "x1, x2, x3"};
  descriptions.push_back(
      message(name, "(", arguments[row.inputs - 1], ", /)\n--\n\n", formula, ", element by element",
              row.inputs > 1 ? ", with broadcasting" : "", ".\n\n", arguments[row.inputs - 1],
              row.inputs > 1 ? ": Tensors or numbers, at least one a Tensor" : ": a Tensor",
              ". Kernels: ", kernels_of(row),
              row.kind == RowKind::floating || row.kind == RowKind::predicate
                  ? "; integers become float32 first"
                  : "",
              ". Raises TypeError for anything else",
              row.inputs > 1 ? ", ValueError for shapes that do not broadcast." : "."));
  methods[static_cast<size_t>(index)].ml_doc = descriptions.back().c_str();
}

}  // namespace

void bind_map(py::module_& m) {
  const MapTable& table = map_table();
  rules.resize(static_cast<size_t>(table.rows));
  for (int i = 0; i < table.rows; ++i) {
    const char* name = table.row[i].name;
    const auto function = std::string_view(name) == "pow" ? pow_function : map_function;
    methods.push_back({name, reinterpret_cast<PyCFunction>(function), METH_FASTCALL, nullptr});
    m.add_object(name, py::reinterpret_steal<py::object>(
                           PyCFunction_New(&methods.back(), py::int_(i).ptr())));
  }

  m.def("pointwise_names", [] {
    py::list names;
    for (int i = 0; i < map_table().rows; ++i) names.append(map_table().row[i].name);
    return names;
  });
  m.def("set_pointwise_rule", [](const std::string& name, py::object rule) {
    int row = map_row(name.c_str());
    if (row < 0) throw py::key_error(name);
    rules[static_cast<size_t>(row)] = rule_ref(rule.release().ptr());
  });
  m.def("describe_pointwise", describe);  // the docstring of a row's function
  m.def("cast", [](const Array& x, DType dtype) { return cast_to(x, dtype); });
  m.def("promote", [](DType a, DType b) { return promote(a, b); });
}

}  // namespace dlx
