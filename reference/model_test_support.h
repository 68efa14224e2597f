#pragma once

#include "harness/core/packing.h"
#include "harness/core/random_stream.h"
#include "reference/model.h"
#include "reference/random_weights.h"

#include <cmath>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

/// Small models and batches for the tests of this folder.
namespace packproof::reference {

/// Two delta-net layers around an attention layer, grouped heads of both kinds, K != V.
inline ModelConfig tiny_config(ModelFamily family) {
  ModelConfig config;
  config.family = family;
  config.vocab_size = 29;
  config.hidden_size = 12;
  config.intermediate_size = 10;
  config.num_hidden_layers = 3;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.head_dim = 16;
  config.linear_conv_kernel_dim = 4;
  config.linear_key_head_dim = 4;
  config.linear_value_head_dim = 6;
  config.linear_num_key_heads = 2;
  config.linear_num_value_heads = 4;
  config.partial_rotary_factor = 0.5;
  config.mrope_section = {2, 1, 1};
  config.layer_types = {LayerType::kLinearAttention, LayerType::kFullAttention,
                        LayerType::kLinearAttention};
  if (family != ModelFamily::kQwen35) {
    config.moe_intermediate_size = 6;
    config.shared_expert_intermediate_size = 4;
    config.num_experts = 5;
    config.num_experts_per_tok = 2;
    config.output_router_logits = true;
    config.router_aux_loss_coef = 0.05;
  }
  if (family == ModelFamily::kQwen3Next) {
    config.norm_topk_prob = false;
    config.mlp_only_layers = {1};
  }
  return config;
}

/// Every family, dense once more with what it alone can have.
inline std::vector<std::pair<std::string, ModelConfig>> tiny_configs() {
  ModelConfig tied = tiny_config(ModelFamily::kQwen35);
  tied.tie_word_embeddings = true;
  tied.attention_bias = true;
  tied.linear_conv_kernel_dim = 2;
  ModelConfig next = tiny_config(ModelFamily::kQwen3Next);
  next.norm_topk_prob = true;
  next.mlp_only_layers = {};
  next.decoder_sparse_step = 2;
  return {{"dense", tiny_config(ModelFamily::kQwen35)},
          {"dense_tied", tied},
          {"moe", tiny_config(ModelFamily::kQwen35Moe)},
          {"next", tiny_config(ModelFamily::kQwen3Next)},
          {"next_sparse_step", next}};
}

inline std::unique_ptr<Model> tiny_model(const ModelConfig& config, uint64_t seed,
                                         const ModelOptions& options = {}) {
  auto model = make_model(config, random_checkpoint(config, GateRegime::kSlow, seed), options);
  // The configurations above are valid; without a model no test of this folder means anything.
  if (!model.ok()) throw std::logic_error(model.error().message);
  return std::move(model).value();
}

inline Tensor random_ids(const ModelConfig& config, std::vector<int64_t> shape, uint64_t seed) {
  const RandomStream stream(seed, "input_ids");
  Tensor ids(DType::kI64, std::move(shape));
  for (int64_t i = 0; i < ids.numel(); ++i) {
    ids.set_int(i, stream.at(i).integer(0, config.vocab_size - 1));
  }
  return ids;
}

/// 2-norm of the difference over the 2-norm of `want`; infinite for different shapes or NaN.
inline double relative_error(const Tensor& got, const Tensor& want) {
  if (got.shape() != want.shape()) return INFINITY;
  double difference = 0.0;
  double norm = 0.0;
  for (int64_t i = 0; i < want.numel(); ++i) {
    difference += (got.at(i) - want.at(i)) * (got.at(i) - want.at(i));
    norm += want.at(i) * want.at(i);
  }
  if (difference == 0.0) return 0.0;
  return std::isnan(difference) || norm == 0.0 ? INFINITY : std::sqrt(difference / norm);
}

/// One packing of sequences in its packed and padded forms.
struct TestBatch {
  Packing packing;
  Tensor ids;     ///< i64 [1, T].
  Tensor labels;  ///< i64 [1, T], -100 at every first token.

  ModelBatch packed() const {
    ModelBatch batch;
    batch.input_ids = ids;
    batch.cu_seqlens.assign(packing.cu_seqlens().begin(), packing.cu_seqlens().end());
    return batch;
  }

  ModelBatch alone(int64_t n) const {
    ModelBatch batch;
    batch.input_ids = ids.slice(1, packing.begin(n), packing.begin(n) + packing.length(n));
    return batch;
  }

  /// Token ids, mask and positions; `tensor` scattered into the padded shape with `fill` at pads.
  ModelBatch padded(const PaddedLayout& layout) const {
    ModelBatch batch;
    batch.input_ids = scattered(layout, ids, 0);
    batch.attention_mask = attention_mask(packing, layout);
    batch.position_ids = scattered(layout, packing.position_ids_tensor(), 0);
    return batch;
  }

  Tensor scattered(const PaddedLayout& layout, const Tensor& tensor, int64_t fill) const {
    Tensor result(DType::kI64, {layout.rows, layout.length});
    for (int64_t i = 0; i < result.numel(); ++i) result.set_int(i, fill);
    for (int64_t n = 0; n < packing.num_seqs(); ++n) {
      for (int64_t t = 0; t < packing.length(n); ++t) {
        result.set_int(layout.index_of(packing, n, t), tensor.int_at(packing.begin(n) + t));
      }
    }
    return result;
  }

  /// Rows of a padded [N, L, X] result in packed order, [1, T, X].
  Tensor gathered(const PaddedLayout& layout, const Tensor& padded) const {
    const int64_t width = padded.dim(2);
    Tensor result(DType::kF64, {1, packing.total_tokens(), width});
    for (int64_t n = 0; n < packing.num_seqs(); ++n) {
      for (int64_t t = 0; t < packing.length(n); ++t) {
        for (int64_t x = 0; x < width; ++x) {
          result.set((packing.begin(n) + t) * width + x,
                     padded.at(layout.index_of(packing, n, t) * width + x));
        }
      }
    }
    return result;
  }
};

inline TestBatch test_batch(const ModelConfig& config, std::vector<int64_t> lengths,
                            uint64_t seed) {
  TestBatch batch{*Packing::from_lengths(std::move(lengths)), {}, {}};
  batch.ids = random_ids(config, {1, batch.packing.total_tokens()}, seed);
  batch.labels = batch.ids;
  for (int64_t n = 0; n < batch.packing.num_seqs(); ++n) {
    if (batch.packing.length(n) > 0) batch.labels.set_int(batch.packing.begin(n), -100);
  }
  return batch;
}

}  // namespace packproof::reference
