// The kernels of this library: rows only. Selection is the first row that supports the arguments.

#include "kernels/causal_conv1d/causal_conv1d.h"
#include "kernels/gated_delta_rule/gated_delta_rule.h"
#include "kernels/gated_rms_norm/gated_rms_norm.h"
#include "packproof/kernel_abi.h"

#include <cstddef>
#include <cstdint>
#include <string>
#ifndef PACKPROOF_CUDA_LIBRARY
#include "kernels/simt/launch.h"
#endif

namespace packproof {
namespace {

/// The text's copy that lives until the next call from the same thread. On the heap: a library that
/// is loaded at run time has little room for thread-local variables.
const char* keep_for_this_thread(const char* text) {
  thread_local std::string kept;
  kept = text;
  return kept.c_str();
}

/// The sentence of a check that found the arguments unsupported; null for arguments that are
/// supported and for wrong ones, which `launch` refuses. Emulated, every architecture is there.
template <typename Args, ArgumentCheck (*kCheck)(const Args&), bool kOnlySm90>
const char* unsupported_reason(const void* args, [[maybe_unused]] int32_t sm) {
#ifdef PACKPROOF_CUDA_LIBRARY
  const bool is_ampere_or_ada = sm / 10 == 8;  // all of which run code for sm_80
  if (!is_ampere_or_ada && sm != 90) return "the library holds code for sm_80 to sm_89 and sm_90";
  if (kOnlySm90 && sm != 90) return "wgmma is an instruction of sm_90 alone";
#endif
  const ArgumentCheck check = kCheck(*static_cast<const Args*>(args));
  if (check.status() != PACKPROOF_NOT_SUPPORTED) return nullptr;
  return keep_for_this_thread(check.text());
}

size_t no_workspace(const void*) { return 0; }

template <typename Args, ArgumentCheck (*kCheck)(const Args&), bool kOnlySm90 = false>
constexpr packproof_kernel forward_row(
    packproof_op op, const char* variant, decltype(packproof_kernel::launch) launch,
    decltype(packproof_kernel::workspace_size) workspace = &no_workspace, uint32_t dtypes = 0) {
  return {.struct_size = sizeof(packproof_kernel),
          .op = op,
          .direction = PACKPROOF_FORWARD,
          .variant = variant,
          .unsupported_reason = &unsupported_reason<Args, kCheck, kOnlySm90>,
          .workspace_size = workspace,
          .launch = launch,
          .device_metadata = PACKPROOF_CONTENTS_UNCHECKED,
          .dtypes = dtypes};
}

constexpr packproof_kernel kKernels[] = {
    forward_row<packproof_causal_conv1d_fwd_args, check_causal_conv1d_fwd>(
        PACKPROOF_CAUSAL_CONV1D, "causal_conv1d_fwd", launch_causal_conv1d_fwd),
    forward_row<packproof_causal_conv1d_update_args, check_causal_conv1d_update_fwd>(
        PACKPROOF_CAUSAL_CONV1D_UPDATE, "causal_conv1d_update_fwd",
        launch_causal_conv1d_update_fwd),
    forward_row<packproof_gated_delta_rule_fwd_args, check_recurrent_gated_delta_rule_fwd>(
        PACKPROOF_RECURRENT_GATED_DELTA_RULE, "recurrent_gated_delta_rule_fwd",
        launch_recurrent_gated_delta_rule_fwd),
    forward_row<packproof_gated_delta_rule_update_args,
                check_recurrent_gated_delta_rule_update_fwd>(
        PACKPROOF_RECURRENT_GATED_DELTA_RULE_UPDATE, "recurrent_gated_delta_rule_update_fwd",
        launch_recurrent_gated_delta_rule_update_fwd),
    forward_row<packproof_gated_delta_rule_fwd_args, check_chunk_gated_delta_rule_fwd_sm90, true>(
        PACKPROOF_CHUNK_GATED_DELTA_RULE, "chunk_gated_delta_rule_fwd_sm90",
        launch_chunk_gated_delta_rule_fwd_sm90, &chunk_gated_delta_rule_fwd_sm90_workspace,
        1U << PACKPROOF_F16 | 1U << PACKPROOF_BF16),
    forward_row<packproof_gated_delta_rule_fwd_args, check_chunk_gated_delta_rule_fwd>(
        PACKPROOF_CHUNK_GATED_DELTA_RULE, "chunk_gated_delta_rule_fwd",
        launch_chunk_gated_delta_rule_fwd, &chunk_gated_delta_rule_fwd_workspace,
        1U << PACKPROOF_F16 | 1U << PACKPROOF_BF16),
    forward_row<packproof_gated_rms_norm_fwd_args, check_gated_rms_norm_fwd>(
        PACKPROOF_GATED_RMS_NORM, "gated_rms_norm_fwd", launch_gated_rms_norm_fwd),
};

constexpr packproof_library kLibrary = {
    .struct_size = sizeof(packproof_library),
    .abi_version = PACKPROOF_ABI_VERSION,
#ifdef PACKPROOF_CUDA_LIBRARY
    .device = PACKPROOF_DEVICE_CUDA,
#else
    .device = PACKPROOF_DEVICE_HOST,
#endif
    .name = "packproof-kernels",
    .version = "0.1.0",
    .num_kernels = sizeof(kKernels) / sizeof(kKernels[0]),
    .kernels = kKernels,
    .bitwise_pack_invariant = 1,
    .features = PACKPROOF_FEATURE_STATE_POOL,
#ifdef PACKPROOF_CUDA_LIBRARY
    .set_schedule = nullptr,
#else
    .set_schedule = simt::set_schedule,
#endif
};

}  // namespace
}  // namespace packproof

extern "C" const packproof_library* packproof_kernel_library(void) { return &packproof::kLibrary; }
