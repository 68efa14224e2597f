#include "harness/run/model_check.h"

#include "harness/run/judge.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace packproof {
namespace {

// An op sums at most K <= 256 products, whose roundings add up like a random walk: sqrt(256) of
// them, against the one rounding that the emulated model makes at every op's inputs and outputs.
constexpr double kEmulatedNoiseFactor = 16.0;

// Differences of the double-precision parts between a packed, a padded and a lone run: sums over
// up to 10^4 terms in another order, at logits of order 10.
constexpr double kDoubleNoise = 1e-10;

CheckResult in_place(const reference::Model& model, const ModelCheckSpec& spec, const Tensor& ids,
                     ModelOps& ops) {
  CheckResult result{.check = "in_place", .outcome = OutcomeKind::kPass};
  std::vector<SiteVerdict> verdicts;
  const Result<Tensor> logits =
      model_logits(model, spec.lens, ids, ModelForm::kPacked, ops.judging(verdicts));
  if (!logits.ok()) {
    result.outcome = OutcomeKind::kInternalError;
    result.detail = logits.error().message;
    return result;
  }
  for (const SiteVerdict& verdict : verdicts) {
    const std::string site =
        "layer " + std::to_string(verdict.layer) + ", " + std::string(name_of(verdict.op)) + ": ";
    if (verdict.failure) {
      CheckResult failed = *verdict.failure;
      failed.check = "in_place";
      return failed;
    }
    if (verdict.budget_used > result.budget_used) result.budget_used = verdict.budget_used;
    if (verdict.budget_used > 1.0) {
      result.outcome = OutcomeKind::kFail;
      result.detail = site + verdict.place + " uses " + budget_text(verdict.budget_used) +
                      " on the reference's own layer inputs";
      return result;
    }
  }
  if (verdicts.empty()) {
    result.outcome = OutcomeKind::kUntrusted;
    result.detail = "the model has no layer whose ops a candidate can stand in for";
  }
  return result;
}

struct Limits {
  double delta_logprob = 0.0;
  double kl = 0.0;
};

/// Two runs that are each within `noise` of the truth differ by at most twice that, and
/// |log p - log q| <= d bounds KL(p || q) by d (e^d - 1).
Limits limits_from_noise(double emulated_noise) {
  const double delta = 2.0 * (kEmulatedNoiseFactor * emulated_noise + kDoubleNoise);
  return {delta, delta * std::expm1(delta)};
}

double largest_delta(const std::vector<SequenceDrift>& drifts) {
  double largest = 0.0;
  for (const SequenceDrift& drift : drifts) {
    if (!(drift.max_delta_logprob <= largest)) largest = drift.max_delta_logprob;
  }
  return largest;
}

CheckResult end_to_end(const char* check, const Tensor& form, const Tensor& alone,
                       const std::vector<int64_t>& lens, const Limits& limits) {
  CheckResult result{.check = check, .outcome = OutcomeKind::kPass};
  std::string worst;
  for (const SequenceDrift& drift : drift_of(form, alone, lens)) {
    const double share =
        std::max(drift.max_delta_logprob / limits.delta_logprob, drift.kl / limits.kl);
    if (share <= result.budget_used) continue;
    result.budget_used = std::isnan(share) ? INFINITY : share;
    worst = "sequence " + std::to_string(drift.sequence) + ": max |delta logprob| " +
            number_text(drift.max_delta_logprob) + " (limit " + number_text(limits.delta_logprob) +
            "), KL " + number_text(drift.kl) + " (limit " + number_text(limits.kl) + ")";
    if (!(share <= 1.0) && result.outcome == OutcomeKind::kPass) {
      result.outcome = OutcomeKind::kFail;
      result.detail = worst;
    }
  }
  if (result.outcome == OutcomeKind::kPass) result.detail = worst;
  return result;
}

/// Of a run that the candidate broke off, or that the harness could not make.
CheckResult broken(const char* check, const Error& error, const ModelOps& ops) {
  CheckResult result{
      .check = check, .outcome = OutcomeKind::kInternalError, .detail = error.message};
  if (error.code == Code::kCandidate && ops.failure()) result.outcome = ops.failure()->outcome;
  return result;
}

}  // namespace

std::string model_check_id(const ModelCheckSpec& spec) {
  std::string id = "model=" + spec.name + " dtype=" + std::string(name_of(spec.dtype)) + " lens=";
  for (std::size_t i = 0; i < spec.lens.size(); ++i) {
    id += (i == 0 ? "" : ",") + std::to_string(spec.lens[i]);
  }
  if (spec.fault != PlantedFault::kNone) id += " fault=" + std::string(name_of(spec.fault));
  return id;
}

CaseResult check_model(const reference::Model& model, const ModelCheckSpec& spec,
                       Candidate& candidate, const reference::Reference& reference) {
  CaseResult result;
  result.id = model_check_id(spec);
  const int64_t tokens = std::accumulate(spec.lens.begin(), spec.lens.end(), int64_t{0});
  const Tensor ids = draw_input_ids(model.config(), tokens, spec.seed);
  CallOptions options;
  options.time_limit = spec.time_limit;
  ModelOps ops(candidate, reference, spec.dtype, spec.fault, options);

  result.checks.push_back(in_place(model, spec, ids, ops));
  if (result.checks.back().outcome == OutcomeKind::kNotSupported) return result;

  const auto logits = [&](ModelForm form, const reference::OpHook& hook) {
    return model_logits(model, spec.lens, ids, form, hook);
  };
  const Result<Tensor> exact = logits(ModelForm::kAlone, {});
  const Result<Tensor> emulated = logits(ModelForm::kAlone, ops.emulating());
  const Result<Tensor> alone = logits(ModelForm::kAlone, ops.substituting());
  for (const Result<Tensor>* run : {&exact, &emulated, &alone}) {
    if (run->ok()) continue;
    result.checks.push_back(broken("packed_vs_alone", run->error(), ops));
    return result;
  }
  const Limits limits = limits_from_noise(ops.declared_coarseness() *
                                          largest_delta(drift_of(*emulated, *exact, spec.lens)));
  CheckResult truth = end_to_end("alone_vs_reference", *alone, *exact, spec.lens, limits);
  result.checks.push_back(std::move(truth));
  const std::pair<const char*, ModelForm> forms[] = {{"packed_vs_alone", ModelForm::kPacked},
                                                     {"padded_vs_alone", ModelForm::kPaddedLeft}};
  for (const auto& [check, form] : forms) {
    const Result<Tensor> run = logits(form, ops.substituting());
    result.checks.push_back(run.ok() ? end_to_end(check, *run, *alone, spec.lens, limits)
                                     : broken(check, run.error(), ops));
  }
  return result;
}

}  // namespace packproof
