#include "harness/run/checks.h"

namespace packproof {

CheckResult check_undeclared(const CaseContext& context) {
  CheckResult result = check_reference(context);
  result.check = std::string(kUndeclaredCheck);
  if (result.outcome == OutcomeKind::kFail) {
    result.detail = "accepted what it cannot do (" + context.undeclared + "): " + result.detail;
  }
  return result;
}

}  // namespace packproof
