#include "harness/run/stack_limits.h"

#include "harness/run/model_check.h"
#include "harness/run/model_ops.h"

#include <algorithm>
#include <cmath>
#include <memory>

namespace packproof {
namespace {

// Limits are multiples of what roundings do to this very model and batch, measured by runs of it in
// double precision whose parameters are disturbed.
//
// A linear map of n products evaluated in floating point is the exact map of disturbed weights (a
// backward error). Sums that are formed term by term round n partial sums, the k-th of them sqrt(k)
// terms large where signs are random, each by a number uniform in +-u of root mean square
// u / sqrt(3): together u n / sqrt(6) terms. Weights disturbed independently by delta give
// delta sqrt(n) terms, so delta = u sqrt(n / 6); sums have u = 2^-24 whatever the dtype of the
// tensors. Between two linear maps a value meets up to 12 roundings to that dtype (of the map's own
// result, of square, mean, root, product and weight in a norm, of activations, gates and the residual
// sum), u_d / sqrt(3) each, which disturb the next map's weights by sqrt(12 / 3) u_d.
constexpr double kRoundingsBetween = 12.0;

// Convolution, delta rule and norm have no weights in between: they are run with their inputs and
// outputs rounded to the dtype, and as emulated kernels where products have 16-bit factors.

// A result is to first order a sum of many such disturbances, hence normal. Of one number the
// largest of four draws is a low estimate of its standard deviation at times, but eight of them are
// then exceeded with probability 3e-4; of the many numbers in a row or tensor, never. Measured in
// float32 on the oracle's dense_r3, `dust` and `edges`: right runs use 3 % of the limits of layers and
// logits and 11 to 22 % of those of gradients.
constexpr double kDeviations = 8.0;
constexpr uint64_t kDraws = 4;

// Differences of the double-precision parts: sums over up to 10^4 terms in another order.
constexpr double kDoubleNoise = 1e-10;

/// The longest sum in the model or its gradients.
double longest_sum(const reference::ModelConfig& config, int64_t tokens) {
  const int64_t attention = config.num_attention_heads * config.head_dim;
  return static_cast<double>(
      std::max({config.vocab_size, config.hidden_size, config.intermediate_size, config.conv_dim(),
                config.value_dim(), 2 * attention, tokens}));
}

Tensor labels_of(const Packing& packing, const Tensor& ids) {
  constexpr int64_t kIgnored = -100;
  Tensor labels(DType::kI64, {1, packing.total_tokens()});
  for (int64_t i = 0; i < ids.numel(); ++i) labels.set_int(i, ids.int_at(i));
  for (int64_t n = 0; n < packing.num_seqs(); ++n) {
    if (packing.length(n) > 0) labels.set_int(packing.begin(n), kIgnored);
  }
  return labels;
}

Result<reference::Model::LossResult> packed_loss(const reference::Model& model,
                                                 const Packing& packing, const Tensor& ids) {
  reference::ModelBatch batch;
  batch.input_ids = ids;
  batch.position_ids = packing.position_ids_tensor();
  batch.cu_seqlens.assign(packing.cu_seqlens().begin(), packing.cu_seqlens().end());
  return model.loss_and_gradients(batch, labels_of(packing, ids),
                                  reference::Model::GradientMethod::kDerived);
}

/// Mean negative log likelihood of every token but the first of a sequence.
double loss_of(const Tensor& logits, const Packing& packing, const Tensor& ids) {
  const int64_t vocabulary = logits.dim(1);
  double sum = 0.0;
  int64_t count = 0;
  for (int64_t n = 0; n < packing.num_seqs(); ++n) {
    for (int64_t row = packing.begin(n); row + 1 < packing.begin(n) + packing.length(n); ++row) {
      const double* values = logits.values<double>().data() + row * vocabulary;
      const double largest = *std::max_element(values, values + vocabulary);
      double total = 0.0;
      for (int64_t i = 0; i < vocabulary; ++i) total += std::exp(values[i] - largest);
      sum += largest + std::log(total) - values[ids.int_at(row + 1)];
      ++count;
    }
  }
  return sum / static_cast<double>(std::max<int64_t>(count, 1));
}

double norm_of_difference(const Tensor& a, const Tensor& b, int64_t begin, int64_t end) {
  double sum = 0.0;
  for (int64_t i = begin; i < end; ++i) sum += (a.at(i) - b.at(i)) * (a.at(i) - b.at(i));
  return std::sqrt(sum);
}

double norm_of(const Tensor& a, int64_t begin, int64_t end) {
  double sum = 0.0;
  for (int64_t i = begin; i < end; ++i) sum += a.at(i) * a.at(i);
  return std::sqrt(sum);
}

void raise(double& largest, double value) { largest = std::max(largest, value); }

/// Adds to `noise` what one disturbed model shows.
Status add_draw(const reference::Model& disturbed, ModelOps& ops, const Packing& packing,
                const Tensor& ids, const StackTruth& truth, StackLimits& noise) {
  PACKPROOF_TRY(const ModelRun run, run_alone(disturbed, packing, ids, ops.emulating()));
  for (std::size_t i = 0; i < truth.run.hidden_states.size(); ++i) {
    for (int64_t row = 0; row < packing.total_tokens(); ++row) {
      raise(noise.hidden[i], row_distance(run.hidden_states[i], truth.run.hidden_states[i], row));
    }
  }
  const std::vector<int64_t> all{packing.total_tokens()};
  raise(noise.delta_logprob, drift_of(run.logits, truth.run.logits, all).front().max_delta_logprob);
  if (!truth.packed.has_value()) return {};
  PACKPROOF_TRY(const reference::Model::LossResult loss, packed_loss(disturbed, packing, ids));
  raise(noise.loss, std::abs(loss.loss - truth.packed->loss));
  for (const auto& [name, gradient] : truth.packed->gradients) {
    raise(noise.gradients[name], tensor_distance(loss.gradients.at(name), gradient));
  }
  for (const double share : row_shares(loss.grad_inputs_embeds, truth.packed->grad_inputs_embeds)) {
    raise(noise.grad_inputs_embeds, share);
  }
  return {};
}

}  // namespace

double row_distance(const Tensor& a, const Tensor& b, int64_t row) {
  const int64_t begin = row * a.dim(1);
  const int64_t end = begin + a.dim(1);
  return norm_of_difference(a, b, begin, end) / std::max(norm_of(b, begin, end), 1e-300);
}

double tensor_distance(const Tensor& a, const Tensor& b) {
  return norm_of_difference(a, b, 0, a.numel()) / std::max(norm_of(b, 0, b.numel()), 1e-300);
}

std::vector<double> row_shares(const Tensor& a, const Tensor& b) {
  const int64_t width = b.dim(b.rank() - 1);
  double largest = 1e-300;
  for (int64_t i = 0; i < b.numel(); i += width) raise(largest, norm_of(b, i, i + width));
  std::vector<double> shares;
  for (int64_t i = 0; i < b.numel(); i += width) {
    shares.push_back(norm_of_difference(a, b, i, i + width) / largest);
  }
  return shares;
}

Result<StackTruth> stack_truth(const reference::Model& model, const Packing& packing,
                               const Tensor& ids, bool gradients) {
  StackTruth truth;
  PACKPROOF_TRY(truth.run, run_alone(model, packing, ids));
  truth.loss = loss_of(truth.run.logits, packing, ids);
  for (int64_t n = 0; n < packing.num_seqs(); ++n) {
    truth.scored = truth.scored || packing.length(n) > 1;
  }
  if (truth.scored && (gradients || model.config().output_router_logits)) {
    PACKPROOF_TRY(truth.packed, packed_loss(model, packing, ids));
    truth.loss = truth.packed->loss;
  }
  return truth;
}

Result<StackLimits> stack_limits(const reference::Model& model, DType dtype, const Packing& packing,
                                 const Tensor& ids, const StackTruth& truth,
                                 const reference::Reference& reference) {
  ReferenceCandidate definition(reference);
  ModelOps ops(definition, reference, dtype, PlantedFault::kNone, {});
  const double sums = 0x1p-24 * std::sqrt(longest_sum(model.config(), ids.numel()) / 6.0);
  const double between = unit_roundoff(dtype) * std::sqrt(kRoundingsBetween / 3.0);
  StackLimits limits;
  limits.hidden.assign(truth.run.hidden_states.size(), 0.0);
  for (uint64_t draw = 0; draw < kDraws; ++draw) {
    PACKPROOF_TRY(const std::unique_ptr<reference::Model> disturbed,
                  model.perturbed(sums + between, draw));
    PACKPROOF_CHECK_OK(add_draw(*disturbed, ops, packing, ids, truth, limits));
  }
  const auto limit = [](double& noise) { noise = kDeviations * noise + kDoubleNoise; };
  for (double& noise : limits.hidden) limit(noise);
  limit(limits.delta_logprob);
  limits.kl = limits.delta_logprob * std::expm1(limits.delta_logprob);
  // A mean of log probabilities errs by no more than the worst of them, and by its own roundings.
  limit(limits.loss);
  limits.loss += limits.delta_logprob + 64.0 * 0x1p-24 * std::abs(truth.loss);
  for (auto& [name, noise] : limits.gradients) limit(noise);
  limit(limits.grad_inputs_embeds);
  return limits;
}

}  // namespace packproof
