#include "reference/gated_delta_rule_chunk.h"

#include <cmath>
#include <utility>

namespace packproof::reference {

DeltaRuleChunk::DeltaRuleChunk(ChunkInputs inputs, Matrix entry_state,
                               const DeltaRuleRounding& rounding)
    : in_(std::move(inputs)), rounding_(rounding), entry_(std::move(entry_state)) {
  const int64_t m = in_.length();
  form_decays();
  mixing_ = Matrix(m, m);
  scores_ = Matrix(m, m);
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j <= i; ++j) {
      if (i > j) {
        mixing_(i, j) =
            in_.beta[static_cast<std::size_t>(i)] * decay_(i, j) * row_dot(in_.k, i, in_.k, j);
      }
      scores_(i, j) = in_.scale * decay_(i, j) * row_dot(in_.q, i, in_.k, j);
    }
  }
  form_inverse();
  inverse_ = operand(inverse_);
  scores_ = operand(scores_);

  std::vector<double> beta_total = in_.beta;
  for (std::size_t i = 0; i < beta_total.size(); ++i) beta_total[i] *= total_[i];
  w_ = operand(inverse_ * operand(in_.k.scaled_rows(beta_total)));
  const Matrix u = operand(inverse_ * operand(in_.v.scaled_rows(in_.beta)));
  const Matrix entry = operand(entry_);
  delta_ = operand(u - w_ * entry);

  output_ = in_.scale * (in_.q * entry).scaled_rows(total_) + scores_ * delta_;
  output_ = output_.mapped([&](double value) { return round_to(rounding.output, value); });
  exit_state_ = total_.back() * entry_ + in_.k.transposed() * operand(delta_.scaled_rows(tail_));
  exit_state_ = exit_state_.mapped([&](double value) { return round_to(rounding.state, value); });
}

Matrix DeltaRuleChunk::operand(const Matrix& x) const {
  return x.mapped([&](double value) { return round_to(rounding_.operand, value); });
}

// gamma_i - gamma_j is summed from j + 1 to i, which keeps its digits when gamma is large; above the
// diagonal it would be positive and overflow, so nothing is formed there.
void DeltaRuleChunk::form_decays() {
  const int64_t m = in_.length();
  decay_ = Matrix(m, m);
  double gamma = 0.0;
  for (int64_t i = 0; i < m; ++i) {
    gamma += in_.g[static_cast<std::size_t>(i)];
    total_.push_back(std::exp(round_to(rounding_.gate, gamma)));
    double between = 0.0;
    for (int64_t j = i; j >= 0; --j) {
      decay_(i, j) = std::exp(round_to(rounding_.gate, between));
      between += in_.g[static_cast<std::size_t>(j)];
    }
  }
  for (int64_t j = 0; j < m; ++j) tail_.push_back(decay_(m - 1, j));
}

// Forward substitution: A_i = e_i - sum_{p < i} M_ip A_p.
void DeltaRuleChunk::form_inverse() {
  const int64_t m = in_.length();
  inverse_ = Matrix(m, m);
  for (int64_t i = 0; i < m; ++i) {
    inverse_(i, i) = 1.0;
    for (int64_t p = 0; p < i; ++p) {
      for (int64_t j = 0; j <= p; ++j) inverse_(i, j) -= mixing_(i, p) * inverse_(p, j);
    }
  }
}

