#include "reference/gated_delta_rule_fast.h"

#include "harness/core/large_memory.h"
#include "reference/parallel.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>

namespace packproof::reference {
namespace {

/// Tokens that all strips of a head advance through before the next ones: q and k of a block stay
/// in the second-level cache.
constexpr int64_t kTokenBlock = 64;
constexpr double kL2NormEps = 1e-6;  // Spec 2.2.

struct FreeDeleter {
  void operator()(double* values) const { std::free(values); }
};

/// Zeroed doubles on a 32-byte boundary.
using AlignedDoubles = std::unique_ptr<double[], FreeDeleter>;

AlignedDoubles aligned_zeros(int64_t count) {
  const auto bytes = static_cast<std::size_t>(count) * sizeof(double);
  auto* const values = static_cast<double*>(std::aligned_alloc(32, (bytes + 31) / 32 * 32));
  if (values == nullptr) throw std::bad_alloc();
  std::fill_n(values, count, 0.0);
  return AlignedDoubles(values);
}

/// In eight interleaved partial sums: one alone would wait for every addition.
double sum_of_squares(const double* x, int64_t count) {
  constexpr int64_t kSums = 8;
  double sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums <= count; i += kSums) {
    for (int64_t j = 0; j < kSums; ++j) sums[j] += x[i + j] * x[i + j];
  }
  for (; i < count; ++i) sums[0] += x[i] * x[i];
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

using Doubles = std::vector<double, LargeMemory<double>>;

/// x (sum x^2 + eps)^-1/2 for every row of `dim` values (spec 2.2).
Doubles l2_normalised(const double* x, int64_t rows, int64_t dim, int threads) {
  Doubles result(static_cast<std::size_t>(rows * dim));
  constexpr int64_t kRows = 4096;
  run_parallel((rows + kRows - 1) / kRows, threads, [&](int64_t block) {
    for (int64_t r = block * kRows; r < std::min(rows, (block + 1) * kRows); ++r) {
      const double factor = 1.0 / std::sqrt(sum_of_squares(x + r * dim, dim) + kL2NormEps);
      for (int64_t i = 0; i < dim; ++i) {
        result[static_cast<std::size_t>(r * dim + i)] = x[r * dim + i] * factor;
      }
    }
  });
  return result;
}

/// One strip of columns of one sequence and head, from initial to final state.
class Strip {
 public:
  Strip(int64_t key_dim, bool with_errors)
      : state_(aligned_zeros(key_dim * kStripColumns)),
        prediction_(aligned_zeros(kStripColumns)),
        norm_(with_errors ? aligned_zeros(kStripColumns) : nullptr),
        error_(with_errors ? aligned_zeros(kStripColumns) : nullptr) {}

  StripState view() const { return {state_.get(), prediction_.get(), norm_.get(), error_.get()}; }

  void load(const double* initial_state, int64_t key_dim, int64_t value_dim, int columns,
            const double* first_k) {
    for (int c = 0; c < columns; ++c) {
      double prediction = 0.0;
      double square = 0.0;
      for (int64_t i = 0; i < key_dim; ++i) {
        const double value = initial_state[i * value_dim + c];
        state_[static_cast<std::size_t>(i * kStripColumns + c)] = value;
        prediction += first_k[i] * value;
        square += value * value;
      }
      prediction_[static_cast<std::size_t>(c)] = prediction;
      if (norm_) norm_[static_cast<std::size_t>(c)] = std::sqrt(square);
    }
  }

 private:
  AlignedDoubles state_;
  AlignedDoubles prediction_;
  AlignedDoubles norm_;
  AlignedDoubles error_;
};

/// All that the tasks read.
struct Run {
  const DeltaRuleProblem& problem;
  const DeltaRuleResults& results;
  const DeltaRuleErrors* errors;
  AdvanceStrip advance;
  const double* q;  ///< Normalised where asked for.
  const double* k;
  const double* decay;  ///< exp(g).

  /// Strips [first, last) of a sequence and value head.
  void head(int64_t n, int64_t h, int64_t first, int64_t last) const;

 private:
  int columns(int64_t strip) const {
    return static_cast<int>(
        std::min<int64_t>(kStripColumns, problem.value_dim - strip * kStripColumns));
  }

