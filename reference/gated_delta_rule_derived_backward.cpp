#include "reference/gated_delta_rule_derived_backward.h"

#include "reference/delta_rule_bounds.h"
#include "reference/delta_rule_gradient_bounds.h"
#include "reference/delta_rule_token.h"
#include "reference/float32_error.h"
#include "reference/gated_delta_rule_strip.h"
#include "reference/parallel.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <vector>

namespace packproof::reference {
namespace {

constexpr double kL2NormEps = 1e-6;  // Spec 2.2.

/// Doubles on a 32-byte boundary.
template <typename T>
struct VectorAllocator {
  using value_type = T;

  T* allocate(std::size_t count) {
    return static_cast<T*>(::operator new (count * sizeof(T), std::align_val_t{32}));
  }

  void deallocate(T* values, std::size_t) { ::operator delete (values, std::align_val_t{32}); }

  bool operator==(const VectorAllocator&) const = default;
};

using Values = std::vector<double, VectorAllocator<double>>;

Values zeros(int64_t count) { return Values(static_cast<std::size_t>(count), 0.0); }

double norm(const double* x, int64_t count) {
  double sum = 0.0;
  for (int64_t i = 0; i < count; ++i) sum += x[i] * x[i];
  return std::sqrt(sum);
}

/// A row of q or k with its l2norm (spec 2.2), or as it stands.
struct KeyRow {
  double factor = 1.0;  ///< (sum x^2 + eps)^-1/2.
  Values used;

  KeyRow(const DeltaRuleProblem& problem, const StoredValues& x, int64_t place)
      : used(zeros(problem.key_dim)) {
    x.read(place, problem.key_dim, used.data());
    if (problem.qk_l2norm) {
      const double size = norm(used.data(), problem.key_dim);
      factor = 1.0 / std::sqrt(size * size + kL2NormEps);
    }
    for (double& value : used) value *= factor;
  }

  /// Through the l2norm (spec 3.5): dx = r (dy - y (y . dy)).
  void add_gradient(const DeltaRuleProblem& problem, const Values& d_used, double* target) const {
    double dot = 0.0;
    for (std::size_t i = 0; problem.qk_l2norm && i < used.size(); ++i) dot += used[i] * d_used[i];
    for (std::size_t i = 0; i < used.size(); ++i) {
      target[i] += factor * (d_used[i] - used[i] * dot);
    }
  }
};

/// Places of one array set at a token row, head or state.
struct Places {
  const DeltaRuleProblem& problem;

  int64_t key(int64_t row, int64_t key_head) const { return problem.key_place(row, key_head); }

  int64_t value(int64_t row, int64_t head) const { return problem.value_place(row, head); }

  int64_t gate(int64_t row, int64_t head) const { return row * problem.value_heads + head; }

  int64_t state(int64_t n, int64_t head) const {
    return (n * problem.value_heads + head) * problem.state_size();
  }
};

/// Arguments of the whole run.
struct Run {
  const DeltaRuleProblem& problem;
  const DeltaRuleCotangents& cotangents;
  const DeltaRuleGradients& gradients;
  const DeltaRuleGradients* bounds;
  const double* g_error;
  TokenSteps steps;
};

/// One sequence and value head.
class HeadBackward {
 public:
  HeadBackward(const Run& run, int64_t n, int64_t head)
      : run_(run),
        problem_(run.problem),
        places_{run.problem},
        n_(n),
        head_(head),
        key_head_(problem_.key_head(head)),
        span_(problem_.sequences[static_cast<std::size_t>(n)]),
        pitch_((problem_.value_dim + 3) / 4 * 4),
        state_size_(problem_.key_dim * pitch_),
        v_(zeros(pitch_)),
        d_output_(zeros(pitch_)),
        d_delta_(zeros(pitch_)),
        gradient_(zeros(state_size_)),
        norms_{zeros(pitch_), zeros(pitch_), zeros(pitch_)},
        recursion_(problem_.value_dim) {}

