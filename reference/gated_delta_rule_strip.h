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

/// How a token meets the state. Most do not decay it: with S_t = D_t U_t, and U in memory, a decay
/// only moves D, and U_t = U_{t-1} + k_t (delta_t / D_t)^T costs a multiplication less. Where D would
/// leave a safe range, and at the end of every block of tokens, the state is multiplied by what has
/// gathered and D is 1 again.
struct TokenFactors {
  double predict = 1.0;  ///< D_{t-1} exp(g_t): of k_t^T U_{t-1}.
  double beta = 0.0;
  double keep = 1.0;       ///< Of the state's rows: `predict`, or 1 where D gathers the decay.
  double enter = 1.0;      ///< 1 / D_t: of delta_t.
  double magnitude = 1.0;  ///< D_t.
  double overlap = 0.0;    ///< k_t^T k_{t+1} of the first token of a pair.
};

/// What one strip carries from pair to pair of tokens; arrays of kStripColumns.
struct StripState {
  double* state = nullptr;       ///< U [key_dim, kStripColumns], 32-byte aligned.
  double* prediction = nullptr;  ///< k^T U for the next two tokens' k [2, kStripColumns].
  double* norm = nullptr;        ///< |s_{t-1}| per column; only with errors.
  double* error = nullptr;       ///< e_{t-1} per column; only with errors.
};

/// Consecutive tokens of one sequence and value head, for one strip of columns. D is 1 before the
/// first and after the last. They advance in pairs: q, k and factors hold an even number of tokens,
/// the one past an odd `count` with zeros for q, k and beta.
struct StripTokens {
  int64_t count = 0;
  int64_t key_dim = 0;
  int columns = 0;            ///< Of kStripColumns, those that exist.
  const double* q = nullptr;  ///< [count, key_dim].
  const double* k = nullptr;  ///< [count + 2, key_dim]: of the pair after the last one too.
  const TokenFactors* factors = nullptr;  ///< [count].
  const double* v = nullptr;              ///< First column of the strip.
  int64_t v_stride = 0;                   ///< From token to token.
  double* output = nullptr;
  int64_t output_stride = 0;  ///< Of the output and its error.
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
