#pragma once

#include "harness/inspect/boundaries.h"
#include "harness/inspect/inspection.h"

namespace packproof {

/// What goes wrong beside the boundaries: labels over a boundary, empty features, padding sides,
/// synonyms that disagree, dtypes that a kernel refuses (spec 4.1, 5.3, 6.3).
void find_traps(const Batch& batch, const BatchBoundaries& boundaries, Inspection& result);

}  // namespace packproof