  void operator()() {
    const int64_t length = span_.length();
    segment_ = std::max<int64_t>(
        1, static_cast<int64_t>(std::ceil(std::sqrt(static_cast<double>(length)))));
    keep_checkpoints();
    load_state(run_.cotangents.d_final_state, gradient_.data());
    states_.resize(static_cast<std::size_t>((segment_ + 1) * state_size_));
    residuals_.resize(static_cast<std::size_t>(segment_ * pitch_));
    errors_.resize(static_cast<std::size_t>((segment_ + 1) * pitch_));
    for (int64_t first = (length - 1) / segment_ * segment_; length > 0 && first >= 0;
         first -= segment_) {
      const int64_t count = std::min(segment_, length - first);
      recompute(first, count);
      for (int64_t t = count - 1; t >= 0; --t) backward_token(first, t);
    }
    store_initial_gradient();
  }

 private:
  void load_state(const double* states, double* target) const {
    if (states == nullptr) return;
    const double* source = states + places_.state(n_, head_);
    for (int64_t i = 0; i < problem_.key_dim; ++i) {
      std::copy_n(source + i * problem_.value_dim, problem_.value_dim, target + i * pitch_);
    }
  }

  TokenInputs token(int64_t row, const KeyRow& q, const KeyRow& k) {
    problem_.v.read(places_.value(row, head_), problem_.value_dim, v_.data());
    return {problem_.key_dim,
            pitch_,
            q.used.data(),
            k.used.data(),
            v_.data(),
            std::exp(problem_.g[places_.gate(row, head_)]),
            problem_.beta[places_.gate(row, head_)],
            problem_.scale};
  }

  KeyRow key_row(const StoredValues& x, int64_t row) const {
    return KeyRow(problem_, x, places_.key(row, key_head_));
  }

  /// S at the start of every segment, and with bounds the forward error there.
  void keep_checkpoints() {
    const int64_t count = (span_.length() + segment_ - 1) / segment_;
    checkpoints_ = zeros(std::max<int64_t>(count, 1) * state_size_);
    error_checkpoints_ = zeros(std::max<int64_t>(count, 1) * pitch_);
    load_state(problem_.initial_state, checkpoints_.data());
    states_ = zeros(2 * state_size_);
    errors_ = zeros(2 * pitch_);
    residuals_ = zeros(pitch_);
    std::copy_n(checkpoints_.begin(), state_size_, states_.begin());
    // The last segment's states are formed when its turn comes.
    for (int64_t t = 0; t < (count - 1) * segment_; ++t) {
      const int64_t from = t % 2;
      forward_token(span_.begin + t, states_.data() + from * state_size_,
                    states_.data() + (1 - from) * state_size_, residuals_.data(),
                    errors_.data() + from * pitch_, errors_.data() + (1 - from) * pitch_);
      if ((t + 1) % segment_ != 0) continue;
      const int64_t segment = (t + 1) / segment_;
      std::copy_n(states_.begin() + (1 - from) * state_size_, state_size_,
                  checkpoints_.begin() + segment * state_size_);
      std::copy_n(errors_.begin() + (1 - from) * pitch_, pitch_,
                  error_checkpoints_.begin() + segment * pitch_);
    }
  }

  void recompute(int64_t first, int64_t count) {
    const int64_t segment = first / segment_;
    std::copy_n(checkpoints_.begin() + segment * state_size_, state_size_, states_.begin());
    std::copy_n(error_checkpoints_.begin() + segment * pitch_, pitch_, errors_.begin());
    for (int64_t t = 0; t < count; ++t) {
      forward_token(span_.begin + first + t, states_.data() + t * state_size_,
                    states_.data() + (t + 1) * state_size_, residuals_.data() + t * pitch_,
                    errors_.data() + t * pitch_, errors_.data() + (t + 1) * pitch_);
    }
  }

