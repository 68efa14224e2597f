#include "reference/gated_delta_rule_fast.h"

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
/// Rows of other heads lie between those of one: no prefetcher of the CPU sees so far ahead.
constexpr int64_t kRowsAhead = 4;
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

/// In eight vectors of partial sums: one alone would wait for every addition. 16 bytes each, which any
/// x86-64 keeps in a register.
double dot(const double* x, const double* y, int64_t count) {
  using Lanes = double __attribute__((vector_size(16), aligned(8), may_alias));
  constexpr int64_t kLanes = 2;
  constexpr int64_t kSums = 8;
  Lanes sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums * kLanes <= count; i += kSums * kLanes) {
    for (int64_t j = 0; j < kSums; ++j) {
      sums[j] += *reinterpret_cast<const Lanes*>(x + i + j * kLanes) *
                 *reinterpret_cast<const Lanes*>(y + i + j * kLanes);
    }
  }
  const Lanes lanes =
      ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
  double sum = lanes[0] + lanes[1];
  for (; i < count; ++i) sum += x[i] * y[i];
  return sum;
}

/// x (sum x^2 + eps)^-1/2 (spec 2.2).
void l2_normalise(double* x, int64_t count) {
  const double factor = 1.0 / std::sqrt(dot(x, x, count) + kL2NormEps);
  for (int64_t i = 0; i < count; ++i) x[i] *= factor;
}

/// Value columns [begin, end) of a head.
struct ColumnSpan {
  int64_t begin = 0;
  int64_t end = 0;

  int64_t count() const { return end - begin; }
};

/// What the strips of a head read of a block of tokens, as f64.
class TokenBlock {
 public:
  TokenBlock(const DeltaRuleProblem& problem, int64_t value_head, ColumnSpan columns, int64_t end)
      : problem_(problem),
        value_head_(value_head),
        columns_(columns),
        end_(end),
        q_(static_cast<std::size_t>(kTokenBlock * problem.key_dim)),
        k_(static_cast<std::size_t>((kTokenBlock + 2) * problem.key_dim)),
        v_(static_cast<std::size_t>(kTokenBlock * columns.count())),
        factors_(static_cast<std::size_t>(kTokenBlock)) {}

  /// Reads the rows of a block, and k of the pair after it up to the sequence's `end`; zeros stand
  /// for rows that do not exist.
  void read(RowSpan rows);

  const double* q() const { return q_.data(); }

  const double* k() const { return k_.data(); }

  /// From `column` of the head on; rows follow each other at `value_stride`.
  const double* v(int64_t column) const { return v_.data() + (column - columns_.begin); }

  int64_t value_stride() const { return columns_.count(); }

  const TokenFactors* factors() const { return factors_.data(); }

 private:
  void read_keys(const StoredValues& x, RowSpan rows, std::vector<double>& result) const;
  void read_values(RowSpan rows);
  void read_gates(RowSpan rows);

  const DeltaRuleProblem& problem_;
  int64_t value_head_;
  ColumnSpan columns_;
  int64_t end_;
  std::vector<double> q_;
  std::vector<double> k_;
  std::vector<double> v_;
  std::vector<TokenFactors> factors_;
};

void TokenBlock::read_keys(const StoredValues& x, RowSpan rows, std::vector<double>& result) const {
  const int64_t key_head = problem_.key_head(value_head_);
  double* target = result.data();
  for (int64_t row = rows.begin; row < rows.end; ++row, target += problem_.key_dim) {
    if (row + kRowsAhead < rows.end) {
      x.prefetch(problem_.key_place(row + kRowsAhead, key_head), problem_.key_dim);
    }
    x.read(problem_.key_place(row, key_head), problem_.key_dim, target);
    if (problem_.qk_l2norm) l2_normalise(target, problem_.key_dim);
  }
  std::fill(target, result.data() + result.size(), 0.0);
}

void TokenBlock::read_values(RowSpan rows) {
  const auto place = [&](int64_t row) {
    return problem_.value_place(row, value_head_) + columns_.begin;
  };
  double* target = v_.data();
  for (int64_t row = rows.begin; row < rows.end; ++row, target += columns_.count()) {
    if (row + kRowsAhead < rows.end) {
      problem_.v.prefetch(place(row + kRowsAhead), columns_.count());
    }
    problem_.v.read(place(row), columns_.count(), target);
  }
}

void TokenBlock::read_gates(RowSpan rows) {
  // A product of at most 64 decays rounds 64 times at most; within this range neither U nor its
  // squares come near the limits of a double where S does not.
  constexpr double kSmallest = 0x1p-32;
  constexpr double kLargest = 0x1p32;
  double gathered = 1.0;
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    const int64_t place = row * problem_.value_heads + value_head_;
    TokenFactors& factors = factors_[static_cast<std::size_t>(row - rows.begin)];
    factors.beta = problem_.beta[place];
    factors.predict = gathered * std::exp(problem_.g[place]);
    const bool gathers =
        row + 1 < rows.end && factors.predict >= kSmallest && factors.predict <= kLargest;
    gathered = gathers ? factors.predict : 1.0;
    factors.keep = gathers ? 1.0 : factors.predict;
    factors.magnitude = gathered;
    factors.enter = 1.0 / gathered;
  }
}

