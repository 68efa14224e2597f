#include "reference/attention_backward.h"

#include "reference/rms_norm_backward.h"

#include <algorithm>
#include <cmath>

namespace packproof::reference {
namespace {

constexpr int64_t kQueriesPerBlock = 512;

/// Angles by the definition, one entry at a time (spec 1.2, 2.4 step 3): [T, d_r / 2].
at::Tensor rotary_angles(const ModelConfig& config, const TokenLayout& layout) {
  const int64_t half = config.rotary_dim() / 2;
  const int64_t tokens = layout.batch * layout.length;
  const bool three_rows = layout.positions.dim() == 3;
  const at::Tensor rows = layout.positions.reshape({-1, tokens}).contiguous();
  const auto position = rows.accessor<int64_t, 2>();
  at::Tensor result = at::empty({tokens, half}, at::kDouble);
  auto angle = result.accessor<double, 2>();
  for (int64_t i = 0; i < half; ++i) {
    const double omega = std::pow(config.rope_theta, -static_cast<double>(i) / half);
    int64_t row = 0;
    for (int64_t axis = 1; three_rows && axis <= 2; ++axis) {
      if (i % 3 == axis && i < 3 * config.mrope_section[static_cast<std::size_t>(axis)]) row = axis;
    }
    for (int64_t t = 0; t < tokens; ++t) angle[t][i] = omega * position[row][t];
  }
  return result;
}

/// Rotates the leading pairs (i, i + half) of x [T, H, d]; with -sin this is the transposed map.
at::Tensor rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  const int64_t half = cos.size(2);
  at::Tensor y = x.clone();
  const at::Tensor first = x.slice(2, 0, half);
  const at::Tensor second = x.slice(2, half, 2 * half);
  y.slice(2, 0, half).copy_(first * cos - second * sin);
  y.slice(2, half, 2 * half).copy_(second * cos + first * sin);
  return y;
}

}  // namespace

AttentionTape::AttentionTape(ParameterScope scope, const ModelConfig& config,
                             const TokenLayout& layout, const at::Tensor& u)
    : scope_(std::move(scope)), config_(config), layout_(layout), u_(u) {
  const int64_t d = config.head_dim;
  const at::Tensor angle = rotary_angles(config, layout).unsqueeze(1);
  cos_ = angle.cos();
  sin_ = angle.sin();
  const at::Tensor pairs = linear_forward(scope_, "q_proj", u).view({u.size(0), -1, 2, d});
  query_raw_ = pairs.select(2, 0);
  gate_ = 1.0 / (1.0 + at::exp(-pairs.select(2, 1)));
  key_raw_ = linear_forward(scope_, "k_proj", u).view({u.size(0), -1, d});
  value_ = linear_forward(scope_, "v_proj", u).view({u.size(0), -1, d});
  query_ = rotate(rms_norm_1p_forward(query_raw_, scope_["q_norm.weight"], config.rms_norm_eps),
                  cos_, sin_);
  key_ = rotate(rms_norm_1p_forward(key_raw_, scope_["k_norm.weight"], config.rms_norm_eps), cos_,
                sin_);
  mixed_ = at::zeros_like(query_);
  for (const Block& block : blocks()) {
    mixed_.select(1, block.head)
        .slice(0, block.query_begin, block.query_end)
        .copy_(at::mm(block_weights(block),
                      value_.select(1, block.kv_head).slice(0, block.key_begin, block.key_end)));
  }
  output_ = linear_forward(scope_, "o_proj", (mixed_ * gate_).flatten(1));
}

