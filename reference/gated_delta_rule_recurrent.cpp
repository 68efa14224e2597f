#include "reference/ops.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace packproof::reference {
namespace {

/// Sequences in order of falling length, so that those still running at step t are the first ones,
/// and token rows in order of steps: all first tokens, then all second ones, and so on.
struct StepOrder {
  std::vector<int64_t> sequences;  ///< Longest first.
  std::vector<int64_t> active;     ///< Sequences with a token at step t.
  at::Tensor rows;                 ///< Token row of every place in step order.
  at::Tensor places;               ///< Place of every token row; the last place + 1 for slack.
  at::Tensor slots;                ///< Position of sequence n among `sequences`.
};

StepOrder step_order(const std::vector<int64_t>& begins, const std::vector<int64_t>& lengths,
                     int64_t num_rows) {
  StepOrder order;
  order.sequences.resize(lengths.size());
  std::iota(order.sequences.begin(), order.sequences.end(), 0);
  const auto length = [&](int64_t n) { return lengths[static_cast<std::size_t>(n)]; };
  std::stable_sort(order.sequences.begin(), order.sequences.end(),
                   [&](int64_t a, int64_t b) { return length(a) > length(b); });
  const int64_t total = std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
  order.rows = at::empty({total}, at::kLong);
  order.places = at::full({num_rows}, total, at::kLong);
  order.slots = at::empty({static_cast<int64_t>(lengths.size())}, at::kLong);
  int64_t place = 0;
  const int64_t steps = lengths.empty() ? 0 : length(order.sequences.front());
  for (int64_t t = 0; t < steps; ++t) {
    int64_t count = 0;
    for (const int64_t n : order.sequences) {
      if (length(n) <= t) break;
      const int64_t row = begins[static_cast<std::size_t>(n)] + t;
      order.rows.data_ptr<int64_t>()[place] = row;
      order.places.data_ptr<int64_t>()[row] = place++;
      ++count;
    }
    order.active.push_back(count);
  }
  for (std::size_t i = 0; i < order.sequences.size(); ++i) {
    order.slots.data_ptr<int64_t>()[order.sequences[i]] = static_cast<int64_t>(i);
  }
  return order;
}

}  // namespace

DeltaResult recurrent_gated_delta_rule(const at::Tensor& q, const at::Tensor& k,
                                       const at::Tensor& v, const at::Tensor& g,
                                       const at::Tensor& beta,
                                       const std::optional<at::Tensor>& initial_state,
                                       std::span<const int64_t> cu_seqlens, double scale,
                                       bool qk_l2norm) {
  const int64_t num_rows = v.size(0) * v.size(1);
  const int64_t heads = v.size(2);
  const int64_t key_dim = q.size(3);
  const int64_t value_dim = v.size(3);
  if (scale == 0.0) scale = 1.0 / std::sqrt(static_cast<double>(key_dim));

  std::vector<int64_t> begins;
  std::vector<int64_t> lengths;
  const std::size_t num_seqs =
      cu_seqlens.empty() ? static_cast<std::size_t>(v.size(0)) : cu_seqlens.size() - 1;
  for (std::size_t n = 0; n < num_seqs; ++n) {
    begins.push_back(cu_seqlens.empty() ? static_cast<int64_t>(n) * v.size(1) : cu_seqlens[n]);
    lengths.push_back(cu_seqlens.empty() ? v.size(1) : cu_seqlens[n + 1] - cu_seqlens[n]);
  }
  const StepOrder order = step_order(begins, lengths, num_rows);
  const std::vector<int64_t>& active = order.active;

  // Step t of a token tensor: [active, Hv, ...]; key heads are repeated consecutively (spec 2.5).
  const auto by_steps = [&](const at::Tensor& x, bool key_heads) {
    at::Tensor rows = x.reshape({num_rows, x.size(2), -1}).index_select(0, order.rows);
    if (key_heads && qk_l2norm) rows = l2norm(rows);
    if (key_heads) rows = rows.repeat_interleave(heads / x.size(2), 1);
    return rows.split_with_sizes(active, 0);
  };
  const std::vector<at::Tensor> queries = by_steps(q, true);
  const std::vector<at::Tensor> keys = by_steps(k, true);
  const std::vector<at::Tensor> values = by_steps(v, false);
  const std::vector<at::Tensor> decays = by_steps(at::exp(g), false);
  const std::vector<at::Tensor> betas = by_steps(beta, false);

  at::Tensor state =
      initial_state
          ? initial_state->index_select(
                0, at::tensor(at::ArrayRef<int64_t>(order.sequences), at::kLong))
          : at::zeros({static_cast<int64_t>(num_seqs), heads, key_dim, value_dim}, v.options());
  std::vector<at::Tensor> finished;  // States of the shortest sequences first.
  std::vector<at::Tensor> outputs;
  for (std::size_t t = 0; t < active.size(); ++t) {
    if (state.size(0) > active[t]) {
      finished.push_back(state.narrow(0, active[t], state.size(0) - active[t]));
      state = state.narrow(0, 0, active[t]);
    }
    const at::Tensor key = keys[t].unsqueeze(-1);                             // [n, Hv, K, 1]
    const at::Tensor decayed = decays[t].unsqueeze(-1) * state;               // S~_t
    const at::Tensor predicted = at::matmul(keys[t].unsqueeze(-2), decayed);  // rho_t^T
    const at::Tensor delta = betas[t].unsqueeze(-1) * (values[t].unsqueeze(-2) - predicted);
    state = decayed + key * delta;  // S_t
    outputs.push_back(scale * at::matmul(queries[t].unsqueeze(-2), state).squeeze(-2));
  }
  finished.push_back(state);
  std::reverse(finished.begin(), finished.end());
  outputs.push_back(at::zeros({1, heads, value_dim}, v.options()));  // Slack rows read this one.
  return {at::cat(outputs, 0).index_select(0, order.places).view(v.sizes()),
          at::cat(finished, 0).index_select(0, order.slots)};
}

}  // namespace packproof::reference
