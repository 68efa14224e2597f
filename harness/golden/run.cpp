#include "harness/golden/run.h"

#include "harness/core/case_text.h"
#include "harness/core/sha256.h"
#include "harness/ops/packed_call.h"
#include "harness/run/judge.h"

#include <cstring>
#include <set>
#include <utility>

namespace packproof {

namespace {

bool belongs(const Row& row) {
  return row.kind != RowKind::kSlack && row.kind != RowKind::kUntouched;
}

/// A contiguous copy of an output with its rows' regions; rows that belong to nothing are zeros.
fixtures::GoldenOutput golden_output(const Tensor& got, const RowMap& rows) {
  fixtures::GoldenOutput output;
  output.values = got.to(got.dtype());
  const std::size_t width = rows.empty() ? 0 : output.values.bytes().size() / rows.size();
  for (std::size_t r = 0; r < rows.size(); ++r) {
    output.regions.push_back(belongs(rows[r]) ? static_cast<int32_t>(rows[r].region) : -1);
    if (!belongs(rows[r])) std::memset(output.values.bytes().data() + r * width, 0, width);
  }
  return output;
}

std::optional<CheckResult> failure_of(const CallResult& result, const OpCall& call) {
  if (result.status != CallStatus::kOk) return result_of_failed_call("golden", result);
  CheckResult failure{"golden", OutcomeKind::kFail, "", 0.0, result.seconds};
  for (const auto& [name, spec] : call.outputs) {
    const auto found = result.outputs.find(name);
    if (found != result.outputs.end() && found->second.shape() == spec.shape) continue;
    failure.detail =
        "the candidate gave no output '" + name + "' of shape " + shape_text(spec.shape);
    return failure;
  }
  if (const std::string fault = memory_fault(result.memory); !fault.empty())
    failure.detail = "the candidate " + fault;
  if (failure.detail.empty()) return std::nullopt;
  return failure;
}

/// Zero where nothing is judged: expectations of slack rows mean nothing.
Tensor clear_unjudged(Tensor allowed, const RowMap& rows) {
  const int64_t width = rows.empty() ? 0 : allowed.numel() / row_count(rows);
  for (int64_t r = 0; r < row_count(rows); ++r)
    for (int64_t e = 0; !belongs(rows[static_cast<std::size_t>(r)]) && e < width; ++e)
      allowed.set(r * width + e, 0.0);
  return allowed;
}

Result<GoldenRun> run_op(const std::string& case_line, bool judge, Candidate& candidate,
                         const reference::Reference* reference, CallOptions options) {
  PACKPROOF_TRY(const CaseSpec spec, parse_case(case_line));
  PACKPROOF_TRY(const PackedCall packed, build_case(spec));
  const Realised realised = realise(packed);
  options.poison = kPoison;
  const CallResult result = candidate.call(realised.call, options);
  const CandidateInfo& info = candidate.info();
  GoldenRun run;
  run.inputs_sha256 = sha256_of(realised.call.inputs);
  run.provenance.candidate = info.version.empty() ? info.name : info.name + " " + info.version;
  run.provenance.identity = info.identity;
  run.provenance.device = info.device;
  run.provenance.variant = result.variant;
  run.provenance.flags = "schedule_seed=" + std::to_string(options.schedule_seed);
  run.failure = failure_of(result, realised.call);
  if (run.failure.has_value()) return run;
  for (const auto& [name, got] : result.outputs) {
    const auto rows = realised.rows.find(name);
    if (rows != realised.rows.end()) run.outputs[name] = golden_output(got, rows->second);
  }
  if (!judge) return run;
  if (reference == nullptr) return internal_error("judging a golden needs the reference");
  const Capability* capability = info.find(spec.op, spec.direction);
  PACKPROOF_TRY(
      Expectation expectation,
      expect(realised, *reference,
             capability == nullptr ? kFloat32Roundoff : capability->unit_roundoff(spec.dtype)));
  for (auto& [name, output] : run.outputs) {
    const RowMap& rows = realised.rows.at(name);
    const Tensor& allowed = expectation.allowed.at(name);
    output.budget_used =
        compare_with_budget(result.outputs.at(name), expectation.outputs.at(name), allowed, rows)
            .worst.budget_used;
    output.allowed = clear_unjudged(allowed, rows);
  }
  return run;
}

}  // namespace

std::string sha256_of(const TensorMap& tensors) {
  Sha256 hash;
  const auto add_text = [&hash](const std::string& text) {
    hash.update(std::as_bytes(std::span(text)));
  };
  for (const auto& [name, tensor] : tensors) {
    add_text(name + " " + std::string(name_of(tensor.dtype())) + shape_text(tensor.shape()) + "\n");
    hash.update(tensor.is_contiguous() ? tensor.bytes() : tensor.to(tensor.dtype()).bytes());
  }
  return hash.hex_digest();
}

GoldenRunner op_runner(Candidate& candidate, const reference::Reference* reference,
                       const CallOptions& options) {
  return [&candidate, reference, options](const std::string& case_line, bool judge) {
    return run_op(case_line, judge, candidate, reference, options);
  };
}

Result<GoldenRun> run_golden(const fixtures::Golden& golden, const std::filesystem::path& base,
                             const GoldenSubjects& subjects, bool judge) {
  if (golden.subject == "model") {
    PACKPROOF_TRY(const reference::Reference* const reference, subjects.reference());
    return model_runner(*reference, base)(golden.case_line, judge);
  }
  PACKPROOF_TRY(Candidate* const candidate, subjects.candidate());
  const reference::Reference* reference = nullptr;
  if (judge) {
    PACKPROOF_TRY(reference, subjects.reference());
  }
  return op_runner(*candidate, reference, subjects.options)(golden.case_line, judge);
}

}  // namespace packproof
