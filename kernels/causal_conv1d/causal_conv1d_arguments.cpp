#include "kernels/causal_conv1d/causal_conv1d.h"
#include "kernels/common/tensor_extent.h"

namespace packproof {
namespace {

constexpr int64_t kMaxChannels = 65535 * int64_t{128};  // the grid's second axis
constexpr int64_t kMaxSequences = INT32_MAX;            // the grid's first axis
constexpr int64_t kMaxRows = INT32_MAX;                 // a tile holds at least one row

void check_width_and_activation(ArgumentCheck& check, const packproof_tensor& weight,
                                int32_t activation) {
  check.rank({"weight", &weight}, 2, "[C, W]");
  if (!check.ok()) return;
  const int64_t width = weight.shape[1];
  if (width < 2 || width > 8) {
    check.not_supported("expected a width of 2 to 8 taps, found %lld",
                        static_cast<long long>(width));
  }
  if (activation != PACKPROOF_NONE && activation != PACKPROOF_SILU) {
    check.not_supported("expected activation none (0) or SiLU (1), found %s",
                        activation == PACKPROOF_GELU ? "GELU (2)" : "an unknown value");
  }
}

}  // namespace

ArgumentCheck check_causal_conv1d_fwd(const packproof_causal_conv1d_fwd_args& args) {
  ArgumentCheck check("causal_conv1d");
  check.struct_size(args.struct_size, sizeof(args));
  if (!check.ok()) return check;
  check.rank({"x", &args.x}, 3, "[B, T, C]");
  check.storage_dtype({"x", &args.x});
  check_width_and_activation(check, args.weight, args.activation);
  if (!check.ok()) return check;

  const int32_t dtype = args.x.dtype;
  const Axis batches{"B", args.x.shape[0]};
  const Axis tokens{"T", args.x.shape[1]};
  const Axis channels{"C", args.x.shape[2]};
  const Axis sequences{"N", args.packing.num_seqs};
  const Axis columns{"W-1", args.weight.shape[1] - 1};
  check.tensor({"x", &args.x}, dtype, {batches, tokens, channels});
  check.tensor({"weight", &args.weight}, dtype, {channels, {"W", args.weight.shape[1]}});
  check.optional_tensor({"bias", &args.bias}, dtype, {channels});
  check.packing(args.packing, batches.size, tokens.size);
  const bool has_states = is_present(args.initial_state) || is_present(args.final_state);
  if (args.packing.seq_idx != nullptr && args.packing.cu_seqlens == nullptr && has_states) {
    check.not_supported("expected cu_seqlens where states are given, found seq_idx alone");
  }
  check.optional_tensor({"initial_state", &args.initial_state}, dtype,
                        {sequences, channels, columns});
  check.tensor({"output", &args.output}, dtype, {batches, tokens, channels});
  check.optional_tensor({"final_state", &args.final_state}, dtype, {sequences, channels, columns});
  check.at_most("C", channels.size, kMaxChannels);
  check.at_most("B", batches.size, kMaxRows);
  check.at_most("T", tokens.size, kMaxRows);
  if (check.ok()) check.at_most("B * T", batches.size * tokens.size, kMaxRows);
  check.outputs_apart({{"output", &args.output}, {"final_state", &args.final_state}},
                      {{"x", &args.x},
                       {"weight", &args.weight},
                       {"bias", &args.bias},
                       {"initial_state", &args.initial_state}});
  check.apart_from_packing({{"output", &args.output}, {"final_state", &args.final_state}},
                           args.packing);
  return check;
}

ArgumentCheck check_causal_conv1d_update_fwd(const packproof_causal_conv1d_update_args& args) {
  ArgumentCheck check("causal_conv1d_update");
  check.struct_size(args.struct_size, sizeof(args));
  if (!check.ok()) return check;
  check.rank({"x", &args.x}, 2, "[N, C]");
  check.rank({"conv_state", &args.conv_state}, 3, "[S, C, W-1]");
  check.storage_dtype({"x", &args.x});
  check_width_and_activation(check, args.weight, args.activation);
  if (!check.ok()) return check;

  const int32_t dtype = args.x.dtype;
  const Axis rows{"N", args.x.shape[0]};
  const Axis channels{"C", args.x.shape[1]};
  const Axis slots{"S", args.conv_state.shape[0]};
  const int64_t width = args.weight.shape[1];
  check.tensor({"x", &args.x}, dtype, {rows, channels});
  check.tensor({"weight", &args.weight}, dtype, {channels, {"W", width}});
  check.optional_tensor({"bias", &args.bias}, dtype, {channels});
  check.tensor({"conv_state", &args.conv_state}, dtype, {slots, channels, {"W-1", width - 1}});
  check.state_indices(args.state_indices, args.state_indices_host, rows.size, slots.size);
  check.tensor({"output", &args.output}, dtype, {rows, channels});
  check.at_most("C", channels.size, kMaxChannels);
  check.at_most("N", rows.size, kMaxSequences);
  check.outputs_apart({{"output", &args.output}, {"conv_state", &args.conv_state}},
                      {{"x", &args.x},
                       {"weight", &args.weight},
                       {"bias", &args.bias},
                       {"state_indices", &args.state_indices}});
  return check;
}

}  // namespace packproof
