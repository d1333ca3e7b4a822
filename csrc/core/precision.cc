#include "core/precision.h"

#include <atomic>

namespace dlx {

static std::atomic<Precision> current{Precision::fp32};

Precision precision() { return current.load(std::memory_order_relaxed); }
void set_precision(Precision p) { current.store(p, std::memory_order_relaxed); }

}  // namespace dlx
