// Which line of Python, and which Module, asked for a launch: what observers tell of it.
#pragma once
#include <pybind11/pybind11.h>

#include <deque>
#include <map>
#include <string>
#include <vector>

namespace dlx {

// "file.py:12" of the innermost Python code that is not dlx's own. Takes the GIL.
std::string line_of_launch();

// The layers of one thread's launches. Between start() and stop() Module.__call__ and the walk back
// over the graph tell where they are. Needs the GIL, but for at_launch().
class Whereabouts {
 public:
  Whereabouts() = default;
  ~Whereabouts();
  Whereabouts(const Whereabouts&) = delete;
  Whereabouts& operator=(const Whereabouts&) = delete;
  void start();
  void stop();

  // At a launch, whose line_of_launch() is `line`: the number of its layer, -1 for none. In a
  // backward pass it is the layer, or else the line, that made the node at hand.
  int32_t at_launch(const std::string& line);
  // "Sequential.2 (Linear(64, 10))", "backward of ..."; "" of -1. Made when asked for, after stop()
  // only of Modules that live.
  std::string text_of(int32_t layer) const;
  // Whether its Module is being called: an exception then gets the path on its way out.
  bool is_called(int32_t layer) const { return layer >= 0 && !layers_[size_t(layer)].backward; }
  size_t count() const { return layers_.size(); }

 private:
  struct Layer {
    std::vector<PyObject*> modules;  // outermost first; own references, weak ones after stop()
    std::string line;                // without modules
    bool backward = false;
  };
  void let_go();
  int32_t number_of(std::vector<PyObject*> modules);
  int32_t backward_of(int64_t sequence);

  bool started_ = false;
  std::vector<Layer> layers_;
  std::map<std::vector<PyObject*>, int32_t> called_;
  std::map<int32_t, int32_t> backward_of_layer_;
  std::map<std::string, int32_t> backward_of_line_;

  // The launches behind nodes of the graph, by rising number of the nodes.
  struct Made {
    int64_t sequence;  // of the first node that the launch could have made
    int32_t layer;
    std::string line;
  };
  std::deque<Made> made_;
};

}  // namespace dlx
