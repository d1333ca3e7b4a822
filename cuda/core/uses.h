// Which streams have used an array's memory, where there was more than one.
#pragma once
#include <vector>

#include "cuda/core/context.h"

namespace dlx::cuda {

// Before `now` uses memory that another stream has used: it waits for the last that wrote it and,
// to write it, for those that read it since.
void use(Context& now, Storage&, bool writes);

// Every stream that may still use it; they are forgotten.
std::vector<Context*> take_uses(const Storage&);

}  // namespace dlx::cuda
