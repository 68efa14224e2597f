#pragma once

#include "harness/core/case_spec.h"
#include "harness/core/result.h"

#include <span>
#include <string>
#include <string_view>

namespace packproof {

/// One field of a case line: how it is read, printed, and which cases use it. The table behind
/// `case_text.h` and `validate`.
struct CaseField {
  std::string_view name;
  bool always_printed;
  bool (*used)(const CaseSpec& spec);
  std::string (*print)(const CaseSpec& spec);

  /// Stores the value, or says in one sentence what is accepted.
  Status (*parse)(std::string_view text, CaseSpec& spec);
};

/// In the order of the canonical line.
std::span<const CaseField> case_fields();

}  // namespace packproof
