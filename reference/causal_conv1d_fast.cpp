#include "reference/causal_conv1d_fast.h"

#include "reference/delta_rule_problem.h"
#include "reference/parallel.h"

#include <algorithm>
#include <vector>

namespace packproof::reference {
namespace {

/// Rows that a thread takes at a time.
constexpr int64_t kRowBlock = 64;

std::vector<RowSpan> sequence_rows(int64_t batch, int64_t length,
                                   std::span<const int64_t> cu_seqlens) {
  std::vector<RowSpan> spans;
  for (int64_t row = 0; cu_seqlens.empty() && row < batch; ++row) {
    spans.push_back({row * length, (row + 1) * length});
  }
  for (std::size_t n = 0; n + 1 < cu_seqlens.size(); ++n) {
    spans.push_back({cu_seqlens[n], cu_seqlens[n + 1]});
  }
  return spans;
}

/// Inputs and what stands before every sequence, by rows of C values.
struct Taps {
  const double* x;
  const double* before;  ///< [N, W - 1, C], oldest first.
  int64_t channels;
  int64_t width;

  /// Row of sequence n that tap j of output row `row` reads.
  const double* row(const RowSpan& span, int64_t n, int64_t row, int64_t j) const {
    const int64_t source = row - (width - 1) + j;
    if (source >= span.begin) return x + source * channels;
    const int64_t column = width - 1 - (span.begin - source);
    return before + (n * (width - 1) + column) * channels;
  }
};

}  // namespace

ConvResult causal_conv1d_fast(const at::Tensor& x, const at::Tensor& weight,
                              const at::Tensor& initial_state,
                              std::span<const int64_t> cu_seqlens) {
  const int64_t channels = x.size(2);
  const int64_t width = weight.size(1);
  const std::vector<RowSpan> spans = sequence_rows(x.size(0), x.size(1), cu_seqlens);
  const auto num_seqs = static_cast<int64_t>(spans.size());
  const at::Tensor input = x.contiguous();
  const at::Tensor by_tap = weight.t().contiguous();
  const at::Tensor before = initial_state.defined()
                                ? initial_state.transpose(1, 2).contiguous()
                                : at::zeros({num_seqs, width - 1, channels}, x.options());
  const Taps taps{input.data_ptr<double>(), before.data_ptr<double>(), channels, width};

  at::Tensor output = at::empty_like(input);
  for (const RowSpan& gap : rows_between(spans, x.size(0) * x.size(1))) {
    output.flatten(0, 1).slice(0, gap.begin, gap.end).zero_();
  }
  double* const out = output.data_ptr<double>();
  const double* const w = by_tap.data_ptr<double>();

  struct Task {
    int64_t n, begin, end;
  };

  std::vector<Task> tasks;
  for (int64_t n = 0; n < num_seqs; ++n) {
    const RowSpan& span = spans[static_cast<std::size_t>(n)];
    for (int64_t begin = span.begin; begin < span.end; begin += kRowBlock) {
      tasks.push_back({n, begin, std::min(begin + kRowBlock, span.end)});
    }
  }
  run_parallel(static_cast<int64_t>(tasks.size()), 0, [&](int64_t i) {
    const Task& task = tasks[static_cast<std::size_t>(i)];
    const RowSpan& span = spans[static_cast<std::size_t>(task.n)];
    for (int64_t row = task.begin; row < task.end; ++row) {
      double* const y = out + row * channels;
      std::fill_n(y, channels, 0.0);
      for (int64_t j = 0; j < width; ++j) {
        const double* const source = taps.row(span, task.n, row, j);
        const double* const tap = w + j * channels;
        for (int64_t c = 0; c < channels; ++c) y[c] += source[c] * tap[c];
      }
    }
  });

  at::Tensor state = at::empty({num_seqs, width - 1, channels}, x.options());
  double* kept = state.data_ptr<double>();
  for (int64_t n = 0; n < num_seqs; ++n) {
    const RowSpan& span = spans[static_cast<std::size_t>(n)];
    // The inputs that the first W - 1 taps of the next row would read.
    for (int64_t j = 0; j < width - 1; ++j, kept += channels) {
      std::copy_n(taps.row(span, n, span.end, j), channels, kept);
    }
  }
  return {at::silu_(output), state.transpose(1, 2).contiguous()};
}

}  // namespace packproof::reference