  void forward_token(int64_t row, const double* before, double* after, double* residual,
                     const double* error_before, double* error_after) {
    const KeyRow k = key_row(problem_.k, row);
    run_.steps.forward(token(row, k, k), before, after, residual);
    if (run_.bounds == nullptr) return;
    forward_error_steps(problem_, run_.g_error, head_, {row, row + 1}, error_steps_);
    const ErrorStep& step = error_steps_.front();
    const double beta = std::fabs(problem_.beta[places_.gate(row, head_)]);
    const Values norm_before = column_norms(before);
    const Values norm_after = column_norms(after);
    for (int64_t j = 0; j < problem_.value_dim; ++j) {
      const auto column = static_cast<std::size_t>(j);
      error_after[j] = step.keep * error_before[j] + step.before * norm_before[column] +
                       step.correction * beta * std::fabs(residual[j]) +
                       step.after * norm_after[column] + step.floor;
    }
  }

  /// 2-norms of the columns of a state.
  Values column_norms(const double* state) const {
    Values squares = zeros(pitch_);
    double* const sums = squares.data();
    for (int64_t i = 0; i < problem_.key_dim; ++i) {
      const double* const row = state + i * pitch_;
      for (int64_t j = 0; j < pitch_; ++j) sums[j] += row[j] * row[j];
    }
    for (double& square : squares) square = std::sqrt(square);
    return squares;
  }

  void backward_token(int64_t first, int64_t t) {
    const int64_t row = span_.begin + first + t;
    const KeyRow q = key_row(problem_.q, row);
    const KeyRow k = key_row(problem_.k, row);
    const TokenInputs inputs = token(row, q, k);
    run_.cotangents.d_output.read(places_.value(row, head_), problem_.value_dim, d_output_.data());
    Values d_q = zeros(problem_.key_dim);
    Values d_k = zeros(problem_.key_dim);
    TokenGradients result{d_q.data(), d_k.data(), d_delta_.data()};
    double* const norms[] = {norms_[0].data(), norms_[1].data(), norms_[2].data()};
    const double* const before = states_.data() + t * state_size_;
    run_.steps.backward(inputs, before, before + state_size_, residuals_.data() + t * pitch_,
                        d_output_.data(), gradient_.data(),
                        run_.bounds != nullptr ? norms : nullptr, result);
    const DeltaRuleGradients& out = run_.gradients;
    if (out.q != nullptr) q.add_gradient(problem_, d_q, out.q + places_.key(row, key_head_));
    if (out.k != nullptr) k.add_gradient(problem_, d_k, out.k + places_.key(row, key_head_));
    if (out.g != nullptr) out.g[places_.gate(row, head_)] = result.g;
    if (out.beta != nullptr) out.beta[places_.gate(row, head_)] = result.beta;
    for (int64_t j = 0; out.v != nullptr && j < problem_.value_dim; ++j) {
      out.v[places_.value(row, head_) + j] = inputs.beta * d_delta_[static_cast<std::size_t>(j)];
    }
    if (run_.bounds != nullptr) bound_token(row, t, q, k, inputs, d_q, d_k);
  }

  void bound_token(int64_t row, int64_t t, const KeyRow& q, const KeyRow& k,
                   const TokenInputs& inputs, const Values& d_q, const Values& d_k) {
    for (Values& squares : norms_) {
      for (double& square : squares) square = std::sqrt(square);
    }
    const Values state_before = column_norms(states_.data() + t * state_size_);
    const double g_error = run_.g_error == nullptr ? 0.0 : run_.g_error[places_.gate(row, head_)];
    const TokenErrors token{
        .key_dim = problem_.key_dim,
        .value_dim = problem_.value_dim,
        .scale = std::fabs(problem_.scale),
        .q = norm(inputs.q, problem_.key_dim),
        .k = norm(inputs.k, problem_.key_dim),
        .alpha = inputs.decay,
        .alpha_error = decay_error(problem_.g[places_.gate(row, head_)], g_error),
        .beta = inputs.beta,
        .normalisation = problem_.qk_l2norm ? kFloat32Unit * l2norm_units(problem_.key_dim) : 0.0,
    };
    const TokenColumns columns{
        .state_before = state_before.data(),
        .state_after = norms_[2].data(),
        .error_before = errors_.data() + t * pitch_,
        .error_after = errors_.data() + (t + 1) * pitch_,
        .gradient = norms_[0].data(),
        .remaining = norms_[1].data(),
        .residual = residuals_.data() + t * pitch_,
        .d_delta = d_delta_.data(),
        .d_output = d_output_.data(),
    };
    Values d_v = zeros(pitch_);
    const TokenGradientErrors errors = recursion_.step(token, columns, d_v.data());
    const DeltaRuleGradients& out = *run_.bounds;
    add_key_bound(out.q, row, q, d_q, errors.q);
    add_key_bound(out.k, row, k, d_k, errors.k);
    if (out.g != nullptr) out.g[places_.gate(row, head_)] = errors.g;
    if (out.beta != nullptr) out.beta[places_.gate(row, head_)] = errors.beta;
    for (int64_t j = 0; out.v != nullptr && j < problem_.value_dim; ++j) {
      out.v[places_.value(row, head_) + j] = d_v[static_cast<std::size_t>(j)];
    }
  }

