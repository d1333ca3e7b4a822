// Winograd's weight gradient of 3x3 convolutions at stride 1: when it serves, and running it.
#pragma once
#include "ops/conv2d.h"

namespace dlx {

bool winograd_weight_applies(const Conv2dShape&);
// Its time beside that of the plain algorithms, by estimate.
double winograd_weight_ratio(const Conv2dShape&);

int64_t winograd_weight_workspace(const Conv2dShape&);
void run_winograd_weight(const Conv2dShape&, const void* x, const void* dy, void* dw,
                         void* workspace);

}  // namespace dlx
