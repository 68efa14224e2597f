#pragma once

#include "harness/core/case_spec.h"
#include "reference/checkpoint.h"
#include "reference/model_config.h"
#include "reference/reference.h"

#include <cstdint>

namespace packproof::reference {

/// Parameters of a valid configuration. By default far enough from initial values that every term
/// of the model matters: projections normal with variance 1/columns, embeddings normal, norm weights
/// off their neutral value by 0.2, biases 0.1, conv taps 0.6. `WeightInit::kLibrary` draws all
/// matrices, embeddings and taps normal with `initializer_range` and leaves norms neutral.
///
/// `gate` acts through A_log and dt_bias, per head, since a model's gates depend on its tokens: with
/// softplus(a + dt_bias) near 1, exp(A_log) is near the log decay wanted.
///
/// | regime       | heads                                                              |
/// |--------------|--------------------------------------------------------------------|
/// | default_init | A uniform on (0.01, 16), dt_bias 1 (spec 2.1)                      |
/// | slow         | A near 0.012                                                       |
/// | mixed_zeros  | three heads in ten decay by exactly nothing, the others A near 0.1 |
/// | all_zero     | no head decays at all                                              |
/// | strong       | A near 8                                                           |
/// | spike        | one head in four A near 75 (about -100 a token), the others slow   |
///
/// Deterministic in `seed` and independent of the machine.
Checkpoint random_checkpoint(const ModelConfig& config, GateRegime gate, uint64_t seed,
                             WeightInit init = WeightInit::kEveryTermMatters);

}  // namespace packproof::reference
