#include "harness/run/judge.h"

#include "harness/ops/rows.h"

#include <charconv>
#include <cmath>

namespace packproof {
namespace {

OutcomeKind outcome_of_status(CallStatus status) {
  switch (status) {
    case CallStatus::kOk:
      return OutcomeKind::kPass;
    case CallStatus::kNotSupported:
      return OutcomeKind::kNotSupported;
    case CallStatus::kInvalidArgument:
    case CallStatus::kUndefinedBehaviour:
    case CallStatus::kGarbage:
    case CallStatus::kWrongCase:
      return OutcomeKind::kFail;
    case CallStatus::kDeviceError:
      return OutcomeKind::kDeviceLost;
    case CallStatus::kCrash:
      return OutcomeKind::kCrash;
    case CallStatus::kTimeout:
      return OutcomeKind::kTimeout;
    case CallStatus::kStartFailed:
      return OutcomeKind::kResource;
  }
  return OutcomeKind::kInternalError;
}

/// Zeroes the rows of token inputs that belong to nothing, so that the definition can be evaluated.
void clear_slack(OpCall& call, int64_t slack_rows) {
  if (slack_rows == 0) return;
  for (const TensorSchema& schema : schema_of(call.op, call.direction)) {
    const std::string name(schema.name);
    if (schema.role != TensorRole::kToken || schema.output || !call.has(name)) continue;
    Tensor& tensor = call.inputs[name];
    const int64_t begin = tensor.numel() - tensor.numel() / tensor.dim(1) * slack_rows;
    for (int64_t i = begin; i < tensor.numel(); ++i) tensor.set(i, 0.0);
  }
}

}  // namespace

Result<Expectation> expect(const Realised& realised, const reference::Reference& reference,
                           double unit_roundoff) {
  OpCall call = realised.call;
  int64_t slack_rows = 0;
  if (call.has("cu_seqlens") || call.has("seq_idx")) {
    for (const auto& [name, rows] : realised.rows) {
      const TensorSchema* schema = find_schema(call.op, call.direction, name, true);
      if (schema->role != TensorRole::kToken) continue;
      slack_rows = 0;
      for (const Row& row : rows) slack_rows += row.sequence < 0 ? 1 : 0;
    }
  }
  clear_slack(call, slack_rows);
  PACKPROOF_TRY(reference::OpResult result, reference.evaluate(call));
  Expectation expectation;
  PACKPROOF_TRY(expectation.allowed,
                error_budgets(call, result, realised.rows, reference, unit_roundoff));
  expectation.outputs = std::move(result.outputs);
  return expectation;
}

CheckResult result_of_failed_call(const std::string& check, const CallResult& call) {
  CheckResult result;
  result.check = check;
  result.outcome = outcome_of_status(call.status);
  result.detail = call.message.empty() ? std::string(name_of(call.status)) : call.message;
  if (call.status == CallStatus::kInvalidArgument) {
    result.detail = "a valid call was answered as invalid: " + result.detail;
  }
  const std::string fault = memory_fault(call.memory);
  if (call.status == CallStatus::kNotSupported && !fault.empty()) {
    result.outcome = OutcomeKind::kFail;
    result.detail = "refused the call, but " + fault + ": " + result.detail;
  }
  return result;
}

std::string memory_fault(const MemoryReport& memory) {
  if (!memory.written_outside.empty()) {
    return "wrote outside the buffer of '" + memory.written_outside.front() + "'";
  }
  if (!memory.inputs_modified.empty()) {
    return "changed its input '" + memory.inputs_modified.front() + "'";
  }
  if (memory.floating_point_mode_changed) {
    return "left the thread's floating-point mode changed (MXCSR)";
  }
  return "";
}

std::optional<CheckResult> failure_of_call(const std::string& check, const CallResult& call) {
  if (call.status != CallStatus::kOk) return result_of_failed_call(check, call);
  const std::string fault = memory_fault(call.memory);
  if (fault.empty()) return std::nullopt;
  return CheckResult{.check = check, .outcome = OutcomeKind::kFail, .detail = fault};
}

std::string element_text(const std::string& output, const Row& row, int64_t element) {
  return output + " of " + place_text(row) + ", element " + std::to_string(element);
}

std::string number_text(double value) {
  if (std::isnan(value)) return "NaN";
  char buffer[40];
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::general, 9);
  return {buffer, end.ptr};
}

std::string budget_text(double share) {
  if (std::isinf(share)) return "no finite share of its budget";
  char buffer[40];
  if (share <= 1.0) {
    const auto end =
        std::to_chars(buffer, buffer + sizeof buffer, share * 100.0, std::chars_format::general, 3);
    return std::string(buffer, end.ptr) + " % of its budget";
  }
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, share, std::chars_format::general, 3);
  return std::string(buffer, end.ptr) + " times its budget";
}

}  // namespace packproof
