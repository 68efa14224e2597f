#pragma once

#include <cstdint>

namespace packproof::reference {

/// Value columns that one strip advances together: four 32-byte vectors. Columns of the state never
/// meet (spec 3.1), and a strip of 128 key rows stays in a 32 KiB cache.
inline constexpr int kStripColumns = 16;

/// Coefficients of the error recursion of one token (derivation: harness/oracle/README.md),
/// with e the bound on the 2-norm error of a state column s:
///   e_t = keep e_{t-1} + before |s_{t-1}| + correction |delta_t| + after |s_t| + floor
///   error of o_t <= output (e_t + read |s_t|) + output_floor
struct ErrorStep {
  double keep = 0.0;
  double before = 0.0;
  double correction = 0.0;
  double after = 0.0;
  double floor = 0.0;
  double output = 0.0;
  double read = 0.0;
  double output_floor = 0.0;
};

/// What one strip carries from token to token; arrays of kStripColumns.
struct StripState {
  double* state = nullptr;       ///< [key_dim, kStripColumns], 32-byte aligned.
  double* prediction = nullptr;  ///< k_t^T S_{t-1} of the next token, not yet decayed.
  double* norm = nullptr;        ///< |s_{t-1}| per column; only with errors.
  double* error = nullptr;       ///< e_{t-1} per column; only with errors.
};

/// Consecutive tokens of one sequence and value head, for one strip of columns.
struct StripTokens {
  int64_t count = 0;
  int64_t key_dim = 0;
  int columns = 0;  ///< Of kStripColumns, those that exist.
  const double* q = nullptr;
  const double* k = nullptr;
  int64_t key_stride = 0;           ///< From token to token of q and k.
  const double* k_after = nullptr;  ///< k of the token after the last one; any row at the end.
  const double* v = nullptr;        ///< First column of the strip.
  double* output = nullptr;
  int64_t value_stride = 0;
  const double* decay = nullptr;  ///< exp(g).
  const double* beta = nullptr;
  int64_t gate_stride = 0;
  double scale = 1.0;
  const ErrorStep* steps = nullptr;  ///< Per token, or null.
  double* output_error = nullptr;    ///< Like `output`; only with `steps`.
};

using AdvanceStrip = void (*)(const StripTokens& tokens, const StripState& strip);

/// For any x86-64 (any CPU).
void advance_strip_baseline(const StripTokens& tokens, const StripState& strip);

/// For CPUs with AVX2 and FMA.
void advance_strip_avx2(const StripTokens& tokens, const StripState& strip);

bool cpu_has_avx2();

}  // namespace packproof::reference