std::vector<AttentionTape::Block> AttentionTape::blocks() const {
  const int64_t group = config_.num_attention_heads / config_.num_key_value_heads;
  std::vector<Block> result;
  for (const SequenceSpan& span : layout_.sequences()) {
    const int64_t origin = span.row * layout_.length + span.begin;
    for (int64_t begin = 0; begin < span.length(); begin += kQueriesPerBlock) {
      const int64_t end = std::min(begin + kQueriesPerBlock, span.length());
      const at::Tensor ones = at::ones({end - begin, end}, at::kBool);
      at::Tensor visible = ones.tril(begin);
      if (layout_.key_mask.defined()) {
        visible = visible.logical_and(layout_.key_mask[span.row].slice(0, 0, end));
        // A pad without any visible key looks at itself.
        const at::Tensor blind = visible.any(1, true).logical_not();
        visible = visible.logical_or(ones.tril(begin).triu(begin).logical_and(blind));
      }
      const at::Tensor hidden = visible.logical_not();
      for (int64_t head = 0; head < config_.num_attention_heads; ++head) {
        result.push_back(
            {head, head / group, origin + begin, origin + end, origin, origin + end, hidden});
      }
    }
  }
  return result;
}

at::Tensor AttentionTape::block_weights(const Block& block) const {
  const double scale = std::pow(static_cast<double>(config_.head_dim), -0.5);
  const at::Tensor q = query_.select(1, block.head).slice(0, block.query_begin, block.query_end);
  const at::Tensor k = key_.select(1, block.kv_head).slice(0, block.key_begin, block.key_end);
  const at::Tensor scores = at::mm(q, k.t()) * scale;
  const at::Tensor highest = std::get<0>(scores.masked_fill(block.hidden, -1e300).max(1, true));
  // Hidden entries are cleared after the exponential, whose argument is bounded first.
  const at::Tensor raised =
      at::exp(at::clamp_max(scores - highest, 0.0)).masked_fill(block.hidden, 0.0);
  return raised / raised.sum(1, true);
}

at::Tensor AttentionTape::backward(const at::Tensor& d_output, GradientStore& store) const {
  const double scale = std::pow(static_cast<double>(config_.head_dim), -0.5);
  const at::Tensor gated = (mixed_ * gate_).flatten(1);
  const at::Tensor d_gated =
      linear_backward(scope_, "o_proj", gated, d_output, store).view(mixed_.sizes());
  const at::Tensor d_mixed = d_gated * gate_;
  const at::Tensor d_gate = d_gated * mixed_ * gate_ * (1.0 - gate_);

  at::Tensor d_query = at::zeros_like(query_);
  at::Tensor d_key = at::zeros_like(key_);
  at::Tensor d_value = at::zeros_like(value_);
  for (const Block& block : blocks()) {
    const auto queries = [&block](const at::Tensor& x) {
      return x.select(1, block.head).slice(0, block.query_begin, block.query_end);
    };
    const auto keys = [&block](const at::Tensor& x) {
      return x.select(1, block.kv_head).slice(0, block.key_begin, block.key_end);
    };
    // O = P V, P = softmax(s Q K^T): dV = P^T dO, dS = P (dP - sum_j dP P), dP = dO V^T.
    const at::Tensor p = block_weights(block);
    const at::Tensor d_p = at::mm(queries(d_mixed), keys(value_).t());
    const at::Tensor d_s = p * (d_p - (d_p * p).sum(1, true)) * scale;
    keys(d_value).add_(at::mm(p.t(), queries(d_mixed)));
    queries(d_query).copy_(at::mm(d_s, keys(key_)));
    keys(d_key).add_(at::mm(d_s.t(), queries(query_)));
  }

  const NormGradients through_q = rms_norm_1p_backward(
      query_raw_, scope_["q_norm.weight"], config_.rms_norm_eps, rotate(d_query, cos_, -sin_));
  const NormGradients through_k = rms_norm_1p_backward(
      key_raw_, scope_["k_norm.weight"], config_.rms_norm_eps, rotate(d_key, cos_, -sin_));
  store.add(scope_.prefix() + "q_norm.weight", through_q.d_weight);
  store.add(scope_.prefix() + "k_norm.weight", through_k.d_weight);
  const at::Tensor d_pairs = at::stack({through_q.d_x, d_gate}, 2).flatten(1);
  return linear_backward(scope_, "q_proj", u_, d_pairs, store) +
         linear_backward(scope_, "k_proj", u_, through_k.d_x.flatten(1), store) +
         linear_backward(scope_, "v_proj", u_, d_value.flatten(1), store);
}

}  // namespace packproof::reference