void TokenBlock::read(RowSpan rows) {
  read_keys(problem_.q, rows, q_);
  read_keys(problem_.k, {rows.begin, std::min(rows.end + 2, end_)}, k_);
  read_values(rows);
  read_gates(rows);
  for (int64_t t = 0; t < rows.length(); t += 2) {
    const double* const k = k_.data() + t * problem_.key_dim;
    factors_[static_cast<std::size_t>(t)].overlap = dot(k, k + problem_.key_dim, problem_.key_dim);
  }
  if (rows.length() % 2 != 0) factors_[static_cast<std::size_t>(rows.length())] = {};
}

/// One strip of columns of one sequence and head, from initial to final state.
class Strip {
 public:
  Strip(int64_t key_dim, bool with_errors)
      : state_(aligned_zeros(key_dim * kStripColumns)),
        prediction_(aligned_zeros(2 * kStripColumns)),
        norm_(with_errors ? aligned_zeros(kStripColumns) : nullptr),
        error_(with_errors ? aligned_zeros(kStripColumns) : nullptr) {}

  StripState view() const { return {state_.get(), prediction_.get(), norm_.get(), error_.get()}; }

  void load(const double* initial_state, int64_t key_dim, int64_t value_dim, int columns,
            const double* first_keys) {
    for (int c = 0; c < columns; ++c) {
      double prediction[2] = {};
      double square = 0.0;
      for (int64_t i = 0; i < key_dim; ++i) {
        const double value = initial_state[i * value_dim + c];
        state_[static_cast<std::size_t>(i * kStripColumns + c)] = value;
        for (int64_t t = 0; t < 2; ++t) prediction[t] += first_keys[t * key_dim + i] * value;
        square += value * value;
      }
      for (int t = 0; t < 2; ++t) {
        prediction_[static_cast<std::size_t>(t * kStripColumns + c)] = prediction[t];
      }
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

  /// Strips [first, last) of a sequence and value head.
  void head(int64_t n, int64_t h, int64_t first, int64_t last) const;

 private:
  int columns(int64_t strip) const {
    return static_cast<int>(
        std::min<int64_t>(kStripColumns, problem.value_dim - strip * kStripColumns));
  }

  StripTokens tokens(RowSpan rows, const TokenBlock& block, int64_t h, int64_t strip) const;
  void finish(const Strip& carried, int64_t n, int64_t h, int64_t strip) const;
};

StripTokens Run::tokens(RowSpan rows, const TokenBlock& block, int64_t h, int64_t strip) const {
  const int64_t output_stride = problem.value_heads * problem.value_dim;
  const int64_t offset = problem.value_place(rows.begin, h) + strip * kStripColumns;
  StripTokens result;
  result.count = rows.length();
  result.key_dim = problem.key_dim;
  result.columns = columns(strip);
  result.q = block.q();
  result.k = block.k();
  result.factors = block.factors();
  result.v = block.v(strip * kStripColumns);
  result.v_stride = block.value_stride();
  result.output = results.output + offset;
  result.output_stride = output_stride;
  result.scale = problem.scale;
  if (errors != nullptr) result.output_error = errors->output + offset;
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
  const auto rows_from = [&](int64_t begin) {
    return RowSpan{begin, std::min(span.end, begin + kTokenBlock)};
  };
  const ColumnSpan of_strips{first * kStripColumns,
                             std::min(last * kStripColumns, problem.value_dim)};
  TokenBlock block(problem, h, of_strips, span.end);
  block.read(rows_from(span.begin));
  std::vector<Strip> strips;
  for (int64_t strip = first; strip < last; ++strip) {
    strips.emplace_back(problem.key_dim, errors != nullptr);
    if (problem.initial_state == nullptr) continue;
    const double* const state = problem.initial_state +
                                (n * problem.value_heads + h) * problem.state_size() +
                                strip * kStripColumns;
    strips.back().load(state, problem.key_dim, problem.value_dim, columns(strip), block.k());
  }
  std::vector<ErrorStep> steps;
  for (int64_t begin = span.begin; begin < span.end; begin += kTokenBlock) {
    const RowSpan rows = rows_from(begin);
    if (begin > span.begin) block.read(rows);
    if (errors != nullptr) errors->steps(h, rows, steps);
    for (int64_t strip = first; strip < last; ++strip) {
      StripTokens of_strip = tokens(rows, block, h, strip);
      if (errors != nullptr) of_strip.steps = steps.data();
      advance(of_strip, strips[static_cast<std::size_t>(strip - first)].view());
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
  const bool avx2 = options.instruction_set == InstructionSet::kAvx2 ||
                    (options.instruction_set == InstructionSet::kBest && cpu_has_avx2());
  const Run run{problem, results, errors, avx2 ? advance_strip_avx2 : advance_strip_baseline};
  const int64_t strips = (problem.value_dim + kStripColumns - 1) / kStripColumns;
  const int64_t heads = problem.num_seqs() * problem.value_heads;
  // Few heads are shared out by strips, so that every thread has work. Heads of one length that the
  // threads divide evenly are not: every share reads q and k again.
  const bool even = problem.num_seqs() == 1 && problem.value_heads % threads == 0;
  const int64_t shares =
      even ? 1 : std::clamp<int64_t>(2 * threads / std::max<int64_t>(heads, 1), 1, strips);
  run_parallel(heads * shares, threads, [&](int64_t task) {
    const int64_t head = task / shares;
    const int64_t share = task % shares;
    run.head(head / problem.value_heads, head % problem.value_heads, share * strips / shares,
             (share + 1) * strips / shares);
  });
}

}  // namespace packproof::reference
