// gated_rms_norm, forward (spec 2.2, "Gated RMSNorm", without intermediate rounding), per row:
//
//   n = x (mean(x^2) + eps)^-1/2          y = n weight silu(z)
//
// Tensors     x, z, output [R, D]; weight [D]; one of f32, f16, bf16; any strides; any D.
// Mapping     one warp a row, 4 rows a block; lane l takes elements l, l + 32, ...
// Shared      none: the row's sum is one warp_sum.
// Bits        fixed order of the sum (elements of a lane in order, then the shuffle tree), all in
//             f32 with one rounding at the end; a row depends on nothing but itself and the weight.

#include "kernels/common/dispatch.cuh"
#include "kernels/common/launch.cuh"
#include "kernels/common/load_store.cuh"
#include "kernels/common/math.cuh"
#include "kernels/common/reduce.cuh"
#include "kernels/gated_rms_norm/gated_rms_norm.h"

namespace packproof {
namespace {

constexpr int kRowsPerBlock = 4;
constexpr int kWarpSize = 32;

template <typename T>
struct GatedRmsNormParams {
  StridedView<const T, 2> x, z;
  StridedView<const T, 1> weight;
  StridedView<T, 2> output;
  int64_t num_rows;
  int64_t row_size;
  float eps;
};

template <typename T>
__global__ void __launch_bounds__(kRowsPerBlock* kWarpSize)
    gated_rms_norm_fwd(GatedRmsNormParams<T> params) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  const int64_t row = static_cast<int64_t>(blockIdx.x) * kRowsPerBlock + warp;
  if (row >= params.num_rows) return;  // the whole warp leaves

  float squares = 0.0f;
  for (int64_t i = lane; i < params.row_size; i += kWarpSize) {
    const float x = params.x.load(row, i);
    squares = fmaf(x, x, squares);
  }
  const float mean = __fdiv_rn(warp_sum(squares), static_cast<float>(params.row_size));
  const float inverse_rms = rsqrt_f32(mean + params.eps);

  for (int64_t i = lane; i < params.row_size; i += kWarpSize) {
    const float n = params.x.load(row, i) * inverse_rms;
    params.output.store(n * params.weight.load(i) * silu_f32(params.z.load(row, i)), row, i);
  }
}

}  // namespace

packproof_status launch_gated_rms_norm_fwd(const void* untyped_args, void*, size_t, void* stream,
                                           packproof_message* message) {
  const auto& args = *static_cast<const packproof_gated_rms_norm_fwd_args*>(untyped_args);
  const packproof_status status = check_gated_rms_norm_fwd(args).report(message);
  if (status != PACKPROOF_OK) return status;
  const int64_t num_blocks = (args.x.shape[0] + kRowsPerBlock - 1) / kRowsPerBlock;
  if (num_blocks == 0 || args.x.shape[1] == 0) return PACKPROOF_OK;
  return dispatch_dtype(args.x.dtype, [&]<typename T>() {
    const GatedRmsNormParams<T> params{
        .x = view_of<const T, 2>(args.x),
        .z = view_of<const T, 2>(args.z),
        .weight = view_of<const T, 1>(args.weight),
        .output = view_of<T, 2>(args.output),
        .num_rows = args.x.shape[0],
        .row_size = args.x.shape[1],
        .eps = args.eps,
    };
    return launch<&gated_rms_norm_fwd<T>>({.name = "gated_rms_norm_fwd",
                                           .grid = dim3(static_cast<unsigned>(num_blocks)),
                                           .block = dim3(kRowsPerBlock * kWarpSize),
                                           .stream = stream},
                                          message, params);
  });
}

}  // namespace packproof
