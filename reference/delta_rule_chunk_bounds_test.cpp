#include "reference/delta_rule_bounds.h"
#include "reference/delta_rule_test_support.h"
#include "reference/gated_delta_rule_chunked.h"
#include "reference/gated_delta_rule_derived_backward.h"
#include "reference/gated_delta_rule_fast.h"

#include <array>
#include <cstdio>

#include <gtest/gtest.h>

namespace packproof::reference {
namespace {

using testing::Gates;
using testing::ProblemShape;
using testing::RandomProblem;

/// The chunked form of spec 3.2 in float32 ATen operations, one head of one sequence per task.
DeltaResult chunked(const RandomProblem& random, const std::array<at::Tensor, 6>& leaves,
                    int64_t chunk_size) {
  const DeltaRuleProblem& p = random.problem;
  const auto& [q, k, v, g, beta, states] = leaves;
  std::vector<at::Tensor> outputs, finals;
  for (int64_t n = 0; n < p.num_seqs(); ++n) {
    const RowSpan span = p.sequences[static_cast<std::size_t>(n)];
    std::vector<at::Tensor> head_outputs, head_states;
    for (int64_t h = 0; h < p.value_heads; ++h) {
      at::Tensor state = states[n][h];
      std::vector<at::Tensor> rows;
      for (int64_t first = span.begin; first < span.end; first += chunk_size) {
        const int64_t m = std::min(chunk_size, span.end - first);
        const auto part = [&](const at::Tensor& x, int64_t head) {
          return x[0].narrow(0, first, m).select(1, head);
        };
        at::Tensor kc = part(k, p.key_head(h)), qc = part(q, p.key_head(h));
        if (p.qk_l2norm) {
          kc = l2norm(kc);
          qc = l2norm(qc);
        }
        const at::Tensor vc = part(v, h), bc = part(beta, h).unsqueeze(1);
        const at::Tensor gamma = part(g, h).cumsum(0);
        const at::Tensor ones = at::ones({m, m}, vc.options());
        const at::Tensor lower = ones.tril().to(at::kBool);
        const at::Tensor decay =
            at::exp((gamma.unsqueeze(1) - gamma.unsqueeze(0)).masked_fill(~lower, 0.0))
                .masked_fill(~lower, 0.0);
        const at::Tensor mixing = (bc * decay * kc.mm(kc.t())).tril(-1);
        const at::Tensor total = at::exp(gamma).unsqueeze(1);
        const at::Tensor inverse = at::linalg_inv(at::eye(m, vc.options()) + mixing);
        const at::Tensor w = inverse.mm(bc * total * kc);
        const at::Tensor u = inverse.mm(bc * vc);
        const at::Tensor delta = u - w.mm(state);
        const at::Tensor scores = p.scale * (decay * qc.mm(kc.t())).tril();
        rows.push_back(p.scale * (total * qc).mm(state) + scores.mm(delta));
        const at::Tensor tail = at::exp(gamma[m - 1] - gamma).unsqueeze(1);
        state = at::exp(gamma[m - 1]) * state + kc.t().mm(tail * delta);
      }
      head_outputs.push_back(at::cat(rows, 0));
      head_states.push_back(state);
    }
    outputs.push_back(at::stack(head_outputs, 1));
    finals.push_back(at::stack(head_states, 0));
  }
  return {at::cat(outputs, 0).unsqueeze(0), at::stack(finals, 0)};
}

constexpr std::array kNames{"output", "final state", "d_q", "d_k", "d_v", "d_g", "d_beta", "d_s"};

void compare(const RandomProblem& random, std::array<testing::BoundFactors, 8>& factors) {
  const DeltaRuleProblem& p = random.problem;
  const std::array<const std::vector<double>*, 6> inputs{&random.q, &random.k,    &random.v,
                                                         &random.g, &random.beta, &random.states};
  std::array<std::vector<double>, 8> values{random.v, random.states}, bounds;
  for (std::size_t i = 0; i < 6; ++i) values[i + 2].assign(inputs[i]->size(), 0.0);
  for (std::size_t i = 0; i < 8; ++i) bounds[i].assign(values[i].size(), 0.0);
  DeltaRuleErrors errors;
  errors.output = bounds[0].data();
  errors.final_state = bounds[1].data();
  constexpr int64_t kChunk = 64;
  const std::vector<double> g_error = chunked_g_error(p, nullptr, kChunk);
  errors.steps = [&](int64_t head, RowSpan rows, std::vector<ErrorStep>& steps) {
    forward_error_steps(p, g_error.data(), head, rows, steps);
  };
  gated_delta_rule_fast(p, {values[0].data(), values[1].data()}, &errors);
  const auto places = [](std::array<std::vector<double>, 8>& d) {
    return DeltaRuleGradients{d[2].data(), d[3].data(), d[4].data(),
                              d[5].data(), d[6].data(), d[7].data()};
  };
  const DeltaRuleGradients bound_places = places(bounds);
  gated_delta_rule_derived_backward(
      p, {StoredValues(random.d_output.data()), random.d_final_state.data()}, places(values),
      &bound_places, g_error.data());
  std::vector<double> magnitude(random.g.size());
  gated_delta_rule_chunked_backward(
      p, kChunk, {StoredValues(random.d_output.data()), random.d_final_state.data()}, {},
      magnitude.data());
  for (std::size_t i = 0; i < magnitude.size(); ++i) {
    bounds[5][i] += 0x1p-24 * chunked_g_gradient_units(p, kChunk) * magnitude[i];
  }

  std::array<at::Tensor, 6> leaves{random.keys(random.q),     random.keys(random.k),
                                   random.values(random.v),   random.gates(random.g),
                                   random.gates(random.beta), random.state_tensor(random.states)};
  for (at::Tensor& leaf : leaves) leaf = leaf.to(at::kFloat).set_requires_grad(true);
  const DeltaResult result = chunked(random, leaves, kChunk);
  ((result.output * random.values(random.d_output).to(at::kFloat)).sum() +
   (result.final_state * random.state_tensor(random.d_final_state).to(at::kFloat)).sum())
      .backward();
  std::array<at::Tensor, 8> got{result.output.detach(), result.final_state.detach()};
  for (std::size_t i = 0; i < 6; ++i) got[i + 2] = leaves[i].grad();
  for (std::size_t i = 0; i < 8; ++i) {
    const at::Tensor flat = got[i].to(at::kDouble).contiguous().view({-1});
    for (std::size_t e = 0; e < values[i].size(); ++e) {
      factors[i].add(std::abs(flat.data_ptr<double>()[e] - values[i][e]), bounds[i][e]);
    }
  }
}

TEST(DeltaRuleBounds, CoverTheChunkedFormInFloat32) {
  const ProblemShape shapes[] = {
      {{130, 20}, 1, 2, 16, 16, true, true, 0},
      {{200}, 1, 1, 64, 32, true, true, 0},
  };
  for (const Gates gates : testing::kAllGates) {
    std::array<testing::BoundFactors, 8> factors;
    for (const ProblemShape& shape : shapes) {
      for (uint64_t seed = 0; seed < 3; ++seed) compare(RandomProblem(shape, gates, seed), factors);
    }
    for (std::size_t i = 0; i < 8; ++i) {
      EXPECT_EQ(factors[i].violations(), 0) << kNames[i] << ", " << name_of(gates);
      std::printf("bound / error of the chunked form, %s, %s: min %.3g median %.3g\n", kNames[i],
                  name_of(gates), factors[i].smallest(), factors[i].median());
    }
  }
}

}  // namespace
}  // namespace packproof::reference
