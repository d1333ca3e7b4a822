#include "cuda/core/uses.h"

#include <algorithm>
#include <mutex>
#include <unordered_map>

namespace dlx::cuda {
namespace {

struct Uses {
  Context* writer;
  std::vector<Context*> readers;  // since; each has waited for the writer
};

std::mutex mutex;
auto& shared = *new std::unordered_map<const Storage*, Uses>;  // outlives every static object

}  // namespace

void use(Context& now, Storage& s, bool writes) {
  const std::lock_guard lock(mutex);
  const auto [at, first] = shared.try_emplace(&s);
  auto& [writer, readers] = at->second;
  if (first) writer = static_cast<Context*>(s.stream.exchange(nullptr));
  const bool reads_already = std::ranges::count(readers, &now) > 0;
  if (writer != &now && !reads_already) order(*writer, now);
  if (writes) {
    for (const Context* reader : readers)
      if (reader != &now) order(*reader, now);
    writer = &now;
    readers.clear();
  } else if (writer != &now && !reads_already) {
    readers.push_back(&now);
  }
}

std::vector<Context*> take_uses(const Storage& s) {
  if (DeviceStream* only = s.stream.load()) return {static_cast<Context*>(only)};
  const std::lock_guard lock(mutex);
  const auto at = shared.find(&s);
  std::vector<Context*> all = std::move(at->second.readers);
  all.push_back(at->second.writer);
  shared.erase(at);
  return all;
}

}  // namespace dlx::cuda
