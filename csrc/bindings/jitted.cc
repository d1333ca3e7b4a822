// The base class of Jitted (python/dlx/_jit.py): a call goes to the latest ReplayedCall, and where
// that does not fit to self._call_in_python().
#include "bindings/bind_all.h"
#include "bindings/collect.h"
#include "bindings/replayed_call.h"

namespace dlx {
namespace {

struct JittedObject {
  PyObject_HEAD PyObject* replayed_call;  // or null
  ReplayedCall* native;                   // of it
  int64_t hits, replays;
};

JittedObject* as_jitted(PyObject* o) { return reinterpret_cast<JittedObject*>(o); }

PyObject* call_in_python(PyObject* self, PyObject* args, PyObject* kwargs) {
  static PyObject* const name = PyUnicode_InternFromString("_call_in_python");
  PyObject* method = PyObject_GetAttr(self, name);
  if (!method) return nullptr;
  PyObject* result = PyObject_Call(method, args, kwargs);
  Py_DECREF(method);
  return result;
}

PyObject* jitted_call(PyObject* self, PyObject* args, PyObject* kwargs) {
  JittedObject* jitted = as_jitted(self);
  if (!jitted->native || Recording::is_under_way()) return call_in_python(self, args, kwargs);
  return guarded([&]() -> PyObject* {
    const auto alive = py::reinterpret_borrow<py::object>(jitted->replayed_call);
    ReplayedCall* const native = jitted->native;
    py::object result;
    try {
      result = native->run(args, kwargs);
    } catch (...) {
      ++jitted->hits;
      throw;
    }
    if (!result) return call_in_python(self, args, kwargs);
    ++jitted->hits;
    ++jitted->replays;
    return result.release().ptr();
  });
}

void jitted_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  Py_CLEAR(as_jitted(self)->replayed_call);
  type->tp_free(self);
  Py_DECREF(type);
}

int jitted_traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(as_jitted(self)->replayed_call);
  return 0;
}

int jitted_clear(PyObject* self) {
  as_jitted(self)->native = nullptr;
  Py_CLEAR(as_jitted(self)->replayed_call);
  return 0;
}

PyObject* get_replayed_call(PyObject* self, void*) {
  PyObject* call = as_jitted(self)->replayed_call;
  return Py_NewRef(call ? call : Py_None);
}

int set_replayed_call(PyObject* self, PyObject* value, void*) {
  if (!value || value == Py_None) return jitted_clear(self);
  try {
    ReplayedCall* native = &py::cast<ReplayedCall&>(py::handle(value));
    Py_XSETREF(as_jitted(self)->replayed_call, Py_NewRef(value));
    as_jitted(self)->native = native;
    return 0;
  } catch (...) {
    raise_current_exception();
    return -1;
  }
}

template <int64_t JittedObject::* count>
PyObject* get_count(PyObject* self, void*) {
  return PyLong_FromLongLong(as_jitted(self)->*count);
}

template <int64_t JittedObject::* count>
int set_count(PyObject* self, PyObject* value, void*) {
  as_jitted(self)->*count = value ? PyLong_AsLongLong(value) : 0;
  return PyErr_Occurred() ? -1 : 0;
}

PyGetSetDef getset[] = {
    {"_replayed_call", get_replayed_call, set_replayed_call,
     "ReplayedCall | None: tried first by every call", nullptr},
    {"_hits", get_count<&JittedObject::hits>, set_count<&JittedObject::hits>,
     "int: calls of a known kind", nullptr},
    {"_replays", get_count<&JittedObject::replays>, set_count<&JittedObject::replays>,
     "int: calls that were replayed", nullptr},
    {},
};

template <class F>
void* slot(F* function) {
  return reinterpret_cast<void*>(function);
}

char doc[] = "Calls _replayed_call, and where that does not fit _call_in_python().";

PyType_Slot slots[] = {{Py_tp_doc, doc},
                       {Py_tp_call, slot(jitted_call)},
                       {Py_tp_dealloc, slot(jitted_dealloc)},
                       {Py_tp_traverse, slot(jitted_traverse)},
                       {Py_tp_clear, slot(jitted_clear)},
                       {Py_tp_getset, getset},
                       {0, nullptr}};

PyType_Spec spec = {"dlx._core.JittedBase", sizeof(JittedObject), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, slots};

}  // namespace

void bind_jitted(py::module_& m) {
  py::class_<ReplayedCall>(m, "ReplayedCall", py::custom_type_setup(collect<ReplayedCall>),
                           "A call of one kind from arguments to result, without Python.")
      .def(py::init<py::object, py::object, py::handle, py::handle, py::handle, py::object>());
  PyObject* type = PyType_FromSpec(&spec);
  if (!type || PyModule_AddObjectRef(m.ptr(), "JittedBase", type) < 0)
    throw py::error_already_set();
}

}  // namespace dlx
