#pragma once

#include "harness/core/outcome.h"
#include "reports/run_manifest.h"
#include "reports/terminal_style.h"

#include <cstddef>
#include <span>
#include <string>

namespace packproof {

struct SummaryLimits {
  std::size_t failures = 10;  ///< Shown in full; the rest is counted.
  std::size_t reasons = 20;   ///< Most frequent first; the rest is counted.
};

/// The end of a run for a reader: failures first, each with the command that reproduces it; then a
/// table of operations, the strength seen of each relation, why checks gave no verdict, and the
/// verdict as the last line. Counts are exact: what is not shown is counted.
std::string summary_text(const RunManifest& manifest, std::span<const CaseResult> results,
                         const TerminalStyle& style, const SummaryLimits& limits = {});

}  // namespace packproof
