#include "kernels/gated_rms_norm/gated_rms_norm.h"

namespace packproof {

ArgumentCheck check_gated_rms_norm_fwd(const packproof_gated_rms_norm_fwd_args& args) {
  ArgumentCheck check("gated_rms_norm");
  check.struct_size(args.struct_size, sizeof(args));
  if (!check.ok()) return check;
  check.rank({"x", &args.x}, 2, "[R, D]");
  check.storage_dtype({"x", &args.x});
  if (!check.ok()) return check;

  const int32_t dtype = args.x.dtype;
  const Axis rows{"R", args.x.shape[0]};
  const Axis size{"D", args.x.shape[1]};
  check.tensor({"x", &args.x}, dtype, {rows, size});
  check.tensor({"z", &args.z}, dtype, {rows, size});
  check.tensor({"weight", &args.weight}, dtype, {size});
  check.tensor({"output", &args.output}, dtype, {rows, size});
  if (!(args.eps >= 0.0f)) {
    check.refuse("expected eps of at least 0, found %g", static_cast<double>(args.eps));
  }
  check.at_most("R", rows.size, int64_t{INT32_MAX} * 4);  // the grid: 4 rows a block
  check.outputs_apart({{"output", &args.output}},
                      {{"x", &args.x}, {"z", &args.z}, {"weight", &args.weight}});
  return check;
}

}  // namespace packproof
