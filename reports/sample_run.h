#pragma once

#include "harness/core/outcome.h"
#include "reports/run_manifest.h"

#include <string>
#include <utility>
#include <vector>

namespace packproof {

/// A manifest without an empty field.
inline RunManifest sample_manifest() {
  return {.packproof_version = "0.1.0",
          .started = "2026-01-31T12:00:00Z",
          .command = "packproof run --suite smoke --library build/x.so",
          .suite = "smoke",
          .seed = 18446744073709551615u,
          .candidate_name = "kernels",
          .candidate_version = "1.2",
          .candidate_identity = "0123456789abcdef",
          .device = "host",
          .repro_options = "--library build/x.so",
          .candidate_origin = {{"--library", "/home/me/x.so"}},
          .arguments = {{"--check", "written"}, {"--no-model", "no"}},
          .versions = {{"libtorch", "1.13.1"}},
          .notes = {"source semantics only"}};
}

inline CaseResult sample_case(std::string id, std::vector<CheckResult> checks) {
  return {.id = std::move(id),
          .suite = "smoke",
          .variant = "portable",
          .checks = std::move(checks),
          .shrunk = ""};
}

}  // namespace packproof
