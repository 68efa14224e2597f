#include "harness/run/checks.h"

namespace packproof {
namespace {

CheckResult as_undeclared(CheckResult result, const std::string& undeclared) {
  result.check = std::string(kUndeclaredCheck);
  if (is_nonconforming(result.outcome)) {
    result.detail = "accepted what it cannot do (" + undeclared + "): " + result.detail;
  }
  return result;
}

}  // namespace

CheckResult result_of_undeclared_call(const std::string& undeclared, const CallResult& call) {
  CheckResult result = result_of_failed_call("call", call);
  if (call.status == CallStatus::kInvalidArgument) result.detail = call.message;
  return as_undeclared(std::move(result), undeclared);
}

CheckResult check_undeclared(const CaseContext& context) {
  if (const auto failure = failure_of_call("undeclared", context.base)) {
    return as_undeclared(*failure, context.undeclared);
  }
  return as_undeclared(check_reference(context), context.undeclared);
}

}  // namespace packproof
