// The weight gradient by pieces of images: each task copies the images of its piece a strip at a
// time and multiplies them from the caches of its own core. When it serves, and running it.
#pragma once
#include "ops/conv2d.h"

namespace dlx {

bool images_weight_applies(const Conv2dShape&);
// Whether lanes are filled, a strip stays in the caches, and the sums of all pieces are few beside
// their products.
bool images_weight_pays(const Conv2dShape&);

int64_t images_weight_workspace(const Conv2dShape&);
void run_images_weight(const Conv2dShape&, const void* x, const void* dy, void* dw,
                       void* workspace);

}  // namespace dlx
