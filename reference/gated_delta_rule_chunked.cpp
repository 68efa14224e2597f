#include "reference/gated_delta_rule_chunked.h"

#include "reference/gated_delta_rule_chunk.h"
#include "reference/norm_formulas.h"
#include "reference/parallel.h"

#include <algorithm>
#include <cmath>

namespace packproof::reference {
namespace {

constexpr double kL2NormEps = 1e-6;  // Spec 2.2.

/// One sequence and value head as a list of chunks.
class ChunkedHead {
 public:
  ChunkedHead(const DeltaRuleProblem& problem, int64_t n, int64_t head, int64_t chunk_size,
              const DeltaRuleRounding& rounding)
      : problem_(problem),
        n_(n),
        head_(head),
        span_(problem.sequences[static_cast<std::size_t>(n)]),
        chunk_size_(chunk_size),
        rounding_(rounding) {}

  void forward(double* output, double* final_state) const {
    Matrix state = load_state(problem_.initial_state);
    for (int64_t first = span_.begin; first < span_.end; first += chunk_size_) {
      const DeltaRuleChunk chunk(inputs(first), std::move(state), rounding_);
      store_values(chunk.output(), first, output);
      state = chunk.exit_state();
    }
    if (final_state != nullptr) store_state(state, final_state);
  }

  void backward(const DeltaRuleCotangents& cotangents, const DeltaRuleGradients& gradients,
                double* g_magnitude) const {
    std::vector<Matrix> entries{load_state(problem_.initial_state)};
    for (int64_t first = span_.begin; first + chunk_size_ < span_.end; first += chunk_size_) {
      entries.push_back(DeltaRuleChunk(inputs(first), entries.back(), rounding_).exit_state());
    }
    Matrix d_state = load_state(cotangents.d_final_state);
    const auto chunks = span_.length() == 0 ? 0 : static_cast<int64_t>(entries.size());
    for (int64_t c = chunks; c-- > 0;) {
      const int64_t first = span_.begin + c * chunk_size_;
      const DeltaRuleChunk chunk(inputs(first), entries[static_cast<std::size_t>(c)], rounding_);
      ChunkGradients d = chunk.backward(values(cotangents.d_output, first), d_state);
      store_gradients(d, first, gradients);
      for (std::size_t i = 0; g_magnitude != nullptr && i < d.g_magnitude.size(); ++i) {
        g_magnitude[gate_place(first + static_cast<int64_t>(i))] = d.g_magnitude[i];
      }
      d_state = std::move(d.entry_state);
    }
    if (gradients.initial_state != nullptr) store_state(d_state, gradients.initial_state);
  }

 private:
  int64_t length(int64_t first) const { return std::min(chunk_size_, span_.end - first); }

  int64_t key_place(int64_t row) const { return problem_.key_place(row, problem_.key_head(head_)); }

  int64_t value_place(int64_t row) const { return problem_.value_place(row, head_); }

  int64_t gate_place(int64_t row) const { return row * problem_.value_heads + head_; }

  Matrix keys(const StoredValues& x, int64_t first) const {
    Matrix result(length(first), problem_.key_dim);
    for (int64_t i = 0; i < result.rows(); ++i) {
      double* const row = result.row(i);
      x.read(key_place(first + i), problem_.key_dim, row);
      if (problem_.qk_l2norm) {
        L2NormFormula<double>{problem_.key_dim, kL2NormEps}.forward(row, row);
      }
    }
    return result.mapped([&](double x) { return round_to(rounding_.normalised, x); });
  }

  Matrix values(const StoredValues& x, int64_t first) const {
    Matrix result(length(first), problem_.value_dim);
    for (int64_t i = 0; i < result.rows(); ++i) {
      x.read(value_place(first + i), problem_.value_dim, result.row(i));
    }
    return result;
  }

  ChunkInputs inputs(int64_t first) const {
    ChunkInputs result;
    result.q = keys(problem_.q, first);
    result.k = keys(problem_.k, first);
    result.v = values(problem_.v, first);
    result.scale = problem_.scale;
    for (int64_t i = 0; i < result.length(); ++i) {
      result.g.push_back(problem_.g[gate_place(first + i)]);
      result.beta.push_back(problem_.beta[gate_place(first + i)]);
    }
    return result;
  }