  StripTokens tokens(RowSpan rows, int64_t end, int64_t h, int64_t strip) const;
  void finish(const Strip& carried, int64_t n, int64_t h, int64_t strip) const;
};

StripTokens Run::tokens(RowSpan rows, int64_t end, int64_t h, int64_t strip) const {
  const int64_t key_stride = problem.key_heads * problem.key_dim;
  const int64_t value_stride = problem.value_heads * problem.value_dim;
  const int64_t key_offset = problem.key_head(h) * problem.key_dim;
  const int64_t value_offset =
      rows.begin * value_stride + h * problem.value_dim + strip * kStripColumns;
  StripTokens result;
  result.count = rows.length();
  result.key_dim = problem.key_dim;
  result.columns = columns(strip);
  result.q = q + rows.begin * key_stride + key_offset;
  result.k = k + rows.begin * key_stride + key_offset;
  result.key_stride = key_stride;
  result.k_after = k + std::min(rows.end, end - 1) * key_stride + key_offset;
  result.v = problem.v + value_offset;
  result.output = results.output + value_offset;
  result.value_stride = value_stride;
  result.decay = decay + rows.begin * problem.value_heads + h;
  result.beta = problem.beta + rows.begin * problem.value_heads + h;
  result.gate_stride = problem.value_heads;
  result.scale = problem.scale;
  if (errors != nullptr) result.output_error = errors->output + value_offset;
  return result;
}

void Run::finish(const Strip& carried, int64_t n, int64_t h, int64_t strip) const {
  const StripState view = carried.view();
  const int64_t offset = (n * problem.value_heads + h) * problem.state_size();
  for (int64_t i = 0; i < problem.key_dim; ++i) {
    for (int c = 0; c < columns(strip); ++c) {
      const int64_t place = offset + i * problem.value_dim + strip * kStripColumns + c;
      if (results.final_state != nullptr) {
        results.final_state[place] = view.state[i * kStripColumns + c];
      }
      // No element of a column errs by more than the column's 2-norm.
      if (errors != nullptr && errors->final_state != nullptr) {
        errors->final_state[place] = view.error[c];
      }
    }
  }
}

void Run::head(int64_t n, int64_t h, int64_t first, int64_t last) const {
  const RowSpan span = problem.sequences[static_cast<std::size_t>(n)];
  std::vector<Strip> strips;
  for (int64_t strip = first; strip < last; ++strip) {
    strips.emplace_back(problem.key_dim, errors != nullptr);
    if (problem.initial_state == nullptr) continue;
    const double* const state = problem.initial_state +
                                (n * problem.value_heads + h) * problem.state_size() +
                                strip * kStripColumns;
    // Without a token the prediction is never used; any k row will do then.
    const int64_t row = span.length() > 0 ? span.begin : 0;
    const std::vector<double> no_key(static_cast<std::size_t>(problem.key_dim));
    const double* const key =
        span.length() > 0 ? k + (row * problem.key_heads + problem.key_head(h)) * problem.key_dim
                          : no_key.data();
    strips.back().load(state, problem.key_dim, problem.value_dim, columns(strip), key);
  }
  std::vector<ErrorStep> steps;
  for (int64_t begin = span.begin; begin < span.end; begin += kTokenBlock) {
    const RowSpan rows{begin, std::min(span.end, begin + kTokenBlock)};
    if (errors != nullptr) errors->steps(h, rows, steps);
    for (int64_t strip = first; strip < last; ++strip) {
      StripTokens block = tokens(rows, span.end, h, strip);
      if (errors != nullptr) block.steps = steps.data();
      advance(block, strips[static_cast<std::size_t>(strip - first)].view());
    }
  }
  for (int64_t strip = first; strip < last; ++strip) {
    finish(strips[static_cast<std::size_t>(strip - first)], n, h, strip);
  }
}

}  // namespace

void gated_delta_rule_fast(const DeltaRuleProblem& problem, const DeltaRuleResults& results,
                           const DeltaRuleErrors* errors, const FastOptions& options) {
  const int threads = options.threads == 0 ? default_threads() : options.threads;
  Doubles q;
  Doubles k;
  if (problem.qk_l2norm) {
    const int64_t rows = problem.num_rows * problem.key_heads;
    q = l2_normalised(problem.q, rows, problem.key_dim, threads);
    k = l2_normalised(problem.k, rows, problem.key_dim, threads);
  }
  std::vector<double> decay(static_cast<std::size_t>(problem.num_rows * problem.value_heads));
  for (std::size_t i = 0; i < decay.size(); ++i) decay[i] = std::exp(problem.g[i]);

  const bool avx2 = options.instruction_set == InstructionSet::kAvx2 ||
                    (options.instruction_set == InstructionSet::kBest && cpu_has_avx2());
  const Run run{problem,
                results,
                errors,
                avx2 ? advance_strip_avx2 : advance_strip_baseline,
                problem.qk_l2norm ? q.data() : problem.q,
                problem.qk_l2norm ? k.data() : problem.k,
                decay.data()};
  const int64_t strips = (problem.value_dim + kStripColumns - 1) / kStripColumns;
  const int64_t heads = problem.num_seqs() * problem.value_heads;
  // Few heads are shared out by strips, so that every thread has work.
  const int64_t shares = std::clamp<int64_t>(2 * threads / std::max<int64_t>(heads, 1), 1, strips);
  run_parallel(heads * shares, threads, [&](int64_t task) {
    const int64_t head = task / shares;
    const int64_t share = task % shares;
    run.head(head / problem.value_heads, head % problem.value_heads, share * strips / shares,
             (share + 1) * strips / shares);
  });
}

}  // namespace packproof::reference