ChunkGradients DeltaRuleChunk::backward(const Matrix& d_output, const Matrix& d_exit_state) const {
  const int64_t m = in_.length();
  const double s = in_.scale;
  const Matrix entry = operand(entry_);
  const Matrix d_exit = operand(d_exit_state);
  const Matrix k_tail = operand(in_.k.scaled_rows(tail_));
  const Matrix d_o_total = operand(d_output.scaled_rows(total_));

  const Matrix d_delta = operand(scores_.transposed() * d_output + k_tail * d_exit);
  ChunkGradients result;
  result.entry_state = total_.back() * d_exit_state + s * (in_.q.transposed() * d_o_total) -
                       w_.transposed() * d_delta;

  // R: gradient of (q_i . k_j).
  Matrix d_scores(m, m);
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j <= i; ++j) {
      d_scores(i, j) = s * decay_(i, j) * row_dot(d_output, i, delta_, j);
    }
  }
  d_scores = operand(d_scores);
  const Matrix d_q_entry = s * (d_o_total * entry.transposed());
  result.q = d_q_entry + d_scores * in_.k;
  const Matrix d_k_exit = operand(delta_.scaled_rows(tail_)) * d_exit.transposed();
  const Matrix d_k1 = d_k_exit + d_scores.transposed() * in_.q;

  // Through W, U and A; only dA's strictly lower part matters.
  std::vector<double> beta_total = in_.beta;
  for (std::size_t i = 0; i < beta_total.size(); ++i) beta_total[i] *= total_[i];
  const Matrix d_w = operand(-1.0 * (d_delta * entry.transposed()));
  const Matrix full = d_delta * operand(in_.v.scaled_rows(in_.beta)).transposed() +
                      d_w * operand(in_.k.scaled_rows(beta_total)).transposed();
  Matrix d_inverse(m, m);
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < i; ++j) d_inverse(i, j) = full(i, j);
  }
  d_inverse = operand(d_inverse);
  const Matrix inverse_t = inverse_.transposed();
  const Matrix d_vb = inverse_t * d_delta;
  const Matrix d_kb = inverse_t * d_w;
  const Matrix d_mixing = -1.0 * (operand(inverse_t * d_inverse) * inverse_t);

  Matrix coupling(m, m);                                     // beta_i E_ij, E = dM D.
  Matrix d_between(m, m);                                    // Of gamma_i - gamma_j, i > j.
  std::vector<double> d_total(static_cast<std::size_t>(m));  // Of gamma_i alone.
  std::vector<double> d_tail(static_cast<std::size_t>(m));   // Of gamma_m - gamma_j.
  result.v = d_vb.scaled_rows(in_.beta);
  Matrix d_k2 = d_kb.scaled_rows(beta_total);
  for (int64_t i = 0; i < m; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const double through_k = total_[at] * row_dot(d_kb, i, in_.k, i);
    double d_beta = row_dot(d_vb, i, in_.v, i) + through_k;
    d_between(i, i) = d_scores(i, i) * row_dot(in_.q, i, in_.k, i);  // Moved by no g.
    for (int64_t j = 0; j < i; ++j) {
      const double e = d_mixing(i, j) * decay_(i, j);
      d_beta += e * row_dot(in_.k, i, in_.k, j);
      coupling(i, j) = in_.beta[at] * e;
      d_between(i, j) =
          d_mixing(i, j) * mixing_(i, j) + d_scores(i, j) * row_dot(in_.q, i, in_.k, j);
    }
    result.beta.push_back(d_beta);
    d_total[at] = row_dot(in_.q, i, d_q_entry, i) + in_.beta[at] * through_k;
    d_tail[at] = row_dot(in_.k, i, d_k_exit, i);
  }
  d_total.back() += total_.back() * entry_.dot(d_exit_state);
  coupling = operand(coupling);
  d_k2 += coupling * in_.k + coupling.transposed() * in_.k;
  result.k = d_k1 + d_k2;
  result.g_magnitude = magnitudes(d_between, d_total, d_tail);
  result.g = decay_gradients(d_between, d_total, d_tail);
  return result;
}

std::vector<double> DeltaRuleChunk::magnitudes(const Matrix& d_between,
                                               const std::vector<double>& d_total,
                                               const std::vector<double>& d_tail) const {
  std::vector<double> result(d_total.size());
  for (std::size_t i = 0; i < result.size(); ++i) {
    result[i] += std::fabs(d_total[i]) + std::fabs(d_tail[i]);
    result.back() += std::fabs(d_tail[i]);
    for (std::size_t j = 0; j <= i; ++j) {
      const double pair = std::fabs(d_between(static_cast<int64_t>(i), static_cast<int64_t>(j)));
      result[i] += pair;
      result[j] += pair;
    }
  }
  for (std::size_t i = result.size(); i-- > 1;) result[i - 1] += result[i];
  return result;
}

// g_l stands in every gamma_i with i >= l and in every gamma_i - gamma_j with i >= l > j. Spec 3.4
// collects both per gamma_i and sums backwards; there the diagonal, which no g moves, enters twice
// with opposite signs and drowns gradients as small as strong gates leave them. Sums over the pairs
// themselves have no such terms.
std::vector<double> DeltaRuleChunk::decay_gradients(Matrix d_between,
                                                    const std::vector<double>& d_total,
                                                    const std::vector<double>& d_tail) const {
  const int64_t m = in_.length();
  std::vector<double> result(static_cast<std::size_t>(m));
  double totals = 0.0;
  for (int64_t l = m; l-- > 0;) {
    totals += d_total[static_cast<std::size_t>(l)];
    double sum = totals;
    for (int64_t j = 0; j < l; ++j) {
      if (l + 1 < m) d_between(l, j) += d_between(l + 1, j);
      sum += d_between(l, j) + d_tail[static_cast<std::size_t>(j)];
    }
    result[static_cast<std::size_t>(l)] = sum;
  }
  return result;
}

}  // namespace packproof::reference
