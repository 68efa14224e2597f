#pragma once

#include "harness/core/packing.h"
#include "harness/core/tensor.h"

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace packproof {

enum class Distribution : uint8_t { kConstant, kNormal, kUniform, kSigmoidNormal, kInteger };

/// How elements are drawn. Values are rounded once, to the tensor's dtype.
struct FillRecipe {
  Distribution distribution = Distribution::kNormal;
  double low = 0.0;   ///< Mean of the normal; lower end of the others.
  double high = 1.0;  ///< Standard deviation of the normal; upper end of the others.

  static FillRecipe constant(double value);
  static FillRecipe normal(double scale = 1.0, double mean = 0.0);
  static FillRecipe uniform(double low, double high);
  static FillRecipe sigmoid_normal();  ///< 1 / (1 + e^-n), n standard normal: beta (spec 2.5).

  /// Integers from -bound to bound: sums of products stay exact in float32 for a small bound.
  static FillRecipe integers(int64_t bound);
};

/// The tensor to fill. Its data are a function of `seed`, `name` and the indices below, so two
/// tensors of one name and seed agree wherever their sequences do.
struct FillTarget {
  uint64_t seed = 0;
  std::string_view name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
};

/// Rows of tokens: the shape holds the packing's rows (slack included) times any number of
/// elements per token, token after token. An element depends on (sequence, token within it, index
/// within the token), not on where the sequence stands. Slack rows hold NaN bytes (0xFF).
Tensor fill_tokens(const FillRecipe& recipe, const FillTarget& target, const Packing& packing);

/// One slice of the leading axis per entry of `ordinals`: the sequence whose state it is. Pools
/// give slots that no sequence uses ordinals beyond N.
Tensor fill_sequences(const FillRecipe& recipe, const FillTarget& target,
                      std::span<const int64_t> ordinals);

/// Weights: an element depends on its index alone.
Tensor fill_shared(const FillRecipe& recipe, const FillTarget& target);

}  // namespace packproof
