#include "reference/ops.h"

#include <algorithm>
#include <vector>

namespace packproof::reference {
namespace {

/// Rows per block: the temporaries of a block stay in the cache.
constexpr int64_t kRowBlock = 64;

/// Every value that a tap can read is a row of one table: the inputs [B * L], then the columns of
/// the initial states [N * (W - 1)], then one row of zeros.
struct TapTable {
  int64_t batch = 0;
  int64_t length = 0;
  int64_t width = 0;
  int64_t num_seqs = 0;
  bool has_state = false;
  std::span<const int64_t> cu_seqlens;
  std::span<const int64_t> seq_idx;

  int64_t zero_row() const { return batch * length + (has_state ? num_seqs * (width - 1) : 0); }

  int64_t begin(int64_t n) const {
    return cu_seqlens.empty() ? n * length : cu_seqlens[static_cast<std::size_t>(n)];
  }

  int64_t end(int64_t n) const { return begin(n + 1); }

  /// What stands `steps` >= 1 rows before the first row of sequence n.
  int64_t before(int64_t n, int64_t steps) const {
    if (!has_state || steps > width - 1) return zero_row();
    return batch * length + n * (width - 1) + (width - 1 - steps);
  }

  int64_t id(int64_t row, const std::vector<int64_t>& sequence) const {
    return seq_idx.empty() ? sequence[static_cast<std::size_t>(row)]
                           : seq_idx[static_cast<std::size_t>(row)];
  }

  /// Sequence of every row by `cu_seqlens` or the batch, -1 for rows of none.
  std::vector<int64_t> sequence_of_rows() const {
    std::vector<int64_t> result(static_cast<std::size_t>(batch * length), -1);
    for (int64_t n = 0; n < num_seqs; ++n) {
      std::fill(result.begin() + begin(n), result.begin() + end(n), n);
    }
    return result;
  }

  /// Table row that the tap `steps` rows back reads, for every row.
  at::Tensor tap_rows(int64_t steps, const std::vector<int64_t>& sequence) const {
    at::Tensor result = at::full({batch * length}, zero_row(), at::kLong);
    int64_t* const rows = result.data_ptr<int64_t>();
    for (int64_t row = 0; row < batch * length; ++row) {
      const int64_t own_id = id(row, sequence);
      if (own_id < 0) continue;
      const int64_t source = row - steps;
      const int64_t n = sequence[static_cast<std::size_t>(row)];
      const bool same_batch_row = source >= row / length * length;
      if (same_batch_row && id(source, sequence) == own_id) {
        rows[row] = source;
      } else if (n >= 0 && source < begin(n)) {
        rows[row] = before(n, begin(n) - source);
      }
    }
    return result;
  }

  /// Table rows of the final states, [N * (W - 1)], oldest first.
  at::Tensor state_rows() const {
    at::Tensor result = at::empty({num_seqs * (width - 1)}, at::kLong);
    int64_t* rows = result.data_ptr<int64_t>();
    for (int64_t n = 0; n < num_seqs; ++n) {
      for (int64_t steps = width - 1; steps >= 1; --steps) {
        const int64_t row = end(n) - steps;
        *rows++ = row >= begin(n) ? row : before(n, begin(n) - row);
      }
    }
    return result;
  }
};

}  // namespace

ConvResult causal_conv1d(const at::Tensor& x, const at::Tensor& weight,
                         const std::optional<at::Tensor>& bias,
                         const std::optional<at::Tensor>& initial_state,
                         std::span<const int64_t> cu_seqlens, bool silu,
                         std::span<const int64_t> seq_idx) {
  TapTable taps;
  taps.batch = x.size(0);
  taps.length = x.size(1);
  taps.width = weight.size(1);
  taps.num_seqs = cu_seqlens.empty() ? taps.batch : static_cast<int64_t>(cu_seqlens.size()) - 1;
  taps.has_state = initial_state.has_value();
  taps.cu_seqlens = cu_seqlens;
  taps.seq_idx = seq_idx;
  const int64_t channels = x.size(2);
  const int64_t num_rows = taps.batch * taps.length;

  std::vector<at::Tensor> parts{x.reshape({num_rows, channels})};
  if (initial_state) parts.push_back(initial_state->transpose(1, 2).reshape({-1, channels}));
  parts.push_back(at::zeros({1, channels}, x.options()));
  const at::Tensor table = at::cat(parts, 0);

  const std::vector<int64_t> sequence = taps.sequence_of_rows();
  std::vector<at::Tensor> tap_rows;
  for (int64_t j = 0; j < taps.width; ++j) {
    tap_rows.push_back(taps.tap_rows(taps.width - 1 - j, sequence));
  }
  // 1 where the output is defined, 0 where it is zero whatever the bias.
  at::Tensor defined = at::zeros({num_rows, 1}, at::kDouble);
  for (int64_t row = 0; row < num_rows; ++row) {
    defined.data_ptr<double>()[row] = taps.id(row, sequence) >= 0 ? 1.0 : 0.0;
  }

  std::vector<at::Tensor> blocks;
  for (int64_t first = 0; first < num_rows; first += kRowBlock) {
    const int64_t count = std::min(kRowBlock, num_rows - first);
    at::Tensor sum = at::zeros({count, channels}, x.options());
    for (int64_t j = 0; j < taps.width; ++j) {
      const at::Tensor rows = tap_rows[static_cast<std::size_t>(j)].narrow(0, first, count);
      sum = at::addcmul(sum, table.index_select(0, rows), weight.select(1, j));
    }
    if (bias) sum = sum + *bias;
    if (silu) sum = sum * at::sigmoid(sum);
    blocks.push_back(sum * defined.narrow(0, first, count).to(sum.scalar_type()));
  }
  const at::Tensor output = blocks.empty() ? at::zeros_like(x) : at::cat(blocks, 0);
  const at::Tensor state = table.index_select(0, taps.state_rows())
                               .view({taps.num_seqs, taps.width - 1, channels})
                               .transpose(1, 2);
  return {output.view(x.sizes()), state};
}

}  // namespace packproof::reference
