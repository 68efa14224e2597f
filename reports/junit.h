#pragma once

#include "harness/core/outcome.h"
#include "harness/core/result.h"
#include "reports/run_manifest.h"

#include <filesystem>
#include <span>
#include <string>

namespace packproof {

/// JUnit XML (reports/README.md): one testsuite per operation, one testcase per case and check.
/// Non-conforming outcomes are failures, faults of packproof or the machine errors, and what did
/// not run or was refused is skipped with its reason.
std::string junit_xml(const RunManifest& manifest, std::span<const CaseResult> results);

/// Writes it beside `path` first and renames, so that a reader never sees half a report.
Status write_junit(const std::filesystem::path& path, const RunManifest& manifest,
                   std::span<const CaseResult> results);

}  // namespace packproof
