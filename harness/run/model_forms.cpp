#include "harness/core/packing.h"
#include "harness/run/model_check.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace packproof {
namespace {

/// log softmax of one row of logits.
void log_softmax(const double* row, int64_t count, std::vector<double>& out) {
  const double largest = *std::max_element(row, row + count);
  double sum = 0.0;
  for (int64_t i = 0; i < count; ++i) sum += std::exp(row[i] - largest);
  const double log_sum = largest + std::log(sum);
  for (int64_t i = 0; i < count; ++i) out[static_cast<std::size_t>(i)] = row[i] - log_sum;
}

Result<Tensor> run_alone(const reference::Model& model, const Packing& packing, const Tensor& ids,
                         const reference::ForwardOptions& options) {
  Tensor logits(DType::kF64, {packing.total_tokens(), model.config().vocab_size});
  const int64_t vocabulary = model.config().vocab_size;
  for (int64_t n = 0; n < packing.num_seqs(); ++n) {
    if (packing.length(n) == 0) continue;
    reference::ModelBatch batch;
    batch.input_ids = ids.slice(1, packing.begin(n), packing.begin(n) + packing.length(n));
    PACKPROOF_TRY(const reference::ModelOutput output, model.forward(batch, options));
    for (int64_t i = 0; i < packing.length(n) * vocabulary; ++i) {
      logits.set(packing.begin(n) * vocabulary + i, output.logits.at(i));
    }
  }
  return logits;
}

Result<Tensor> run_padded_left(const reference::Model& model, const Packing& packing,
                               const Tensor& ids, const reference::ForwardOptions& options) {
  const PaddedLayout layout = padded_layout(packing, PadSide::kLeft);
  const int64_t vocabulary = model.config().vocab_size;
  reference::ModelBatch batch;
  batch.input_ids = Tensor(DType::kI64, {layout.rows, layout.length});
  Tensor positions(DType::kI64, {layout.rows, layout.length});
  for (int64_t n = 0; n < packing.num_seqs(); ++n) {
    for (int64_t t = 0; t < packing.length(n); ++t) {
      batch.input_ids.set_int(layout.index_of(packing, n, t), ids.int_at(packing.begin(n) + t));
      positions.set_int(layout.index_of(packing, n, t), t);
    }
  }
  batch.attention_mask = attention_mask(packing, layout);
  batch.position_ids = std::move(positions);
  PACKPROOF_TRY(const reference::ModelOutput output, model.forward(batch, options));
  Tensor logits(DType::kF64, {packing.total_tokens(), vocabulary});
  for (int64_t n = 0; n < packing.num_seqs(); ++n) {
    for (int64_t t = 0; t < packing.length(n); ++t) {
      const int64_t source = layout.index_of(packing, n, t) * vocabulary;
      const int64_t target = (packing.begin(n) + t) * vocabulary;
      for (int64_t i = 0; i < vocabulary; ++i) logits.set(target + i, output.logits.at(source + i));
    }
  }
  return logits;
}

}  // namespace

std::vector<SequenceDrift> drift_of(const Tensor& a, const Tensor& b,
                                    const std::vector<int64_t>& lens) {
  const int64_t vocabulary = a.dim(1);
  const double* left = a.values<double>().data();
  const double* right = b.values<double>().data();
  std::vector<double> p(static_cast<std::size_t>(vocabulary));
  std::vector<double> q(p.size());
  std::vector<SequenceDrift> drifts;
  int64_t token = 0;
  for (int64_t n = 0; n < static_cast<int64_t>(lens.size()); ++n) {
    SequenceDrift drift{.sequence = n};
    for (int64_t t = 0; t < lens[static_cast<std::size_t>(n)]; ++t, ++token) {
      log_softmax(left + token * vocabulary, vocabulary, p);
      log_softmax(right + token * vocabulary, vocabulary, q);
      double kl = 0.0;
      for (std::size_t i = 0; i < p.size(); ++i) {
        const double delta = p[i] - q[i];
        // A NaN must not compare as small.
        if (!(std::abs(delta) <= drift.max_delta_logprob))
          drift.max_delta_logprob = std::abs(delta);
        kl += std::exp(p[i]) * delta;
      }
      if (!(kl <= drift.kl)) drift.kl = kl;
    }
    drifts.push_back(drift);
  }
  return drifts;
}

Result<Tensor> model_logits(const reference::Model& model, const std::vector<int64_t>& lens,
                            const Tensor& input_ids, ModelForm form,
                            const reference::OpHook& hook) {
  PACKPROOF_TRY(const Packing packing, Packing::from_lengths(lens));
  const reference::ForwardOptions options{.hook = hook};
  if (form == ModelForm::kAlone) return run_alone(model, packing, input_ids, options);
  if (form == ModelForm::kPaddedLeft) return run_padded_left(model, packing, input_ids, options);
  reference::ModelBatch batch;
  batch.input_ids = input_ids;
  batch.position_ids = packing.position_ids_tensor();
  batch.cu_seqlens.assign(packing.cu_seqlens().begin(), packing.cu_seqlens().end());
  PACKPROOF_TRY(const reference::ModelOutput output, model.forward(batch, options));
  return output.logits.reshaped({packing.total_tokens(), model.config().vocab_size});
}

Tensor draw_input_ids(const reference::ModelConfig& config, int64_t tokens, uint64_t seed) {
  Tensor ids(DType::kI64, {1, tokens});
  uint64_t state = seed * UINT64_C(0x9E3779B97F4A7C15) + UINT64_C(0xD1B54A32D192ED03);
  for (int64_t t = 0; t < tokens; ++t) {
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    const auto id = static_cast<int64_t>((state >> 33) % static_cast<uint64_t>(config.vocab_size));
    ids.set_int(t, id == config.pad_token_id ? (id + 1) % config.vocab_size : id);
  }
  return ids;
}

reference::ModelConfig small_dense_config() {
  reference::ModelConfig config;
  config.vocab_size = 97;
  config.hidden_size = 40;
  config.intermediate_size = 56;
  config.num_hidden_layers = 4;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.head_dim = 32;
  config.linear_num_key_heads = 2;
  config.linear_num_value_heads = 6;
  config.linear_key_head_dim = 16;
  config.linear_value_head_dim = 24;
  config.mrope_section = {2, 1, 1};
  config.layer_types = {
      reference::LayerType::kLinearAttention, reference::LayerType::kLinearAttention,
      reference::LayerType::kLinearAttention, reference::LayerType::kFullAttention};
  return config;
}

}  // namespace packproof
