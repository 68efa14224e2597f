#pragma once

#include "harness/core/result.h"

#include <string>

namespace packproof::cli {

/// A report that cannot be written is known before the first case, not after the last. An empty path
/// is no report.
Status check_output(const std::string& option, const std::string& path);

/// The two reports of a run: they replace each other's bytes when they share a path.
Status check_reports(const std::string& junit, const std::string& jsonl);

}  // namespace packproof::cli
