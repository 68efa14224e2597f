#include "reference/attention.h"

#include "reference/ops.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace packproof::reference {
namespace {

constexpr int64_t kQueryBlock = 256;

/// bool [rows, keys], true where query begin + row (at position past + begin + row) may not look.
at::Tensor forbidden(int64_t begin, int64_t rows, int64_t past, int64_t keys,
                     const at::Tensor& key_mask) {
  const at::Tensor position = at::arange(past + begin, past + begin + rows, at::kLong).unsqueeze(1);
  const at::Tensor key = at::arange(keys, at::kLong);
  at::Tensor result = key > position;
  if (key_mask.defined()) {
    result = result | key_mask.slice(0, 0, keys).logical_not();
    result = result & (result.all(1, true) & (key == position)).logical_not();
  }
  return result;
}

}  // namespace

at::Tensor causal_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const at::Tensor& key_mask) {
  const int64_t length = q.size(0);
  const int64_t past = k.size(0) - length;
  const int64_t kv_heads = k.size(1);
  const int64_t group = q.size(1) / kv_heads;
  const int64_t d = q.size(2);
  const double scale = 1.0 / std::sqrt(static_cast<double>(d));
  const at::Tensor keys = k.permute({1, 2, 0}).contiguous();    // [Hkv, d, S]
  const at::Tensor values = v.permute({1, 0, 2}).contiguous();  // [Hkv, S, d]
  const at::Tensor queries = q.view({length, kv_heads, group, d}).permute({1, 2, 0, 3});
  std::vector<at::Tensor> blocks;
  for (int64_t begin = 0; begin < length; begin += kQueryBlock) {
    const int64_t rows = std::min(kQueryBlock, length - begin);
    const int64_t seen = past + begin + rows;
    const at::Tensor block = queries.narrow(2, begin, rows).reshape({kv_heads, group * rows, d});
    const at::Tensor scores = at::bmm(block * scale, keys.narrow(2, 0, seen));
    const at::Tensor masked = scores.view({kv_heads, group, rows, seen})
                                  .masked_fill(forbidden(begin, rows, past, seen, key_mask),
                                               -std::numeric_limits<double>::infinity());
    const at::Tensor weights = at::softmax(masked, -1).view({kv_heads, group * rows, seen});
    const at::Tensor mixed = at::bmm(weights, values.narrow(1, 0, seen));
    blocks.push_back(mixed.view({kv_heads, group, rows, d}));
  }
  return at::cat(blocks, 2).permute({2, 0, 1, 3}).reshape({length, kv_heads * group, d});
}

at::Tensor gated_attention(const ParameterScope& scope, const ModelConfig& config,
                           const at::Tensor& u, const RotaryTable& rotary,
                           const TokenLayout& layout, KeyValues* cache) {
  const int64_t batch = layout.batch;
  const int64_t length = layout.length;
  const int64_t heads = config.num_attention_heads;
  const int64_t kv_heads = config.num_key_value_heads;
  const int64_t d = config.head_dim;
  const double eps = config.rms_norm_eps;

  // Query and gate interleave per head (spec 2.4 step 1).
  const at::Tensor query_gate = scope.linear(u, "q_proj").view({batch, length, heads, 2 * d});
  const at::Tensor gate = query_gate.narrow(-1, d, d).reshape({batch, length, heads * d});
  const at::Tensor q =
      apply_rotary(rms_norm_1p(query_gate.narrow(-1, 0, d), scope["q_norm.weight"], eps), rotary);
  at::Tensor k = scope.linear(u, "k_proj").view({batch, length, kv_heads, d});
  k = apply_rotary(rms_norm_1p(k, scope["k_norm.weight"], eps), rotary);
  at::Tensor v = scope.linear(u, "v_proj").view({batch, length, kv_heads, d});
  if (cache != nullptr) {
    if (cache->keys.defined()) {
      k = at::cat({cache->keys, k}, 1);
      v = at::cat({cache->values, v}, 1);
    }
    cache->keys = k;
    cache->values = v;
  }

  std::vector<at::Tensor> parts;
  for (const SequenceSpan& span : layout.sequences()) {
    if (span.length() == 0) continue;
    const auto rows_of = [&span](const at::Tensor& x, int64_t past) {
      return x[span.row].slice(0, span.begin, past + span.end);
    };
    const at::Tensor mask = layout.key_mask.defined() ? layout.key_mask[span.row] : layout.key_mask;
    parts.push_back(
        causal_attention(rows_of(q, 0), rows_of(k, layout.past), rows_of(v, layout.past), mask));
  }
  const int64_t slack = batch * length - layout.total_tokens();
  if (slack > 0) parts.push_back(at::zeros({slack, heads, d}, u.options()));
  const at::Tensor mixed = at::cat(parts, 0).view({batch, length, heads * d});
  return scope.linear(mixed * at::sigmoid(gate), "o_proj");
}

}  // namespace packproof::reference
