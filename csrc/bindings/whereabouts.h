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

// The layers of one thread's launches, while somebody wants to know.
class Whereabouts {
 public:
  ~Whereabouts() { forget(); }
  Whereabouts() = default;
  Whereabouts(const Whereabouts&) = delete;
  Whereabouts& operator=(const Whereabouts&) = delete;
  void forget();

  struct Layer {
    std::string path;  // "Sequential.2 (Linear(64, 10))", in backward "backward of ..."; or empty
    bool called = false;  // its Module is being called: an exception gets the path on its way out
  };
  // At a launch, whose line_of_launch() is `line`. Takes the GIL. In a backward pass it is the
  // layer, or else the line, that made the node at hand.
  Layer at_launch(const std::string& line);

 private:
  Layer asking(const std::string& line);
  const std::string& path_of(const std::vector<PyObject*>& modules);

  // The layer or line of the launches behind nodes of the graph, by rising number of the nodes.
  struct Made {
    int64_t sequence;  // of the first node that the launch could have made
    std::string by;
  };
  std::deque<Made> made_;
  // Modules, innermost first, own references -> their path
  std::map<std::vector<PyObject*>, std::string> paths_;
};

}  // namespace dlx
