// How exactly float32 is computed, one switch for all ops and devices. Ops that have less exact
// algorithms read it where they make their shape, so that a call means one thing all through.
#pragma once

namespace dlx {

// exact: no algorithm that loses more than summing in another order does.
// fp32: also those of float32 throughout whose error stays small beside the largest sum of terms,
//       as Winograd's F(4x4, 3x3).
enum class Precision { exact, fp32 };

Precision precision();  // fp32 at the start
void set_precision(Precision);

}  // namespace dlx
