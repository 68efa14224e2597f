#pragma once

#include "harness/core/result.h"
#include "reference/model_config.h"

#include <cstdint>

namespace packproof::reference {

/// See Reference::time_products.
Result<double> time_products(const ModelConfig& config, int64_t tokens);

}  // namespace packproof::reference
