#pragma once

#include "reports/run_tally.h"
#include "reports/terminal_style.h"

#include <cstddef>
#include <string>

namespace packproof {

/// Cases per operation, and the check that came closest to its budget.
void append_operations(const RunTally& run, const TerminalStyle& style, std::string& text);

/// Per operation, which relations between two runs held without any difference, which within their
/// budget, and which broke.
void append_strength(const RunTally& run, const TerminalStyle& style, std::string& text);

/// Which kernel variants ran, per operation.
void append_variants(const RunTally& run, const TerminalStyle& style, std::string& text);

/// Why checks gave no verdict, most frequent first; beyond `limit` reasons they are counted.
void append_reasons(const RunTally& run, const TerminalStyle& style, std::size_t limit,
                    std::string& text);

}  // namespace packproof
