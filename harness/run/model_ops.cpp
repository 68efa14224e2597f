#include "harness/run/model_ops.h"

#include "harness/ops/packed_call.h"
#include "harness/run/budget.h"
#include "harness/run/judge.h"

#include <algorithm>
#include <array>

namespace packproof {
namespace {

bool is_convolution(Op op) { return op == Op::kCausalConv1d; }

bool is_delta_rule(Op op) {
  return op == Op::kRecurrentGatedDeltaRule || op == Op::kChunkGatedDeltaRule;
}

/// Lengths of the sequences of a model's call; dense rows are sequences of their own.
std::vector<int64_t> lengths_of(const OpCall& call) {
  std::vector<int64_t> lengths;
  if (call.has("cu_seqlens")) {
    const Tensor& cu = call.input("cu_seqlens");
    for (int64_t n = 0; n + 1 < cu.numel(); ++n) lengths.push_back(cu.int_at(n + 1) - cu.int_at(n));
    return lengths;
  }
  const std::string first = call.has("x") ? "x" : "q";
  const Tensor& tokens = call.input(first);
  const int64_t length = geometry_of(call.op) == Geometry::kTokens ? tokens.dim(1) : 1;
  lengths.assign(static_cast<std::size_t>(tokens.dim(0)), length);
  return lengths;
}

/// Sequence and token of every row of one output of a model's call.
RowMap rows_of(const OpCall& call, const std::string& output) {
  const TensorSchema* schema = find_schema(call.op, call.direction, output, true);
  RowMap rows;
  if (schema->role == TensorRole::kPool ||
      (schema->role == TensorRole::kSequence && geometry_of(call.op) == Geometry::kTokens)) {
    const int64_t count = call.outputs.at(output).shape[0];
    for (int64_t n = 0; n < count; ++n)
      rows.push_back({RowKind::kState, n, -1, Region::kFinalState});
    return rows;
  }
  if (geometry_of(call.op) == Geometry::kRows) {
    for (int64_t r = 0; r < call.outputs.at(output).shape[0]; ++r) {
      rows.push_back({RowKind::kToken, 0, r, Region::kInterior});
    }
    return rows;
  }
  const std::vector<int64_t> lengths = lengths_of(call);
  for (int64_t n = 0; n < static_cast<int64_t>(lengths.size()); ++n) {
    for (int64_t t = 0; t < lengths[static_cast<std::size_t>(n)]; ++t) {
      rows.push_back(
          {RowKind::kToken, n, t, region_of_token(t, lengths[static_cast<std::size_t>(n)], 4, 64)});
    }
  }
  return rows;
}

TensorMap as_doubles(const TensorMap& outputs) {
  TensorMap result;
  for (const auto& [name, tensor] : outputs) result[name] = tensor.to(DType::kF64);
  return result;
}

/// Value heads reordered so that head h of the kernel's grouping reads key head h mod Hk.
void mix_key_heads(OpCall& call) {
  const int64_t key_heads = call.input("k").dim(2);
  const int64_t value_heads = call.input("v").dim(2);
  const int64_t group = value_heads / key_heads;
  if (group == 1) return;
  for (const char* name : {"q", "k"}) {
    const Tensor& source = call.input(name);
    const int64_t size = source.dim(3);
    Tensor repeated(source.dtype(), {source.dim(0), source.dim(1), value_heads, size});
    for (int64_t row = 0; row < source.dim(0) * source.dim(1); ++row) {
      for (int64_t h = 0; h < value_heads; ++h) {
        for (int64_t e = 0; e < size; ++e) {
          repeated.set((row * value_heads + h) * size + e,
                       source.at((row * key_heads + h % key_heads) * size + e));
        }
      }
    }
    call.inputs[name] = std::move(repeated);
  }
}

void lose_last_tokens(const OpCall& call, CallResult& result) {
  Tensor& output = result.outputs.at("output");
  const int64_t per_row = output.numel() / (output.dim(0) * output.dim(1));
  int64_t end = 0;
  for (const int64_t length : lengths_of(call)) {
    end += length;
    if (length == 0) continue;
    for (int64_t e = 0; e < per_row; ++e) output.set((end - 1) * per_row + e, 0.0);
  }
}

std::optional<CheckResult> failure_at(int64_t layer, Op op, const CallResult& result) {
  std::optional<CheckResult> failure = failure_of_call("call", result);
  if (failure) {
    failure->detail =
        "layer " + std::to_string(layer) + ", " + std::string(name_of(op)) + ": " + failure->detail;
  }
  return failure;
}

}  // namespace

std::string_view name_of(PlantedFault fault) {
  switch (fault) {
    case PlantedFault::kNone:
      return "none";
    case PlantedFault::kWithholdSeqIdx:
      return "seq_idx withheld";
    case PlantedFault::kWithholdCuSeqlens:
      return "cu_seqlens withheld";
    case PlantedFault::kWithholdBoth:
      return "both withheld";
    case PlantedFault::kOffByOne:
      return "cu_seqlens off by one";
    case PlantedFault::kLastTokenLost:
      return "last token lost";
    case PlantedFault::kWrongKeyHead:
      return "key head h mod Hk";
  }
  return "none";
}

std::span<const PlantedFault> all_planted_faults() {
  static constexpr std::array faults{
      PlantedFault::kNone,         PlantedFault::kWithholdSeqIdx, PlantedFault::kWithholdCuSeqlens,
      PlantedFault::kWithholdBoth, PlantedFault::kOffByOne,       PlantedFault::kLastTokenLost,
      PlantedFault::kWrongKeyHead,
  };
  return faults;
}

bool ModelOps::takes_chunks() const {
  const Capability* chunked = candidate_.info().find(Op::kChunkGatedDeltaRule, Direction::kForward);
  return dtype_ != DType::kF32 && chunked != nullptr &&
         std::ranges::find(chunked->dtypes, dtype_) != chunked->dtypes.end();
}

OpCall ModelOps::rounded(const OpCall& call) const {
  OpCall result = call;
  if (call.op == Op::kRecurrentGatedDeltaRule && takes_chunks()) {
    result.op = Op::kChunkGatedDeltaRule;
  }
  for (auto& [name, tensor] : result.inputs) {
    const TensorSchema* schema = find_schema(call.op, call.direction, name, false);
    if (schema->role == TensorRole::kMetadata) continue;
    tensor = tensor.to(schema->float32_only ? DType::kF32 : dtype_);
  }
  for (auto& [name, spec] : result.outputs) {
    const TensorSchema* schema = find_schema(call.op, call.direction, name, true);
    spec.dtype = schema->float32_only ? DType::kF32 : dtype_;
  }
  return result;
}

OpCall ModelOps::as_candidate_sees(OpCall call) const {
  const bool no_ids =
      fault_ == PlantedFault::kWithholdSeqIdx || fault_ == PlantedFault::kWithholdBoth;
  const bool no_cu =
      fault_ == PlantedFault::kWithholdCuSeqlens || fault_ == PlantedFault::kWithholdBoth;
  // As in the library, the convolution learns of boundaries by seq_idx alone, which carries no
  // states, and the delta rule by cu_seqlens alone (spec 4.2, 6.3).
  if (is_convolution(call.op) && call.has("seq_idx")) {
    call.inputs.erase("cu_seqlens");
    call.outputs.erase("final_state");
    if (no_ids) call.inputs.erase("seq_idx");
  }
  if (is_delta_rule(call.op)) {
    if (no_cu) call.inputs.erase("cu_seqlens");
    if (fault_ == PlantedFault::kOffByOne && call.has("cu_seqlens")) {
      Tensor& cu = call.inputs["cu_seqlens"];
      if (cu.numel() > 2) cu.set_int(1, cu.int_at(1) + 1);
    }
    if (fault_ == PlantedFault::kWrongKeyHead) mix_key_heads(call);
  }
  // A call without boundaries has one state where the model expects one per sequence: only the
  // outputs can be asked for.
  if (!call.has("cu_seqlens") && !call.has("seq_idx") &&
      geometry_of(call.op) == Geometry::kTokens && call.outputs.contains("final_state") &&
      call.outputs["final_state"].shape[0] != call.outputs["output"].shape[0]) {
    call.outputs.erase("final_state");
    call.inputs.erase("initial_state");
  }
  return call;
}

CallResult ModelOps::run(OpCall& rounded_call) {
  CallResult result = candidate_.call(as_candidate_sees(rounded_call), options_);
  if (result.status == CallStatus::kNotSupported && rounded_call.op == Op::kChunkGatedDeltaRule) {
    rounded_call.op = Op::kRecurrentGatedDeltaRule;
    result = candidate_.call(as_candidate_sees(rounded_call), options_);
  }
  if (result.status != CallStatus::kOk) return result;
  if (fault_ == PlantedFault::kLastTokenLost && is_delta_rule(rounded_call.op)) {
    lose_last_tokens(rounded_call, result);
  }
  return result;
}

double ModelOps::declared_coarseness() const {
  double coarsest = unit_roundoff(dtype_);
  for (const Op op : all_ops()) {
    if (op == Op::kChunkGatedDeltaRule && !takes_chunks()) continue;
    const Capability* capability = candidate_.info().find(op, Direction::kForward);
    if (capability != nullptr) coarsest = std::max(coarsest, capability->unit_roundoff(dtype_));
  }
  return coarsest / unit_roundoff(dtype_);
}

reference::OpHook ModelOps::substituting() {
  return [this](const reference::OpSite& site) -> Result<TensorMap> {
    OpCall call = rounded(site.call);
    const CallResult result = run(call);
    if ((failure_ = failure_at(site.layer, call.op, result))) {
      return Error{Code::kCandidate, failure_->detail};
    }
    TensorMap outputs = as_doubles(result.outputs);
    for (const auto& [name, expected] : site.expected) outputs.try_emplace(name, expected);
    return outputs;
  };
}

reference::OpHook ModelOps::judging(std::vector<SiteVerdict>& verdicts) {
  return [this, &verdicts](const reference::OpSite& site) -> Result<TensorMap> {
    OpCall call = rounded(site.call);
    const CallResult result = run(call);
    SiteVerdict verdict{.layer = site.layer, .op = call.op};
    verdict.failure = failure_at(site.layer, call.op, result);
    if (!verdict.failure) {
      PACKPROOF_TRY(const reference::OpResult expected, reference_.evaluate(call));
      std::map<std::string, RowMap> rows;
      for (const auto& [name, spec] : call.outputs) rows[name] = rows_of(call, name);
      const Capability* capability = candidate_.info().find(call.op, call.direction);
      const double roundoff =
          capability == nullptr ? kFloat32Roundoff : capability->unit_roundoff(dtype_);
      PACKPROOF_TRY(const TensorMap allowed,
                    error_budgets(call, expected, rows, reference_, roundoff));
      for (const auto& [name, got] : result.outputs) {
        const BudgetReport report =
            compare_with_budget(got, expected.outputs.at(name), allowed.at(name), rows.at(name));
        if (report.worst.row < 0 || report.worst.budget_used < verdict.budget_used) continue;
        verdict.budget_used = report.worst.budget_used;
        verdict.place = element_text(
            name, rows.at(name)[static_cast<std::size_t>(report.worst.row)], report.worst.element);
      }
    }
    verdicts.push_back(std::move(verdict));
    return site.expected;
  };
}

reference::OpHook ModelOps::emulating() {
  return [this](const reference::OpSite& site) -> Result<TensorMap> {
    const OpCall call = rounded(site.call);
    TensorMap values;
    if (const auto factors = factors_of(call)) {
      PACKPROOF_TRY(values, reference_.emulate(call, *factors));
    } else {
      PACKPROOF_TRY(reference::OpResult expected, reference_.evaluate(call));
      values = std::move(expected.outputs);
    }
    TensorMap outputs;
    for (const auto& [name, spec] : call.outputs) {
      outputs[name] = values.at(name).to(spec.dtype).to(DType::kF64);
    }
    return outputs;
  };
}

}  // namespace packproof
