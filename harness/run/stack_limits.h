#pragma once

#include "harness/core/packing.h"
#include "harness/run/model_run.h"
#include "reference/reference.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace packproof {

/// What a whole model gives in double precision.
struct StackTruth {
  ModelRun run;  ///< Every sequence by itself.

  /// Mean over all tokens but the first of each sequence, with the auxiliary loss of mixtures that
  /// have one: that couples all tokens, so it is the packed batch's.
  double loss = 0.0;
  bool scored = false;  ///< Whether any token is scored: else there is no loss.
  std::optional<reference::Model::LossResult> packed;  ///< Where the loss or gradients needed it.
};

Result<StackTruth> stack_truth(const reference::Model& model, const Packing& packing,
                               const Tensor& ids, bool gradients);

/// How far a library's run in some dtype may be from the truth.
struct StackLimits {
  std::vector<double> hidden;  ///< Relative 2-norm of a row, per entry of hidden_states.
  double delta_logprob = 0.0;  ///< |log p - log p*| of any token and word.
  double kl = 0.0;             ///< |log p - log p*| <= d bounds KL by d (e^d - 1).
  double loss = 0.0;
  std::map<std::string, double> gradients;  ///< Relative 2-norm, by parameter.
  double grad_inputs_embeds = 0.0;          ///< `row_shares`.
};

/// Derivation in the .cpp file.
Result<StackLimits> stack_limits(const reference::Model& model, DType dtype, const Packing& packing,
                                 const Tensor& ids, const StackTruth& truth,
                                 const reference::Reference& reference);

/// Relative 2-norms of the difference: of row `row` of [T, D], and of a whole tensor. NaN stays NaN.
double row_distance(const Tensor& a, const Tensor& b, int64_t row);
double tensor_distance(const Tensor& a, const Tensor& b);

/// Per row of the last axis, the 2-norm of the difference over the largest 2-norm of a row of `b`:
/// tokens that nothing depends on have gradients of zero.
std::vector<double> row_shares(const Tensor& a, const Tensor& b);

}  // namespace packproof
