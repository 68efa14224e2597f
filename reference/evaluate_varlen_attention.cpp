#include "reference/aten_tensor.h"
#include "reference/evaluate.h"
#include "reference/float32_error.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

namespace packproof::reference {
namespace {

constexpr double kUnit = kFloat32Unit;
constexpr int64_t kQueryBlock = 256;

/// A value with the bound on its float32 error, elementwise (companions on absolute values).
struct Pair {
  at::Tensor value;
  at::Tensor error;
};

/// a b^T or a b over `terms` products, with the errors of both and of the sum.
Pair product(const Pair& a, const Pair& b, int64_t terms) {
  const at::Tensor size_a = a.value.abs();
  const at::Tensor size_b = b.value.abs();
  const double units = kUnit * summation_units(terms + 1);
  return {at::mm(a.value, b.value), at::mm(size_a, b.error) + at::mm(a.error, size_b + b.error) +
                                        units * at::mm(size_a + a.error, size_b + b.error)};
}

Pair exact(const at::Tensor& value) { return {value, at::zeros_like(value)}; }

Pair transposed(const Pair& a) { return {a.value.t(), a.error.t()}; }

Pair scaled(const Pair& a, double factor) {
  return {a.value * factor,
          std::fabs(factor) * (a.error + 2.0 * kUnit * (a.value.abs() + a.error))};
}

/// Softmax weights of a block of queries of one head, with the log of their denominator.
struct Weights {
  Pair p;          ///< [queries, keys].
  Pair log_total;  ///< [queries, 1].
};

/// `scores` [queries, keys]; query row i sees keys up to first + i (spec 2.4 step 4).
Weights softmax(const Pair& scores, int64_t first) {
  const int64_t queries = scores.value.size(0);
  const int64_t keys = scores.value.size(1);
  const at::Tensor hidden = at::arange(keys, at::kLong).unsqueeze(0) >
                            at::arange(first, first + queries, at::kLong).unsqueeze(1);
  const at::Tensor seen =
      scores.value.masked_fill(hidden, -std::numeric_limits<double>::infinity());
  const at::Tensor largest = seen.amax(1, /*keepdim=*/true);
  const at::Tensor below = (scores.value - largest).masked_fill(hidden, 0.0);
  const at::Tensor p = at::softmax(seen, 1);
  // Score, difference and exponential; a running maximum rescales about log(keys) times.
  const double rescaling = std::log2(static_cast<double>(keys)) + 1.0;
  const at::Tensor relative =
      scores.error + kUnit * (3.0 * below.abs() + kFunctionUnits * (1.0 + rescaling));
  const at::Tensor total_error =
      (p * relative).sum(1, true) + kUnit * (summation_units(keys) + rescaling);
  const at::Tensor log_total = at::logsumexp(seen, {1}, true);
  const at::Tensor score_error = (p * scores.error).sum(1, true);
  return {{p, p * (relative + total_error + 2.0 * kUnit) + kFloat32Flush},
          {log_total,
           score_error + total_error +
               kUnit * (kFunctionUnits * (log_total - largest).abs() + 2.0 * log_total.abs())}};
}

/// Rows of one sequence and head.
struct HeadRows {
  RowSpan span;
  int64_t head;
  int64_t kv_head;
};

/// All tensors of a call as [R, H, D].
struct AttentionInputs {
  at::Tensor q, k, v;
  at::Tensor d_output;  ///< Backward only.
  TokenPacking packing;
  std::vector<int64_t> query_shape;
  std::vector<int64_t> key_shape;
  double scale = 0.0;

