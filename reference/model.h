#pragma once

#include "harness/core/result.h"
#include "reference/checkpoint.h"
#include "reference/model_config.h"
#include "reference/reference.h"

#include <memory>

namespace packproof::reference {

struct ModelOptions {
  /// Compute convolution and delta rule from their definitions instead of in their fast forms.
  bool definition_only = false;
};

/// A model of any of the three families from parameters under the names of spec 2.1 (experts
/// fused). Missing, superfluous and misshapen tensors are refused by name.
Result<std::unique_ptr<Model>> make_model(const ModelConfig& config, Checkpoint checkpoint,
                                          const ModelOptions& options = {});

}  // namespace packproof::reference
