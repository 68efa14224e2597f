#include "harness/run/stack_check.h"

#include "harness/run/judge.h"
#include "harness/run/model_check.h"
#include "harness/run/model_run.h"
#include "harness/run/stack_gradients.h"
#include "harness/run/stack_limits.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

namespace packproof {
namespace {

struct Wrong {
  int64_t layer = -1;  ///< -1: the embeddings.
  int64_t row = -1;
  double distance = 0.0;
  double limit = 0.0;
};

struct Sides {
  const Packing& packing;
  const ModelRun& truth;
  const StackLimits& limits;
};

std::optional<Wrong> first_wrong(const Sides& sides, const ModelRun& got, double& worst_share) {
  for (std::size_t i = 0; i < sides.truth.hidden_states.size(); ++i) {
    const double limit = sides.limits.hidden[i];
    for (int64_t row = 0; row < sides.packing.total_tokens(); ++row) {
      const double distance = row_distance(got.hidden_states[i], sides.truth.hidden_states[i], row);
      // A NaN must not compare as small.
      worst_share = std::max(worst_share, std::isnan(distance) ? INFINITY : distance / limit);
      if (!(distance <= limit)) return Wrong{static_cast<int64_t>(i) - 1, row, distance, limit};
    }
  }
  return std::nullopt;
}

struct Leak {
  PlantedFault fault;
  const char* sentence;
};

constexpr std::array kLeaks{
    Leak{PlantedFault::kWithholdBoth,
         "the convolution and the delta rule read across boundaries, as without seq_idx and "
         "cu_seq_lens_q (DataCollatorWithFlattening(return_seq_idx=True, "
         "return_flash_attn_kwargs=True))"},
    Leak{PlantedFault::kWithholdSeqIdx,
         "the convolution reads across boundaries, as without seq_idx "
         "(DataCollatorWithFlattening(return_seq_idx=True))"},
    Leak{PlantedFault::kWithholdCuSeqlens,
         "the delta rule carries its state across boundaries, as without cu_seq_lens_q "
         "(DataCollatorWithFlattening(return_flash_attn_kwargs=True))"},
};

/// Which metadata the model did not use: those without which the reference gives the same numbers.
std::string name_the_leak(const reference::Model& model, const StackCheckSpec& spec,
                          const Sides& sides, const Tensor& ids, const ModelRun& got,
                          const reference::Reference& reference) {
  ReferenceCandidate definition(reference);
  for (const Leak& leak : kLeaks) {
    ModelOps ops(definition, reference, spec.dtype, leak.fault, {});
    const Result<ModelRun> leaking = run_packed(model, sides.packing, ids, ops.substituting());
    if (!leaking.ok()) continue;
    double share = 0.0;
    if (first_wrong({sides.packing, *leaking, sides.limits}, got, share)) continue;
    const bool given = spec.mode == "both" ||
                       (spec.mode == "seq_idx" && leak.fault != PlantedFault::kWithholdCuSeqlens) ||
                       (spec.mode == "cu_seqlens" && leak.fault != PlantedFault::kWithholdSeqIdx);
    return std::string(given ? "accepted metadata and ignored it: " : "leaks: ") + leak.sentence;
  }
  return "no missing metadata reproduce it";
}

CheckResult failed(const char* check, OutcomeKind outcome, std::string detail) {
  return {.check = check, .outcome = outcome, .detail = std::move(detail)};
}

/// The candidate's outputs as a run, or what is wrong with their shapes.
Result<ModelRun> run_of(const TensorMap& outputs, const ModelRun& truth) {
  const auto take = [&](const std::string& name, const Tensor& like) -> Result<Tensor> {
    const auto found = outputs.find(name);
    if (found == outputs.end() || found->second.shape() != like.shape()) {
      return invalid_input("expected an output '" + name + "' of shape " +
                           shape_text(like.shape()) + ", found " +
                           (found == outputs.end() ? "none" : shape_text(found->second.shape())));
    }
    return found->second.to(DType::kF64);
  };
  ModelRun run;
  for (std::size_t i = 0; i < truth.hidden_states.size(); ++i) {
    const std::string number = (i < 10 ? "0" : "") + std::to_string(i);
    PACKPROOF_TRY(Tensor states, take("hidden_states." + number, truth.hidden_states[i]));
    run.hidden_states.push_back(std::move(states));
  }
  PACKPROOF_TRY(run.logits, take("logits", truth.logits));
  return run;
}

CheckResult judge_logits(const Sides& sides, const ModelRun& got, const StackCheckSpec& spec) {
  CheckResult result{.check = "logits", .outcome = OutcomeKind::kPass};
  std::string wrong;
  for (const SequenceDrift& drift : drift_of(got.logits, sides.truth.logits, spec.lens)) {
    const double share =
        std::max(drift.max_delta_logprob / sides.limits.delta_logprob, drift.kl / sides.limits.kl);
    const bool right = share <= 1.0;
    if (!right) wrong += (wrong.empty() ? "" : ", ") + std::to_string(drift.sequence);
    if (share <= result.budget_used) continue;
    result.budget_used = std::isnan(share) ? INFINITY : share;
    result.detail = "sequence " + std::to_string(drift.sequence) + ": max |delta logprob| " +
                    number_text(drift.max_delta_logprob) + " (limit " +
                    number_text(sides.limits.delta_logprob) + "), KL " + number_text(drift.kl) +
                    " (limit " + number_text(sides.limits.kl) + ")";
  }
  if (wrong.empty()) return result;
  result.outcome = OutcomeKind::kFail;
  result.detail += "; beyond their limits: sequences " + wrong;
  return result;
}

CheckResult judge_loss(const StackTruth& truth, const StackLimits& limits,
                       const TensorMap& outputs) {
  if (!truth.scored) return failed("loss", OutcomeKind::kNotRun, "no token is scored");
  const auto found = outputs.find("loss");
  if (found == outputs.end() || found->second.numel() != 1) {
    return failed("loss", OutcomeKind::kNotRun, "the candidate gives no loss");
  }
  const double got = found->second.at(0);
  const double share = std::abs(got - truth.loss) / limits.loss;
  return {.check = "loss",
          .outcome = share <= 1.0 ? OutcomeKind::kPass : OutcomeKind::kFail,
          .detail = "expected " + number_text(truth.loss) + " within " + number_text(limits.loss) +
                    ", found " + number_text(got),
          .budget_used = std::isnan(share) ? INFINITY : share};
}

}  // namespace

std::string stack_check_id(const StackCheckSpec& spec) {
  std::string id = "stack=" + spec.name + " mode=" + spec.mode +
                   " dtype=" + std::string(name_of(spec.dtype)) + " lens=";
  for (std::size_t i = 0; i < spec.lens.size(); ++i) {
    id += (i == 0 ? "" : ",") + std::to_string(spec.lens[i]);
  }
  return id;
}

CaseResult check_stack(const reference::Model& model, const StackCheckSpec& spec,
                       Candidate& candidate, const reference::Reference& reference) {
  CaseResult result;
  result.id = stack_check_id(spec);
  const auto end = [&](OutcomeKind outcome, std::string detail) {
    result.checks.push_back(failed("layers", outcome, std::move(detail)));
    return result;
  };
  const Result<Packing> packing = Packing::from_lengths(spec.lens);
  if (!packing.ok()) return end(OutcomeKind::kInternalError, packing.error().message);
  const Tensor ids = draw_input_ids(model.config(), packing->total_tokens(), spec.seed);
  const Result<StackTruth> truth = stack_truth(model, *packing, ids, spec.gradients);
  if (!truth.ok()) return end(OutcomeKind::kInternalError, truth.error().message);
  const Result<StackLimits> limits =
      stack_limits(model, spec.dtype, *packing, ids, *truth, reference);
  if (!limits.ok()) return end(OutcomeKind::kInternalError, limits.error().message);

  ModelCall call;
  call.folder = std::filesystem::absolute(spec.folder).string();
  call.mode = spec.mode;
  call.dtype = spec.dtype;
  call.gradients = spec.gradients;
  call.inputs["input_ids"] = ids;
  call.inputs["cu_seqlens"] = packing->cu_seqlens_tensor(DType::kI64);
  const CallResult answer = candidate.forward_model(call, {.time_limit = spec.time_limit});
  if (answer.status != CallStatus::kOk) {
    result.checks.push_back(result_of_failed_call("layers", answer));
    if (answer.status == CallStatus::kNotSupported) {
      result.checks.back().detail = "refused: " + answer.message;
    }
    return result;
  }
  const Result<ModelRun> got = run_of(answer.outputs, truth->run);
  if (!got.ok()) return end(OutcomeKind::kFail, got.error().message);

  const Sides sides{*packing, truth->run, *limits};
  CheckResult layers{.check = "layers", .outcome = OutcomeKind::kPass};
  if (const auto wrong = first_wrong(sides, *got, layers.budget_used)) {
    layers.outcome = OutcomeKind::kFail;
    layers.detail = (wrong->layer < 0 ? std::string("the embeddings")
                                      : "layer " + std::to_string(wrong->layer)) +
                    " is the first that differs from each sequence alone, at " +
                    place_of(*packing, wrong->row) + ": relative distance " +
                    number_text(wrong->distance) + " (limit " + number_text(wrong->limit) + "); " +
                    name_the_leak(model, spec, sides, ids, *got, reference);
  }
  result.checks.push_back(std::move(layers));
  result.checks.push_back(judge_logits(sides, *got, spec));
  result.checks.push_back(judge_loss(*truth, *limits, answer.outputs));
  if (spec.gradients) {
    result.checks.push_back(judge_gradients(answer.outputs, *truth, *limits, *packing,
                                            model.config().tie_word_embeddings));
  }
  return result;
}

}  // namespace packproof
