#include "harness/judge/judge_capture.h"

#include "harness/judge/call_mapping.h"
#include "harness/judge/judge_call.h"
#include "harness/judge/truth.h"

#include <chrono>
#include <optional>
#include <set>

namespace packproof {
namespace {

std::string id_of(const CapturedCall& call) {
  return call.op + " call=" + std::to_string(call.number) +
         (call.layer.has_value() ? " layer=" + std::to_string(*call.layer) : "") +
         " function=" + call.function;
}

CheckResult unsupported(std::string sentence) {
  return {.check = "call", .outcome = OutcomeKind::kNotSupported, .detail = std::move(sentence)};
}

std::string approximation_note(const CapturedCall& captured, const MappedCall& call) {
  return call.approximation.empty()
             ? ""
             : "approximation counted on in " + captured.op + ": " + call.approximation;
}

}  // namespace

Result<CaptureVerdict> judge_capture(const Capture& capture, const reference::Reference& reference,
                                     const std::function<void(int64_t)>& progress) {
  std::vector<MappedCall> mapped;
  std::vector<std::optional<std::string>> refusals;
  for (const CapturedCall& call : capture.calls) {
    Result<MappedCall> result = map_call(call);
    refusals.push_back(result.ok() ? std::nullopt : std::optional(result.error().message));
    mapped.push_back(result.ok() ? std::move(*result) : MappedCall{});
  }
  PACKPROOF_TRY(const Truth truth, find_truth(capture.batch, mapped));
  CaptureVerdict verdict{{}, truth.notes};
  std::set<std::string> approximations;
  for (std::size_t i = 0; i < mapped.size(); ++i) {
    const auto begin = std::chrono::steady_clock::now();
    CaseResult result;
    result.id = id_of(capture.calls[i]);
    if (refusals[i].has_value()) {
      result.checks.push_back(unsupported(*refusals[i]));
    } else if (const Result<Sequences> sequences = truth.of_call(mapped[i].batch, mapped[i].length);
               !sequences.ok()) {
      result.checks.push_back(unsupported(sequences.error().message));
    } else {
      result.checks = judge_call(mapped[i], *sequences, reference);
      approximations.insert(approximation_note(capture.calls[i], mapped[i]));
    }
    result.checks.front().seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    verdict.calls.push_back(std::move(result));
    progress(static_cast<int64_t>(i) + 1);
  }
  approximations.erase("");
  verdict.notes.insert(verdict.notes.end(), approximations.begin(), approximations.end());
  if (capture.not_recorded > 0) {
    CaseResult result;
    result.id = "not_recorded";
    result.checks.push_back(unsupported(
        std::to_string(capture.not_recorded) +
        " more calls ran after the file had reached max_bytes: capture(.., layers=[0, 3]) "
        "records fewer"));
    verdict.calls.push_back(std::move(result));
  }
  return verdict;
}

}  // namespace packproof
