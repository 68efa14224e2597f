#include "reference/ops.h"

#include <array>
#include <vector>

#include <gtest/gtest.h>

namespace packproof::reference {
namespace {

at::Tensor row_vector(std::vector<double> values, std::vector<int64_t> shape) {
  return at::tensor(at::ArrayRef<double>(values), at::kDouble).view(shape);
}

// Printed to 15 decimals, so half of the last one.
constexpr double kPrinted = 0.5e-15;

void expect_values(const at::Tensor& got, const std::vector<double>& expected) {
  const at::Tensor flat = got.detach().contiguous().view({-1});
  ASSERT_EQ(flat.numel(), static_cast<int64_t>(expected.size()));
  for (std::size_t i = 0; i < expected.size(); ++i) {
    // Beside the printing, a handful of roundings of values below 2.
    EXPECT_NEAR(flat.data_ptr<double>()[i], expected[i], kPrinted + 8 * 2.3e-16) << "at " << i;
  }
}

TEST(RecurrentGatedDeltaRule, GivesTheGoldenVectorAndItsGradients) {  // spec 3.6
  std::array<at::Tensor, 6> leaves{
      row_vector({0.6, -0.8, 1, 0, 0, 1}, {1, 3, 1, 2}),
      row_vector({0.8, 0.6, -0.6, 0.8, 0.28, 0.96}, {1, 3, 1, 2}),
      row_vector({1, -2, 0.5}, {1, 3, 1, 1}),
      row_vector({-0.1, -0.7, -0.25}, {1, 3, 1}),
      row_vector({0.9, 0.4, 0.75}, {1, 3, 1}),
      row_vector({0.5, -0.25}, {1, 1, 2, 1}),
  };
  for (at::Tensor& leaf : leaves) leaf.set_requires_grad(true);
  const auto& [q, k, v, g, beta, state] = leaves;
  const DeltaResult result = recurrent_gated_delta_rule(q, k, v, g, beta, state, {}, 0.0, false);
  expect_values(result.output, {0.319908337082277, 0.655775928210617, 0.071171351623226});
  expect_values(result.final_state, {0.859051247141158, 0.100651490717991});

  const at::Tensor d_output = row_vector({1, -0.5, 2}, {1, 3, 1, 1});
  const at::Tensor d_final_state = row_vector({0.3, -0.2}, {1, 1, 2, 1});
  ((result.output * d_output).sum() + (result.final_state * d_final_state).sum()).backward();
  expect_values(q.grad(), {0.713858218186971, 0.135508242287382, -0.327887964105308,
                           0.167210584547570, 1.214881924480548, 0.142342703246452});
  expect_values(k.grad(), {0.238469542985959, -0.363840707545205, 0.151982161759025,
                           -0.188782858253912, -0.530375381020753, 0.938378168561813});
  expect_values(v.grad(), {-0.050273430797802, 0.156200495175080, 0.937233764908629});
  expect_values(g.grad(), {0.266005690915818, -0.104176076964261, -0.088689103209113});
  expect_values(beta.grad(), {-0.043223456075643, -0.693270717510881, 0.813969878391896});
  expect_values(state.grad(), {0.316679646803488, -0.430663470056297});
}

}  // namespace
}  // namespace packproof::reference
