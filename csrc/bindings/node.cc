#include "bindings/node.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "bindings/tensor_base.h"

namespace dlx {

namespace py = pybind11;

constinit thread_local bool recording = true;
PyTypeObject* node_type = nullptr;

namespace {

std::atomic<int64_t> next_sequence{1};

NodeObject* new_node(PyObject* rule, PyObject* attrs, int inputs, int outputs) {
  auto slots = std::make_unique_for_overwrite<NodeSlot[]>(static_cast<size_t>(inputs + outputs));
  auto* node = PyObject_New(NodeObject, node_type);
  if (!node) throw py::error_already_set();
  node->rule = Py_XNewRef(rule);
  node->attrs = Py_XNewRef(attrs);
  node->inputs = inputs;
  node->outputs = outputs;
  node->slots = slots.release();
  node->sequence = next_sequence.fetch_add(1, std::memory_order_relaxed);
  node->released = false;
  node->leaf = nullptr;
  return node;
}

NodeObject* as_node(PyObject* o) { return reinterpret_cast<NodeObject*>(o); }

// Frees a graph of any depth without recursion: a dying node hands its inputs' nodes to the
// outermost call.
void node_dealloc(PyObject* self) {
  thread_local std::vector<NodeObject*> dying;
  thread_local bool draining = false;
  NodeObject* node = as_node(self);
  for (int i = 0; i < node->inputs; ++i) {
    if (node->slots[i].node) dying.push_back(node->slots[i].node);
    Py_XDECREF(node->slots[i].number);
  }
  delete[] node->slots;
  Py_XDECREF(node->rule);
  Py_XDECREF(node->attrs);
  PyTypeObject* type = Py_TYPE(self);
  PyObject_Free(self);
  Py_DECREF(type);
  if (draining) return;
  draining = true;
  while (!dying.empty()) {
    NodeObject* next = dying.back();
    dying.pop_back();
    Py_DECREF(next);
  }
  draining = false;
}

PyObject* get_edges(PyObject* self, void*) {
  return new_tuple(as_node(self)->inputs, [&](int i) {
    const NodeSlot& slot = as_node(self)->slots[i];
    return slot.node ? Py_BuildValue("(Oi)", slot.node, slot.output_index) : Py_NewRef(Py_None);
  });
}

// The values as they were, attached where they were attached: what a rule differentiates through.
PyObject* get_inputs(PyObject* self, void*) {
  return new_tuple(as_node(self)->inputs, [&](int i) {
    const NodeSlot& slot = as_node(self)->slots[i];
    if (slot.number) return Py_NewRef(slot.number);
    return guarded([&] {
      return slot.node ? wrap(slot.array, slot.node, slot.output_index) : wrap(slot.array);
    });
  });
}

PyObject* get_outputs(PyObject* self, void*) {
  NodeObject* node = as_node(self);
  return new_tuple(node->outputs, [&](int i) {
    return guarded([&] { return wrap(node->slots[node->inputs + i].array, node, i); });
  });
}

PyObject* get_rule(PyObject* self, void*) {
  PyObject* rule = as_node(self)->rule;
  return Py_NewRef(rule ? rule : Py_None);
}
PyObject* get_attrs(PyObject* self, void*) {
  PyObject* attrs = as_node(self)->attrs;
  return attrs ? Py_NewRef(attrs) : PyTuple_New(0);
}
PyObject* get_sequence(PyObject* self, void*) {
  return PyLong_FromLongLong(as_node(self)->sequence);
}
PyObject* get_num_outputs(PyObject* self, void*) { return PyLong_FromLong(as_node(self)->outputs); }
PyObject* get_released(PyObject* self, void*) { return PyBool_FromLong(as_node(self)->released); }
PyObject* get_leaf(PyObject* self, void*) {
  TensorObject* leaf = as_node(self)->leaf;
  return Py_NewRef(leaf ? reinterpret_cast<PyObject*>(leaf) : Py_None);
}

PyObject* node_release(PyObject* self, PyObject*) {
  NodeObject* node = as_node(self);
  for (int i = 0; i < node->inputs + node->outputs; ++i)
    node->slots[i].array.storage = StorageRef();
  Py_CLEAR(node->attrs);  // they may hold Tensors: batch norm's statistics
  node->released = true;
  Py_RETURN_NONE;
}

PyGetSetDef node_getset[] = {
    {"rule", get_rule, nullptr,
     "typing.Any: the rule of the op that made the outputs; None for a leaf", nullptr},
    {"attrs", get_attrs, nullptr, "tuple: the op's attributes", nullptr},
    {"edges", get_edges, nullptr, "tuple: per input: (node, output index) or None", nullptr},
    {"inputs", get_inputs, nullptr, "tuple: the inputs as they were", nullptr},
    {"outputs", get_outputs, nullptr, "tuple: the outputs as they were", nullptr},
    {"sequence", get_sequence, nullptr, "int: creation order", nullptr},
    {"num_outputs", get_num_outputs, nullptr, "int: how many outputs", nullptr},
    {"released", get_released, nullptr, "bool: whether backward() freed this node", nullptr},
    {"leaf", get_leaf, nullptr,
     "dlx._tensor.Tensor | None: the leaf tensor, if this is a leaf's node and it still lives",
     nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyMethodDef node_methods[] = {{"release", node_release, METH_NOARGS, "lets go of the kept values"},
                              {nullptr, nullptr, 0, nullptr}};

PyType_Slot node_slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(node_dealloc)},
                            {Py_tp_getset, node_getset},
                            {Py_tp_methods, node_methods},
                            {Py_tp_doc, const_cast<char*>("A node of the recorded graph.")},
                            {0, nullptr}};
PyType_Spec node_spec = {"dlx._core.Node", sizeof(NodeObject), 0,
                         Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, node_slots};

int64_t mask_attribute(PyObject* rule, const char* name) {
  PyObject* mask = PyObject_GetAttrString(rule, name);
  if (!mask) throw py::error_already_set();
  const int64_t bits = PyLong_AsLongLong(mask);
  Py_DECREF(mask);
  if (bits == -1 && PyErr_Occurred()) throw py::error_already_set();
  return bits;
}

bool bit(int64_t mask, int i) { return mask >> std::min(i, 63) & 1; }

}  // namespace

int64_t next_node_sequence() { return next_sequence.load(std::memory_order_relaxed); }

RuleRef rule_ref(PyObject* rule) {
  return {rule, mask_attribute(rule, "saves_inputs"), mask_attribute(rule, "saves_outputs")};
}

NodeObject* leaf_node(TensorObject* leaf) {
  if (!leaf->node) {
    leaf->node = new_node(nullptr, nullptr, 0, 0);
    leaf->node->leaf = leaf;
  }
  return leaf->node;
}

void record(const RuleRef& ref, PyObject* const* inputs, int input_count, PyObject* const* outputs,
            int output_count, PyObject* attrs) {
  if (!recording) return;
  bool needed = false;
  for (int i = 0; i < input_count; ++i) {
    if (!is_tensor(inputs[i]) || !needs_grad(as_tensor(inputs[i]))) continue;
    needed = true;
    if (is_leaf(as_tensor(inputs[i])))
      leaf_node(as_tensor(inputs[i]));  // before the op's node: inputs come first
  }
  if (!needed) return;

  NodeObject* node = new_node(ref.rule, attrs, input_count, output_count);
  for (int i = 0; i < input_count; ++i) {
    NodeSlot& slot = node->slots[i];
    if (!is_tensor(inputs[i])) {
      slot.number = Py_NewRef(inputs[i]);
      continue;
    }
    TensorObject* t = as_tensor(inputs[i]);
    slot.array = bit(ref.saves_inputs, i) ? t->array : t->array.meta();
    if (!needs_grad(t)) continue;
    slot.node = t->node;
    Py_INCREF(slot.node);
    slot.output_index = t->output_index;
  }
  for (int i = 0; i < output_count; ++i) {
    TensorObject* t = as_tensor(outputs[i]);
    node->slots[input_count + i].array = bit(ref.saves_outputs, i) ? t->array : t->array.meta();
    let_go_of_node(t);
    Py_INCREF(node);
    t->node = node;
    t->output_index = i;
  }
  Py_DECREF(node);
}

PyTypeObject* make_node_type(PyObject* module) {
  node_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&node_spec));
  if (!node_type ||
      PyModule_AddObjectRef(module, "Node", reinterpret_cast<PyObject*>(node_type)) < 0)
    throw py::error_already_set();
  return node_type;
}

}  // namespace dlx
