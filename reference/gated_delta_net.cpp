#include "reference/gated_delta_net.h"

#include <algorithm>

namespace packproof::reference {
namespace {

/// Qwen3-Next's fused projections group q | k | v | z, and b | a, by key head.
MixerProjections fused_projections(const ParameterScope& scope, const ModelConfig& config,
                                   const at::Tensor& u) {
  const int64_t batch = u.size(0);
  const int64_t length = u.size(1);
  const int64_t key_heads = config.linear_num_key_heads;
  const int64_t value_heads = config.linear_num_value_heads;
  const int64_t group = value_heads / key_heads;
  const int64_t key_dim = config.linear_key_head_dim;
  const int64_t value_dim = config.linear_value_head_dim;
  const std::vector<at::Tensor> parts =
      scope.linear(u, "in_proj_qkvz")
          .view({batch, length, key_heads, 2 * key_dim + 2 * group * value_dim})
          .split_with_sizes({key_dim, key_dim, group * value_dim, group * value_dim}, -1);
  const std::vector<at::Tensor> gates = scope.linear(u, "in_proj_ba")
                                            .view({batch, length, key_heads, 2 * group})
                                            .split_with_sizes({group, group}, -1);
  MixerProjections result;
  result.c = at::cat({parts[0].reshape({batch, length, -1}), parts[1].reshape({batch, length, -1}),
                      parts[2].reshape({batch, length, -1})},
                     -1);
  result.z = parts[3].reshape({batch, length, value_heads, value_dim});
  result.b = gates[0].reshape({batch, length, value_heads});
  result.a = gates[1].reshape({batch, length, value_heads});
  return result;
}

/// The last Kc rows of every sequence of c [B, L, cd], preceded by its old conv state or zeros.
at::Tensor conv_columns(const at::Tensor& c, const at::Tensor& old, int64_t width,
                        const TokenLayout& layout) {
  std::vector<at::Tensor> states;
  const std::vector<SequenceSpan> spans = layout.sequences();
  for (std::size_t n = 0; n < spans.size(); ++n) {
    const SequenceSpan& span = spans[n];
    const int64_t kept = std::min(width, span.length());
    const at::Tensor last = c[span.row].slice(0, span.end - kept, span.end).t();
    const at::Tensor before =
        old.defined() ? old[static_cast<int64_t>(n)] : at::zeros({c.size(2), width}, c.options());
    states.push_back(at::cat({before.narrow(1, kept, width - kept), last}, 1));
  }
  return at::stack(states);
}

}  // namespace

MixerProjections mixer_projections(const ParameterScope& scope, const ModelConfig& config,
                                   const at::Tensor& u) {
  if (scope.has("in_proj_qkvz.weight")) return fused_projections(scope, config, u);
  MixerProjections result;
  result.c = scope.linear(u, "in_proj_qkv");
  result.z = scope.linear(u, "in_proj_z")
                 .view({u.size(0), u.size(1), config.linear_num_value_heads,
                        config.linear_value_head_dim});
  result.b = scope.linear(u, "in_proj_b");
  result.a = scope.linear(u, "in_proj_a");
  return result;
}

at::Tensor gated_delta_net(const ParameterScope& scope, const ModelConfig& config, int64_t layer,
                           const at::Tensor& u, const TokenLayout& layout, const MixerOps& ops,
                           MixerState& state) {
  const int64_t batch = layout.batch;
  const int64_t length = layout.length;
  const int64_t width = config.linear_conv_kernel_dim;
  const int64_t value_heads = config.linear_num_value_heads;
  const int64_t value_head_dim = config.linear_value_head_dim;
  const at::Tensor input = layout.mixer_mask.defined() ? u * layout.mixer_mask : u;
  const MixerProjections projected = mixer_projections(scope, config, input);

  const at::Tensor conv_weight = scope["conv1d.weight"].squeeze(1);
  const at::Tensor columns = conv_columns(projected.c, state.conv, width, layout);
  const at::Tensor taps = state.conv.defined() ? state.conv.narrow(2, 1, width - 1) : state.conv;
  const ConvResult conv = ops.conv(layer, projected.c, conv_weight, taps, layout);
  // The op keeps Kc - 1 columns, the library Kc: the oldest one never reaches a tap.
  state.conv = at::cat({columns.narrow(2, 0, 1), conv.final_state}, 2);

  const at::Tensor q = conv.output.narrow(-1, 0, config.key_dim());
  const at::Tensor k = conv.output.narrow(-1, config.key_dim(), config.key_dim());
  const at::Tensor v = conv.output.narrow(-1, 2 * config.key_dim(), config.value_dim());
  const auto heads = [&](const at::Tensor& x, int64_t count) {
    return x.reshape({batch, length, count, x.size(-1) / count});
  };
  const GateResult gate =
      delta_rule_gate(projected.a, projected.b, scope["A_log"], scope["dt_bias"]);
  const DeltaResult rule = ops.delta_rule(
      layer, heads(q, config.linear_num_key_heads), heads(k, config.linear_num_key_heads),
      heads(v, value_heads), gate.g, gate.beta, state.recurrent, layout);
  state.recurrent = rule.final_state;

  const at::Tensor normed = ops.norm(layer, rule.output.reshape({-1, value_head_dim}),
                                     projected.z.reshape({-1, value_head_dim}),
                                     scope["norm.weight"], config.rms_norm_eps);
  return scope.linear(normed.view({batch, length, config.value_dim()}), "out_proj");
}

}  // namespace packproof::reference
