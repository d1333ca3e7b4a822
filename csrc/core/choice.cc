#include "core/choice.h"

namespace dlx {
namespace {

std::vector<Choice*>& registry() {
  static std::vector<Choice*> choices;  // of static objects in any order of construction
  return choices;
}

}  // namespace

Choice::Choice(const char* name, std::initializer_list<const char*> names)
    : op(name), algorithms(names.begin(), names.end()) {
  registry().push_back(this);
}

int64_t Choice::force(int algorithm) {
  forced_.store(algorithm, std::memory_order_relaxed);
  return taken_.exchange(0, std::memory_order_relaxed);
}

const std::vector<Choice*>& Choice::all() { return registry(); }

}  // namespace dlx
