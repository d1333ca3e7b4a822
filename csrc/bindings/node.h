// A node of the recorded graph: which rule made some outputs from which inputs. Python's
// autodiff.py walks them.
#pragma once
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "core/array.h"

namespace dlx {

struct TensorObject;
struct NodeObject;

// One input or output as it was when the op ran. The array has no storage when the rule does not
// need the value.
struct NodeSlot {
  Array array;
  PyObject* number = nullptr;  // inputs: owned, in place of an array for a Python number
  NodeObject* node =
      nullptr;  // inputs: the node that made it, owned; null when it needs no gradient
  int32_t output_index = 0;
};

struct NodeObject {
  PyObject_HEAD PyObject* rule;  // null for a leaf
  PyObject* attrs;               // tuple
  NodeSlot* slots;               // inputs, then outputs
  int32_t inputs, outputs;
  int64_t sequence;    // grows with every node: inputs always have smaller numbers
  bool released;       // the graph was freed by backward()
  TensorObject* leaf;  // borrowed: cleared by the leaf when it dies

  bool is_leaf() const { return rule == nullptr; }
};

// What C needs to know of a rule (an object of autodiff.py): looked up once for the hot ops.
struct RuleRef {
  PyObject* rule = nullptr;
  int64_t saves_inputs = 0, saves_outputs = 0;  // bit masks; those from bit 63 on are alike
};
RuleRef rule_ref(PyObject* rule);

extern constinit thread_local bool recording;  // grad mode

int64_t next_node_sequence();  // that the next node will have, or a larger one

// Attaches outputs to a new node if recording is on and an input needs a gradient.
void record(const RuleRef& rule, PyObject* const* inputs, int input_count, PyObject* const* outputs,
            int output_count, PyObject* attrs);
NodeObject* leaf_node(TensorObject* leaf);  // owned by the leaf

PyTypeObject* make_node_type(PyObject* module);
extern PyTypeObject* node_type;

}  // namespace dlx
