#include "cuda/core/error_slots.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <vector>

#include "core/allocator.h"
#include "core/check.h"
#include "cuda/core/context.h"

namespace dlx::cuda {
namespace {

struct Launched {
  const Op* op;
  std::vector<char> shape;  // keeps its memory for the next launch
};

// The launches of one thread to one stream that nobody has looked at.
struct Slots {
  Context* context;
  ErrorReport* reports;  // (kErrorSlots), of which the first `used` may have been written
  std::vector<Launched> launched{kErrorSlots};
  int used = 0;
};
using SlotsList = std::vector<std::unique_ptr<Slots>>;

struct LeftBehind {  // by threads that have ended
  std::mutex mutex;
  SlotsList all;
};
LeftBehind& left_behind() {
  static auto* left = new LeftBehind;  // outlives every thread
  return *left;
}

struct ThreadSlots {
  SlotsList all;
  ~ThreadSlots() {
    LeftBehind& left = left_behind();
    const std::lock_guard lock(left.mutex);
    for (auto& slots : all) left.all.push_back(std::move(slots));
  }
};
thread_local ThreadSlots mine;

// Of this thread from now on: those left behind that `wanted` picks.
template <class Wanted>
void adopt(const Wanted& wanted) {
  LeftBehind& left = left_behind();
  const std::lock_guard lock(left.mutex);
  const auto taken = std::partition(left.all.begin(), left.all.end(),
                                    [&](const auto& slots) { return !wanted(*slots); });
  std::move(taken, left.all.end(), std::back_inserter(mine.all));
  left.all.erase(taken, left.all.end());
}

Slots& slots_of(Context& c) {
  const auto find = [&]() -> Slots* {
    for (auto& slots : mine.all)
      if (slots->context == &c) return slots.get();
    return nullptr;
  };
  if (Slots* slots = find()) return *slots;
  adopt([&](const Slots& s) { return s.context == &c && s.used == 0; });
  if (Slots* slots = find()) return *slots;
  auto slots = std::make_unique<Slots>();
  slots->context = &c;
  slots->reports = static_cast<ErrorReport*>(device_malloc(kErrorSlots * sizeof(ErrorReport)));
  DLX_CHECK_AS(OutOfMemory, slots->reports, "out of memory on cuda:", c.device);
  fill(c.stream, slots->reports, 0, kErrorSlots * sizeof(ErrorReport));
  mine.all.push_back(std::move(slots));
  return *mine.all.back();
}

// The first launch that failed, or null. From now on nobody has to look at them.
const Launched* look(Slots& s, ErrorReport* found) {
  std::vector<ErrorReport> reports(static_cast<size_t>(s.used));
  const auto bytes = static_cast<int64_t>(reports.size() * sizeof(ErrorReport));
  const Stream stream = s.context->stream;
  copy(stream, reports.data(), s.reports, bytes, Copy::to_host);
  synchronize(stream);
  s.used = 0;
  for (size_t i = 0; i < reports.size(); ++i) {
    if (reports[i].place == 0) continue;
    fill(stream, s.reports, 0, bytes);
    *found = reports[i];
    return &s.launched[i];
  }
  return nullptr;
}

}  // namespace

void reserve_error_slots(Context& c, int count) {
  if (slots_of(c).used + count > kErrorSlots)
    tell_errors(c.device, message("after ", slots_of(c).used, " launches without a read"), &c);
}

ErrorReport* error_slot(Context& c, const Op& op, const void* shape, size_t shape_bytes) {
  reserve_error_slots(c, 1);
  Slots& slots = slots_of(c);
  Launched& launched = slots.launched[static_cast<size_t>(slots.used)];
  const auto* bytes = static_cast<const char*>(shape);
  launched.op = &op;
  launched.shape.assign(bytes, bytes + shape_bytes);
  return slots.reports + slots.used++;
}

void tell_errors(int device, const std::string& when, const Context* only) {
  const auto asked = [&](const Slots& s) {
    return s.used > 0 && s.context->device == device && (!only || s.context == only);
  };
  adopt(asked);
  for (auto& slots : mine.all) {
    if (!asked(*slots)) continue;
    ErrorReport report{};
    const Launched* launched = look(*slots, &report);
    if (!launched) continue;
    ErrorSlot slot;
    slot.report(report.row(), static_cast<int64_t>(report.value),
                static_cast<int64_t>(report.limit));
    throw std::out_of_range(message(launched->op->explain(launched->shape.data(), slot),
                                    "; found on cuda:", device, " ", when));
  }
}

}  // namespace dlx::cuda
