#include "reference/rope.h"

namespace packproof::reference {
namespace {

/// Which of the three position rows drives frequency `index` (spec 2.4): H at 1 mod 3 and W at 2
/// mod 3 while inside their sections, T everywhere else.
int64_t position_row(const std::vector<int64_t>& section, int64_t index) {
  if (index % 3 == 1 && index < 3 * section[1]) return 1;
  if (index % 3 == 2 && index < 3 * section[2]) return 2;
  return 0;
}

at::Tensor inverse_frequencies(const ModelConfig& config, at::ScalarType dtype) {
  const int64_t rotary_dim = config.rotary_dim();
  const at::Tensor exponent = at::arange(0, rotary_dim, 2, at::kLong).to(dtype) / rotary_dim;
  return at::reciprocal(at::pow(at::scalar_tensor(config.rope_theta, dtype), exponent));
}

}  // namespace

RotaryTable rotary_table(const ModelConfig& config, const at::Tensor& positions, bool float32) {
  const at::ScalarType dtype = float32 ? at::kFloat : at::kDouble;
  const at::Tensor omega = inverse_frequencies(config, dtype);
  at::Tensor p = positions.to(dtype).unsqueeze(-1);
  if (positions.dim() == 3) {
    std::vector<int64_t> rows;
    for (int64_t i = 0; i < omega.size(0); ++i) {
      rows.push_back(position_row(config.mrope_section, i));
    }
    // [3, B, L, 1] -> [B, L, d_r / 2]: every frequency takes its own row.
    p = p.squeeze(-1).index_select(0, at::tensor(rows, at::kLong)).permute({1, 2, 0});
  }
  const at::Tensor angle = p * omega;
  return {at::cos(angle).to(at::kDouble), at::sin(angle).to(at::kDouble)};
}

at::Tensor apply_rotary(const at::Tensor& x, const RotaryTable& table) {
  const int64_t half = table.cos.size(-1);
  const at::Tensor cos = table.cos.unsqueeze(2);
  const at::Tensor sin = table.sin.unsqueeze(2);
  const at::Tensor x1 = x.narrow(-1, 0, half);
  const at::Tensor x2 = x.narrow(-1, half, half);
  const at::Tensor pass = x.narrow(-1, 2 * half, x.size(-1) - 2 * half);
  return at::cat({x1 * cos - x2 * sin, x2 * cos + x1 * sin, pass}, -1);
}

}  // namespace packproof::reference