  std::vector<HeadRows> heads() const {
    std::vector<HeadRows> result;
    const int64_t group = q.size(1) / k.size(1);
    for (const RowSpan& span : packing.sequences) {
      for (int64_t h = 0; span.length() > 0 && h < q.size(1); ++h) {
        result.push_back({span, h, h / group});
      }
    }
    return result;
  }
};

Result<AttentionInputs> read_inputs(const OpCallReader& reader) {
  AttentionInputs inputs;
  PACKPROOF_TRY(inputs.query_shape, reader.shape("q", 4));
  PACKPROOF_TRY(inputs.key_shape, reader.shape("k", 4));
  const std::vector<int64_t>& shape = inputs.query_shape;
  const int64_t heads = shape[2];
  const int64_t kv_heads = inputs.key_shape[2];
  if (kv_heads < 1 || heads % kv_heads != 0) {
    return reader.refusal("expected query heads in multiples of the key heads, found " +
                          std::to_string(heads) + " and " + std::to_string(kv_heads));
  }
  PACKPROOF_TRY(inputs.packing, reader.packing(shape[0], shape[1]));
  const std::vector<int64_t> keys{shape[0], shape[1], kv_heads, shape[3]};
  const auto rows = [&](const Tensor& tensor) {
    return to_aten(tensor).reshape({inputs.packing.num_rows(), tensor.dim(2), shape[3]});
  };
  PACKPROOF_TRY(const Tensor q, reader.values("q", shape, inputs.packing.owned));
  PACKPROOF_TRY(const Tensor k, reader.values("k", keys, inputs.packing.owned));
  PACKPROOF_TRY(const Tensor v, reader.values("v", keys, inputs.packing.owned));
  inputs.q = rows(q);
  inputs.k = rows(k);
  inputs.v = rows(v);
  if (reader.call().direction == Direction::kBackward) {
    PACKPROOF_TRY(const Tensor d_output, reader.values("d_output", shape, inputs.packing.owned));
    inputs.d_output = rows(d_output);
  }
  const double scale = reader.call().attributes.scale;
  inputs.scale = scale != 0.0 ? scale : 1.0 / std::sqrt(static_cast<double>(shape[3]));
  return inputs;
}

at::Tensor rows_of(const at::Tensor& x, RowSpan span, int64_t head) {
  return x.slice(0, span.begin, span.end).select(1, head);
}

/// Queries [first, first + count) of a head against the keys that any of them sees.
Weights block_weights(const AttentionInputs& inputs, const HeadRows& rows, int64_t first,
                      int64_t count) {
  const at::Tensor q = rows_of(inputs.q, rows.span, rows.head).narrow(0, first, count);
  const at::Tensor k = rows_of(inputs.k, rows.span, rows.kv_head).narrow(0, 0, first + count);
  return softmax(scaled(product(exact(q), transposed(exact(k)), inputs.q.size(2)), inputs.scale),
                 first);
}

Pair zero_pair(const at::Tensor& x) { return {at::zeros_like(x), at::zeros_like(x)}; }

void put(const OpCallReader& reader, const char* name, const Pair& pair,
         const std::vector<int64_t>& shape, OpResult& result) {
  if (!reader.wants(name)) return;
  result.outputs[name] = from_aten(pair.value.reshape(shape));
  result.float32_bounds[name] = from_aten(pair.error.reshape(shape));
}

Result<OpResult> forward(const OpCallReader& reader) {
  PACKPROOF_TRY(const AttentionInputs inputs, read_inputs(reader));
  const std::vector<int64_t> lse_shape(inputs.query_shape.begin(), inputs.query_shape.end() - 1);
  PACKPROOF_CHECK_OK(reader.check_output("output", inputs.query_shape));
  PACKPROOF_CHECK_OK(reader.check_output("lse", lse_shape));
  const Pair output = zero_pair(inputs.q);
  const Pair lse = zero_pair(inputs.q.select(2, 0));
  for (const HeadRows& rows : inputs.heads()) {
    for (int64_t first = 0; first < rows.span.length(); first += kQueryBlock) {
      const int64_t count = std::min(kQueryBlock, rows.span.length() - first);
      const Weights weights = block_weights(inputs, rows, first, count);
      const at::Tensor v = rows_of(inputs.v, rows.span, rows.kv_head).narrow(0, 0, first + count);
      const Pair mixed = product(weights.p, exact(v), first + count);
      const auto target = [&](const at::Tensor& x) {
        return rows_of(x, rows.span, rows.head).narrow(0, first, count);
      };
      target(output.value).copy_(mixed.value);
      target(output.error).copy_(mixed.error);
      target(lse.value).copy_(weights.log_total.value.squeeze(1));
      target(lse.error).copy_(weights.log_total.error.squeeze(1));
    }
  }
  OpResult result;
  put(reader, "output", output, inputs.query_shape, result);
  put(reader, "lse", lse, lse_shape, result);
  return result;
}

void accumulate(const at::Tensor& target, const at::Tensor& terms) { target.add_(terms); }

/// dV = P^T dO; dP = dO V^T; dS = P (dP - rowsum(P dP)); dQ = scale dS K; dK = scale dS^T Q.
void add_block_gradients(const AttentionInputs& inputs, const HeadRows& rows, int64_t first,
                         int64_t count, const Pair& d_q, const Pair& d_k, const Pair& d_v) {
  const int64_t keys = first + count;
  const int64_t dim = inputs.q.size(2);
  const Weights weights = block_weights(inputs, rows, first, count);
  const Pair& p = weights.p;
  const Pair d_o = exact(rows_of(inputs.d_output, rows.span, rows.head).narrow(0, first, count));
  const Pair q = exact(rows_of(inputs.q, rows.span, rows.head).narrow(0, first, count));
  const Pair k = exact(rows_of(inputs.k, rows.span, rows.kv_head).narrow(0, 0, keys));
  const Pair v = exact(rows_of(inputs.v, rows.span, rows.kv_head).narrow(0, 0, keys));

  const Pair d_p = product(d_o, transposed(v), dim);
  // rowsum(P dP) is also dO . O; the companion covers both.
  const double sum_units = kUnit * (summation_units(keys + 1) + summation_units(dim + 1));
  const at::Tensor size = p.value * (at::mm(d_o.value.abs(), v.value.abs().t()) + d_p.error);
  const at::Tensor center = (p.value * d_p.value).sum(1, true);
  const at::Tensor center_error = (p.error * d_p.value.abs() + p.value * d_p.error).sum(1, true) +
                                  sum_units * size.sum(1, true) +
                                  (p.error * d_p.error).sum(1, true);
  const at::Tensor difference = d_p.value - center;
  const Pair d_s{p.value * difference,
                 p.error * difference.abs() +
                     (p.value + p.error) * (d_p.error + center_error +
                                            2.0 * kUnit * (d_p.value.abs() + center.abs()))};

  const Pair block_d_v = product(transposed(p), d_o, count);
  const Pair block_d_q = scaled(product(d_s, k, keys), inputs.scale);
  const Pair block_d_k = scaled(product(transposed(d_s), q, count), inputs.scale);
  // Sums over query blocks and the heads of a group add roundings of their own.
  const auto total = [](const Pair& block) {
    return block.error + 4.0 * kUnit * (block.value.abs() + block.error);
  };
  accumulate(rows_of(d_q.value, rows.span, rows.head).narrow(0, first, count), block_d_q.value);
  accumulate(rows_of(d_q.error, rows.span, rows.head).narrow(0, first, count), total(block_d_q));
  accumulate(rows_of(d_k.value, rows.span, rows.kv_head).narrow(0, 0, keys), block_d_k.value);
  accumulate(rows_of(d_k.error, rows.span, rows.kv_head).narrow(0, 0, keys), total(block_d_k));
  accumulate(rows_of(d_v.value, rows.span, rows.kv_head).narrow(0, 0, keys), block_d_v.value);
  accumulate(rows_of(d_v.error, rows.span, rows.kv_head).narrow(0, 0, keys), total(block_d_v));
}

Result<OpResult> backward(const OpCallReader& reader) {
  PACKPROOF_TRY(const AttentionInputs inputs, read_inputs(reader));
  PACKPROOF_CHECK_OK(reader.check_output("d_q", inputs.query_shape));
  PACKPROOF_CHECK_OK(reader.check_output("d_k", inputs.key_shape));
  PACKPROOF_CHECK_OK(reader.check_output("d_v", inputs.key_shape));
  const Pair d_q = zero_pair(inputs.q);
  const Pair d_k = zero_pair(inputs.k);
  const Pair d_v = zero_pair(inputs.v);
  for (const HeadRows& rows : inputs.heads()) {
    for (int64_t first = 0; first < rows.span.length(); first += kQueryBlock) {
      const int64_t count = std::min(kQueryBlock, rows.span.length() - first);
      add_block_gradients(inputs, rows, first, count, d_q, d_k, d_v);
    }
  }
  OpResult result;
  put(reader, "d_q", d_q, inputs.query_shape, result);
  put(reader, "d_k", d_k, inputs.key_shape, result);
  put(reader, "d_v", d_v, inputs.key_shape, result);
  return result;
}

}  // namespace

Result<OpResult> evaluate_varlen_attention(const OpCallReader& reader) {
  return reader.call().direction == Direction::kForward ? forward(reader) : backward(reader);
}

}  // namespace packproof::reference
