#include "kernels/testing/delta_rule_definition.h"

#include "kernels/common/convert.cuh"

#include <algorithm>
#include <cmath>

namespace packproof {
namespace {

constexpr int64_t kChunk = 64;

double round_to(int32_t dtype, double value) {
  const auto single = static_cast<float>(value);
  if (dtype == PACKPROOF_F16) return to_float(from_float<Half>(single));
  if (dtype == PACKPROOF_BF16) return to_float(from_float<BFloat16>(single));
  return value;
}

/// A head's rows of one sequence as the rule sees them.
struct Head {
  int64_t length, keys, columns;
  double scale;
  std::vector<double> q, k, v;  // [length][keys or columns]
  std::vector<double> g, beta;
  std::vector<double> state;  // [keys][columns]
};

std::vector<double> key_rows(const TestTensor& tensor, const CallSequence& sequence, int64_t head,
                             bool normalise) {
  std::vector<double> rows;
  const int64_t size = tensor.shape()[3];
  for (int64_t t = 0; t < sequence.length; ++t) {
    double squares = 0.0;
    for (int64_t i = 0; i < size; ++i) {
      rows.push_back(tensor.at({sequence.batch, sequence.first + t, head, i}));
      squares += rows.back() * rows.back();
    }
    if (!normalise) continue;
    for (auto x = rows.end() - size; x != rows.end(); ++x) *x /= std::sqrt(squares + 1e-6);
  }
  return rows;
}

Head read_head(const DeltaRuleCall& call, const CallSequence& sequence, int64_t head) {
  const int64_t key_head = head / (call.v.shape()[2] / call.q.shape()[2]);
  Head h;
  h.length = sequence.length;
  h.keys = call.q.shape()[3];
  h.columns = call.v.shape()[3];
  h.scale = call.scale != 0.0f ? call.scale : 1.0 / std::sqrt(static_cast<double>(h.keys));
  h.q = key_rows(call.q, sequence, key_head, call.qk_l2norm != 0);
  h.k = key_rows(call.k, sequence, key_head, call.qk_l2norm != 0);
  h.v = key_rows(call.v, sequence, head, false);
  for (int64_t t = 0; t < h.length; ++t) {
    const int64_t row = sequence.first + t;
    h.beta.push_back(call.beta.at({sequence.batch, row, head}));
    if (call.g.present()) {
      h.g.push_back(call.g.at({sequence.batch, row, head}));
    } else {
      const double x = call.a.at({sequence.batch, row, head}) + call.dt_bias.at({head});
      h.g.push_back(-std::exp(call.A_log.at({head})) * (x > 30.0 ? x : std::log1p(std::exp(x))));
    }
  }
  h.state.assign(static_cast<size_t>(h.keys * h.columns), 0.0);
  if (call.initial_state.present()) {
    for (int64_t i = 0; i < h.keys * h.columns; ++i) {
      h.state[static_cast<size_t>(i)] =
          call.initial_state.at({sequence.n, head, i / h.columns, i % h.columns});
    }
  }
  return h;
}

double dot(const double* a, const double* b, int64_t size) {
  double sum = 0.0;
  for (int64_t i = 0; i < size; ++i) sum += a[i] * b[i];
  return sum;
}

/// One chunk of `rows` rows from row `begin` on; the state is carried in h.state.
void emulate_chunk(Head& h, int64_t begin, int64_t rows, int32_t dtype,
                   std::vector<double>& output) {
  const auto round = [dtype](double value) { return round_to(dtype, value); };
  const auto at = [](int64_t i) { return static_cast<size_t>(i); };
  const double* q = &h.q[at(begin * h.keys)];
  const double* k = &h.k[at(begin * h.keys)];
  std::vector<double> gamma;
  for (int64_t i = 0; i < rows; ++i) {
    gamma.push_back((i > 0 ? gamma.back() : 0.0) + h.g[at(begin + i)]);
  }
  std::vector<double> solve(at(rows * rows), 0.0), attend = solve;
  for (int64_t i = 0; i < rows; ++i) {
    std::vector<double> row(at(rows), 0.0);
    row[at(i)] = 1.0;
    for (int64_t j = 0; j < i; ++j) {
      const double m = h.beta[at(begin + i)] * std::exp(gamma[at(i)] - gamma[at(j)]) *
                       dot(k + i * h.keys, k + j * h.keys, h.keys);
      for (int64_t c = 0; c <= j; ++c) row[at(c)] -= m * solve[at(j * rows + c)];
    }
    for (int64_t j = 0; j <= i; ++j) {
      solve[at(i * rows + j)] = row[at(j)];
      attend[at(i * rows + j)] = round(std::exp(gamma[at(i)] - gamma[at(j)]) *
                                       dot(q + i * h.keys, k + j * h.keys, h.keys));
    }
  }
  for (double& a : solve) a = round(a);  // after the substitution, which needs them exact
  const double decay = std::exp(gamma.back());
  for (int64_t column = 0; column < h.columns; ++column) {
    std::vector<double> state, x, delta, carried;
    for (int64_t i = 0; i < h.keys; ++i)
      state.push_back(round(h.state[at(i * h.columns + column)]));
    for (int64_t i = 0; i < rows; ++i) {
      const double predicted = std::exp(gamma[at(i)]) * dot(k + i * h.keys, state.data(), h.keys);
      const double v = h.v[at((begin + i) * h.columns + column)];
      x.push_back(round(h.beta[at(begin + i)] * (v - predicted)));
      delta.push_back(dot(&solve[at(i * rows)], x.data(), i + 1));
      carried.push_back(round(std::exp(gamma.back() - gamma[at(i)]) * delta.back()));
      delta.back() = round(delta.back());
      const double read = std::exp(gamma[at(i)]) * dot(q + i * h.keys, state.data(), h.keys) +
                          dot(&attend[at(i * rows)], delta.data(), i + 1);
      output[at((begin + i) * h.columns + column)] = round(h.scale * read);
    }
    for (int64_t i = 0; i < h.keys; ++i) {
      double& s = h.state[at(i * h.columns + column)];
      s *= decay;
      for (int64_t j = 0; j < rows; ++j) s += k[j * h.keys + i] * carried[at(j)];
    }
  }
}

}  // namespace

std::vector<CallSequence> sequences_of(const TestPacking& packing) {
  std::vector<CallSequence> sequences;
  for (int64_t n = 0; n < packing.num_seqs(); ++n) {
    const auto at = static_cast<size_t>(n);
    sequences.push_back({n, 0, packing.cu[at], packing.lens[at]});
  }
  return sequences;
}

DeltaRuleResult evaluate_recurrence(const DeltaRuleCall& call, const CallSequence& sequence,
                                    int64_t head) {
  Head h = read_head(call, sequence, head);
  std::vector<double> output(h.v.size());
  for (int64_t column = 0; column < h.columns; ++column) {
    std::vector<double> state;
    for (int64_t i = 0; i < h.keys; ++i) {
      state.push_back(h.state[static_cast<size_t>(i * h.columns + column)]);
    }
    for (int64_t t = 0; t < h.length; ++t) {
      const auto at = static_cast<size_t>(t);
      const double* k = &h.k[static_cast<size_t>(t * h.keys)];
      for (double& s : state) s *= std::exp(h.g[at]);
      const double v = h.v[static_cast<size_t>(t * h.columns + column)];
      const double delta = h.beta[at] * (v - dot(k, state.data(), h.keys));
      for (size_t i = 0; i < state.size(); ++i) state[i] += k[i] * delta;
      output[static_cast<size_t>(t * h.columns + column)] =
          h.scale * dot(&h.q[static_cast<size_t>(t * h.keys)], state.data(), h.keys);
    }
    for (int64_t i = 0; i < h.keys; ++i) {
      h.state[static_cast<size_t>(i * h.columns + column)] = state[static_cast<size_t>(i)];
    }
  }
  return {output, h.state};
}

DeltaRuleResult emulate_chunks(const DeltaRuleCall& call, const CallSequence& sequence,
                               int64_t head, int32_t dtype) {
  Head h = read_head(call, sequence, head);
  for (double& x : h.q) x = round_to(dtype, x);
  for (double& x : h.k) x = round_to(dtype, x);
  std::vector<double> output(h.v.size());
  for (int64_t begin = 0; begin < h.length; begin += kChunk) {
    emulate_chunk(h, begin, std::min(kChunk, h.length - begin), dtype, output);
  }
  return {output, h.state};
}

DeltaRuleResult result_of(const DeltaRuleCall& call, const CallSequence& sequence, int64_t head) {
  DeltaRuleResult result;
  const int64_t columns = call.v.shape()[3];
  for (int64_t i = 0; i < sequence.length * columns; ++i) {
    result.output.push_back(
        call.output.at({sequence.batch, sequence.first + i / columns, head, i % columns}));
  }
  if (!call.final_state.present()) return result;
  for (int64_t i = 0; i < call.q.shape()[3] * columns; ++i) {
    result.final_state.push_back(call.final_state.at({sequence.n, head, i / columns, i % columns}));
  }
  return result;
}

void SquaredError::add(const std::vector<double>& kernel, const std::vector<double>& emulation,
                       const std::vector<double>& exact) {
  for (size_t i = 0; i < kernel.size(); ++i) {
    of_kernel += (kernel[i] - exact[i]) * (kernel[i] - exact[i]);
    of_emulation += (emulation[i] - exact[i]) * (emulation[i] - exact[i]);
    of_values += exact[i] * exact[i];
  }
}

}  // namespace packproof
