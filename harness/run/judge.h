#pragma once

#include "harness/candidate/candidate.h"
#include "harness/core/outcome.h"
#include "harness/ops/packed_call.h"
#include "harness/oracle/compare.h"
#include "harness/run/budget.h"
#include "reference/reference.h"

#include <map>
#include <optional>
#include <string>

namespace packproof {

/// What the definition expects of one call and how far a candidate may be from it.
struct Expectation {
  TensorMap outputs;  ///< f64, contiguous.
  TensorMap allowed;  ///< f64: absolute error allowed per element (harness/oracle/README.md).
};

/// Evaluates the reference on the values that the candidate receives. Slack rows, which hold NaN,
/// are replaced by zeros first: the definition does not depend on them. `unit_roundoff` is the
/// candidate's for intermediates; bounds are proportional to it.
Result<Expectation> expect(const Realised& realised, const reference::Reference& reference,
                           double unit_roundoff = kFloat32Roundoff);

/// Everything the checks of one case share.
struct CaseContext {
  const PackedCall& packed;
  Realised realised;
  Expectation expectation;
  CallResult base;  ///< The candidate's answer to `realised.call`, poison kPoison.
  Candidate& candidate;
  const reference::Reference& reference;
  CallOptions options;
  std::string undeclared;  ///< The declared limit that the call exceeds, as a clause; else empty.
};

inline constexpr std::byte kPoison{0xFF};
inline constexpr std::byte kOtherPoison{0xA5};

/// Outcome of a call that did not end with kOk, with its sentence.
CheckResult result_of_failed_call(const std::string& check, const CallResult& call);

/// What a candidate did to memory that is not its to write, as a clause without subject: "changed its
/// input 'x'"; empty when nothing.
std::string memory_fault(const MemoryReport& memory);

/// The result of a call that went wrong: not answered, or memory written that is not the candidate's.
std::optional<CheckResult> failure_of_call(const std::string& check, const CallResult& call);

/// Number of leading rows of an output.
inline int64_t row_count(const RowMap& rows) { return static_cast<int64_t>(rows.size()); }

/// "output of sequence 3, token 17, element 5" for messages.
std::string element_text(const std::string& output, const Row& row, int64_t element);

/// Shortest text that tells two close numbers apart.
std::string number_text(double value);

/// "37 % of its budget", "4.2 times its budget".
std::string budget_text(double share);

}  // namespace packproof