  /// The value heads of a key head are summed; so are their bounds, with the roundings of the sum.
  void add_key_bound(double* target, int64_t row, const KeyRow& key, const Values& d_used,
                     double error) const {
    if (target == nullptr) return;
    const double size = norm(d_used.data(), problem_.key_dim);
    double bound = error;
    if (problem_.qk_l2norm) {
      bound = l2norm_backward_error(problem_.key_dim, key.factor, size, error);
    }
    bound += kFloat32Unit * static_cast<double>(problem_.value_heads / problem_.key_heads) *
             key.factor * (size + error);
    double* const place = target + places_.key(row, key_head_);
    for (int64_t i = 0; i < problem_.key_dim; ++i) place[i] += bound;
  }

  void store_initial_gradient() {
    const int64_t place = places_.state(n_, head_);
    for (int64_t i = 0; i < problem_.key_dim; ++i) {
      for (int64_t j = 0; j < problem_.value_dim; ++j) {
        const int64_t element = place + i * problem_.value_dim + j;
        if (run_.gradients.initial_state != nullptr) {
          run_.gradients.initial_state[element] =
              gradient_[static_cast<std::size_t>(i * pitch_ + j)];
        }
        if (run_.bounds != nullptr && run_.bounds->initial_state != nullptr) {
          run_.bounds->initial_state[element] = recursion_.error()[static_cast<std::size_t>(j)];
        }
      }
    }
  }

  const Run& run_;
  const DeltaRuleProblem& problem_;
  Places places_;
  int64_t n_, head_, key_head_;
  RowSpan span_;
  int64_t pitch_;       ///< Columns of a state row, padded.
  int64_t state_size_;  ///< key_dim * pitch.
  int64_t segment_ = 1;
  Values v_, d_output_, d_delta_;
  Values gradient_;
  Values checkpoints_, error_checkpoints_;
  Values states_;     ///< S before and after every token of a segment.
  Values residuals_;  ///< v - rho of every token of a segment.
  Values errors_;     ///< Forward error bounds, like `states_`.
  Values norms_[3];
  std::vector<ErrorStep> error_steps_;
  GradientErrorRecursion recursion_;
};

}  // namespace

void gated_delta_rule_derived_backward(const DeltaRuleProblem& problem,
                                       const DeltaRuleCotangents& cotangents,
                                       const DeltaRuleGradients& gradients,
                                       const DeltaRuleGradients* bounds, const double* g_error) {
  const Run run{problem, cotangents, gradients, bounds, g_error, delta_rule_token_steps()};
  const int64_t group = problem.value_heads / problem.key_heads;
  // Value heads of one key head add to the same rows, so they share a task.
  run_parallel(problem.num_seqs() * problem.key_heads, 0, [&](int64_t task) {
    const int64_t first = task % problem.key_heads * group;
    for (int64_t head = first; head < first + group; ++head) {
      HeadBackward(run, task / problem.key_heads, head)();
    }
  });
}

}  // namespace packproof::reference
