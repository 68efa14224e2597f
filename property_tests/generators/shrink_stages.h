#pragma once

#include "harness/core/case_spec.h"

#include <span>
#include <vector>

namespace packproof {

/// One kind of simplification: the candidates it offers for a case, boldest first. Each is simpler
/// than the case by a measure that no stage ever raises, so shrinking ends. Not all are valid.
using ShrinkStage = std::vector<CaseSpec> (*)(const CaseSpec& spec);

/// Fewer sequences, shorter sequences, fewer heads and channels, smaller dims, plainer options.
std::span<const ShrinkStage> shrink_stages();

}  // namespace packproof