  Matrix load_state(const double* states) const {
    Matrix result(problem_.key_dim, problem_.value_dim);
    if (states != nullptr) {
      std::copy_n(states + state_place(), problem_.state_size(), result.row(0));
    }
    return result;
  }

  int64_t state_place() const {
    return (n_ * problem_.value_heads + head_) * problem_.state_size();
  }

  void store_state(const Matrix& state, double* states) const {
    std::copy_n(state.row(0), problem_.state_size(), states + state_place());
  }

  void store_values(const Matrix& rows, int64_t first, double* target) const {
    for (int64_t i = 0; i < rows.rows(); ++i) {
      std::copy_n(rows.row(i), rows.columns(), target + value_place(first + i));
    }
  }

  void add_keys(const Matrix& d_rows, const StoredValues& x, int64_t first, double* target) const {
    std::vector<double> through(static_cast<std::size_t>(problem_.key_dim));
    for (int64_t i = 0; target != nullptr && i < d_rows.rows(); ++i) {
      std::vector<double> given(d_rows.row(i), d_rows.row(i) + problem_.key_dim);
      for (double& value : given) value = round_to(rounding_.output, value);
      const double* d = given.data();
      if (problem_.qk_l2norm) {
        const std::vector<double> key = x.row(key_place(first + i), problem_.key_dim);
        L2NormFormula<double>{problem_.key_dim, kL2NormEps}.backward(key.data(), d, through.data());
        d = through.data();
      }
      for (int64_t c = 0; c < problem_.key_dim; ++c) target[key_place(first + i) + c] += d[c];
    }
  }

  void store_gradients(const ChunkGradients& d, int64_t first,
                       const DeltaRuleGradients& gradients) const {
    add_keys(d.q, problem_.q, first, gradients.q);
    add_keys(d.k, problem_.k, first, gradients.k);
    if (gradients.v != nullptr) {
      const auto rounded = [&](double value) { return round_to(rounding_.output, value); };
      store_values(d.v.mapped(rounded), first, gradients.v);
    }
    for (std::size_t i = 0; i < d.g.size(); ++i) {
      const int64_t place = gate_place(first + static_cast<int64_t>(i));
      if (gradients.g != nullptr) gradients.g[place] = d.g[i];
      if (gradients.beta != nullptr) gradients.beta[place] = round_to(rounding_.output, d.beta[i]);
    }
  }

  const DeltaRuleProblem& problem_;
  int64_t n_;
  int64_t head_;
  RowSpan span_;
  int64_t chunk_size_;
  DeltaRuleRounding rounding_;
};

}  // namespace

void gated_delta_rule_chunked(const DeltaRuleProblem& problem, int64_t chunk_size, double* output,
                              double* final_state, const DeltaRuleRounding& rounding) {
  run_parallel(problem.num_seqs() * problem.value_heads, 0, [&](int64_t task) {
    ChunkedHead(problem, task / problem.value_heads, task % problem.value_heads, chunk_size,
                rounding)
        .forward(output, final_state);
  });
}

void gated_delta_rule_chunked_backward(const DeltaRuleProblem& problem, int64_t chunk_size,
                                       const DeltaRuleCotangents& cotangents,
                                       const DeltaRuleGradients& gradients, double* g_magnitude,
                                       const DeltaRuleRounding& rounding) {
  const int64_t group = problem.value_heads / problem.key_heads;
  // Value heads of one key head add to the same rows, so they share a task.
  run_parallel(problem.num_seqs() * problem.key_heads, 0, [&](int64_t task) {
    const int64_t first = task % problem.key_heads * group;
    for (int64_t head = first; head < first + group; ++head) {
      ChunkedHead(problem, task / problem.key_heads, head, chunk_size, rounding)
          .backward(cotangents, gradients, g_magnitude);
    }
  });
}

}  // namespace packproof::reference
