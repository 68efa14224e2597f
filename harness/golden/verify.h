#pragma once

#include "fixtures/golden_store.h"
#include "harness/core/outcome.h"
#include "harness/golden/run.h"

#include <filesystem>
#include <string>
#include <vector>

namespace packproof {

struct VerifyOptions {
  bool integrity_only = false;
};

/// One golden file: its seal and schema; then the case again, on rebuilt inputs that must have the
/// recorded hash. By the same library hash, device, variant and flags: equal bits. Otherwise every
/// element within `golden_limit` of the recorded one. A damaged file is a FAIL with the place.
CheckResult verify_golden(const std::filesystem::path& path, const GoldenSubjects& subjects,
                          const VerifyOptions& options = {});

/// How far another conforming result may be from a recorded one, as a multiple of the allowance:
/// |new - golden| <= |new - truth| + |truth - golden| <= allowed + budget_used x allowed.
double golden_limit(const fixtures::GoldenOutput& golden);

/// True when equal bits are demanded of a run with this provenance.
bool same_build(const fixtures::GoldenProvenance& a, const fixtures::GoldenProvenance& b);

/// "golden/x.h5  PASS  bitwise equal" lines and a count by outcome.
struct VerifiedFile {
  std::filesystem::path path;
  CheckResult result;
};

std::string verify_table(const std::vector<VerifiedFile>& files);

}  // namespace packproof
