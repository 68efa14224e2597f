#include "reference/gated_delta_net_backward.h"

#include "reference/gate_formulas.h"
#include "reference/gated_delta_rule_derived_backward.h"
#include "reference/norm_formulas.h"
#include "reference/parallel.h"

namespace packproof::reference {
namespace {

/// Rows of in_proj_qkvz (part 0: q | k | v, part 1: z) and in_proj_ba (part 0: b, part 1: a) in the
/// order of the other families (spec 2.5 step 2).
at::Tensor grouped_rows(int64_t key_heads, const std::vector<int64_t>& sizes, std::size_t first,
                        std::size_t last) {
  int64_t pitch = 0;
  for (const int64_t size : sizes) pitch += size;
  std::vector<int64_t> rows;
  int64_t offset = 0;
  for (std::size_t part = 0; part < last; offset += sizes[part++]) {
    if (part < first) continue;
    for (int64_t head = 0; head < key_heads; ++head) {
      for (int64_t i = 0; i < sizes[part]; ++i) rows.push_back(head * pitch + offset + i);
    }
  }
  return at::tensor(rows, at::kLong);
}

}  // namespace

DeltaNetTape::DeltaNetTape(ParameterScope scope, const ModelConfig& config,
                           const TokenLayout& layout, const at::Tensor& u)
    : scope_(std::move(scope)), config_(config) {
  const int64_t tokens = u.size(0);
  const int64_t key_dim = config.linear_key_head_dim;
  const int64_t value_dim = config.linear_value_head_dim;
  const int64_t value_heads = config.linear_num_value_heads;
  cu_seqlens_ = layout.cu_seqlens;
  for (int64_t row = 0; !layout.packed() && row <= layout.batch; ++row) {
    cu_seqlens_.push_back(row * layout.length);
  }
  if (layout.mixer_mask.defined()) mask_ = layout.mixer_mask.reshape({tokens, 1});
  input_ = mask_.defined() ? u * mask_ : u;

  if (config.family == ModelFamily::kQwen3Next) {
    const int64_t heads = config.linear_num_key_heads;
    const int64_t group = value_heads / heads;
    const std::vector<int64_t> sizes{key_dim, key_dim, group * value_dim, group * value_dim};
    qkv_ = {"in_proj_qkvz", grouped_rows(heads, sizes, 0, 3)};
    z_name_ = {"in_proj_qkvz", grouped_rows(heads, sizes, 3, 4)};
    b_name_ = {"in_proj_ba", grouped_rows(heads, {group, group}, 0, 1)};
    a_name_ = {"in_proj_ba", grouped_rows(heads, {group, group}, 1, 2)};
  } else {
    qkv_ = {"in_proj_qkv", {}};
    z_name_ = {"in_proj_z", {}};
    b_name_ = {"in_proj_b", {}};
    a_name_ = {"in_proj_a", {}};
  }
  c_ = project(qkv_);
  z_ = project(z_name_).view({tokens * value_heads, value_dim});
  b_ = project(b_name_);
  a_ = project(a_name_);
  conv_weight_ = scope_["conv1d.weight"].squeeze(1).contiguous();
  form_activated();
  form_gates();
  rule_ = rule_tensors().evaluate().output.view({tokens * value_heads, value_dim});
  form_normed();
  output_ = linear_forward(scope_, "out_proj", normed_.view({tokens, config.value_dim()}));
}

at::Tensor DeltaNetTape::project(const Projection& projection) const {
  const at::Tensor& stored = scope_[projection.name + ".weight"];
  const at::Tensor weight =
      projection.rows.defined() ? stored.index_select(0, projection.rows) : stored;
  return at::mm(input_, weight.t());
}

at::Tensor DeltaNetTape::project_backward(const Projection& projection, const at::Tensor& d_output,
                                          Parameters& d_weights) const {
  const at::Tensor& stored = scope_[projection.name + ".weight"];
  at::Tensor& d_stored = d_weights[projection.name];
  if (!d_stored.defined()) d_stored = at::zeros_like(stored);
  const at::Tensor d_weight = at::mm(d_output.t(), input_);
  if (!projection.rows.defined()) {
    d_stored += d_weight;
    return at::mm(d_output, stored);
  }
  d_stored.index_add_(0, projection.rows, d_weight);
  return at::mm(d_output, stored.index_select(0, projection.rows));
}

ConvProblem DeltaNetTape::conv_problem() const {
  ConvProblem problem;
  problem.x = c_.data_ptr<double>();
  problem.weight = conv_weight_.data_ptr<double>();
  problem.num_rows = c_.size(0);
  problem.channels = c_.size(1);
  problem.width = conv_weight_.size(1);
  for (std::size_t n = 0; n + 1 < cu_seqlens_.size(); ++n) {
    problem.sequences.push_back({cu_seqlens_[n], cu_seqlens_[n + 1]});
  }
  return problem;
}

DeltaRuleTensors DeltaNetTape::rule_tensors() const {
  const int64_t tokens = c_.size(0);
  const auto heads = [&](int64_t first, int64_t count, int64_t dim) {
    return activated_.narrow(1, first, count * dim).reshape({1, tokens, count, dim});
  };
  const int64_t key_dim = config_.key_dim();
  return DeltaRuleTensors(
      heads(0, config_.linear_num_key_heads, config_.linear_key_head_dim),
      heads(key_dim, config_.linear_num_key_heads, config_.linear_key_head_dim),
      heads(2 * key_dim, config_.linear_num_value_heads, config_.linear_value_head_dim),
      g_.unsqueeze(0), beta_.unsqueeze(0), at::Tensor(), cu_seqlens_);
}

void DeltaNetTape::form_activated() {
  activated_ = at::zeros_like(c_);
  const ConvProblem problem = conv_problem();
  const ConvFormula<double> formula(problem);
  double* const output = activated_.data_ptr<double>();
  run_parallel(problem.channels, 0, [&](int64_t c) { formula.forward(c, output); });
}

void DeltaNetTape::form_gates() {
  g_ = at::empty_like(a_);
  beta_ = at::empty_like(b_);
  const double* const A_log = scope_["A_log"].data_ptr<double>();
  const double* const dt_bias = scope_["dt_bias"].data_ptr<double>();
  const int64_t heads = a_.size(1);
  for (int64_t i = 0; i < a_.numel(); ++i) {
    const LogDecayFormula<double> decay{A_log[i % heads], dt_bias[i % heads]};
    g_.data_ptr<double>()[i] = decay.forward(a_.data_ptr<double>()[i]);
    beta_.data_ptr<double>()[i] = sigmoid(b_.data_ptr<double>()[i]);
  }
}

void DeltaNetTape::form_normed() {
  normed_ = at::empty_like(rule_);
  const int64_t dim = rule_.size(1);
  const GatedRmsNormFormula<double> formula{dim, config_.rms_norm_eps,
                                            scope_["norm.weight"].data_ptr<double>()};
  for (int64_t row = 0; row < rule_.size(0); ++row) {
    formula.forward(rule_.data_ptr<double>() + row * dim, z_.data_ptr<double>() + row * dim,
                    normed_.data_ptr<double>() + row * dim);
  }
}

DeltaNetTape::Normed DeltaNetTape::norm_backward(const at::Tensor& d_normed,
                                                 GradientStore& store) const {
  Normed result{at::empty_like(rule_), at::empty_like(z_)};
  const int64_t dim = rule_.size(1);
  const GatedRmsNormFormula<double> formula{dim, config_.rms_norm_eps,
                                            scope_["norm.weight"].data_ptr<double>()};
  std::vector<Sum<double>> d_weight(static_cast<std::size_t>(dim));
  for (int64_t row = 0; row < rule_.size(0); ++row) {
    formula.backward(rule_.data_ptr<double>() + row * dim, z_.data_ptr<double>() + row * dim,
                     d_normed.data_ptr<double>() + row * dim,
                     result.d_rule.data_ptr<double>() + row * dim,
                     result.d_z.data_ptr<double>() + row * dim, d_weight);
  }
  at::Tensor total = at::empty({dim}, rule_.options());
  for (int64_t i = 0; i < dim; ++i) {
    total.data_ptr<double>()[i] = d_weight[static_cast<std::size_t>(i)].total();
  }
  store.add(scope_.prefix() + "norm.weight", total);
  return result;
}

DeltaNetTape::Gates DeltaNetTape::gates_backward(const at::Tensor& d_g, const at::Tensor& d_beta,
                                                 GradientStore& store) const {
  Gates result{at::empty_like(a_), at::empty_like(b_)};
  const double* const A_log = scope_["A_log"].data_ptr<double>();
  const double* const dt_bias = scope_["dt_bias"].data_ptr<double>();
  const int64_t heads = a_.size(1);
  for (int64_t i = 0; i < a_.numel(); ++i) {
    const LogDecayFormula<double> decay{A_log[i % heads], dt_bias[i % heads]};
    result.d_a.data_ptr<double>()[i] =
        d_g.data_ptr<double>()[i] * decay.slope(a_.data_ptr<double>()[i]);
    result.d_b.data_ptr<double>()[i] =
        d_beta.data_ptr<double>()[i] * sigmoid_slope(b_.data_ptr<double>()[i]);
  }
  store.add(scope_.prefix() + "dt_bias", result.d_a.sum(0));
  store.add(scope_.prefix() + "A_log", (d_g * g_).sum(0));
  return result;
}

at::Tensor DeltaNetTape::conv_backward(const at::Tensor& d_activated, GradientStore& store) const {
  at::Tensor d_c = at::zeros_like(c_);
  at::Tensor d_weight = at::zeros_like(conv_weight_);
  const ConvProblem problem = conv_problem();
  const ConvFormula<double> formula(problem);
  ConvGradients gradients;
  gradients.x = d_c.data_ptr<double>();
  gradients.weight = d_weight.data_ptr<double>();
  const double* const d_output = d_activated.data_ptr<double>();
  run_parallel(problem.channels, 0,
               [&](int64_t c) { formula.backward(c, d_output, nullptr, gradients); });
  store.add(scope_.prefix() + "conv1d.weight", d_weight.unsqueeze(1));
  return d_c;
}

at::Tensor DeltaNetTape::backward(const at::Tensor& d_output, GradientStore& store) const {
  const int64_t tokens = c_.size(0);
  const at::Tensor d_normed =
      linear_backward(scope_, "out_proj", normed_.view({tokens, config_.value_dim()}), d_output,
                      store)
          .contiguous();
  const Normed through_norm = norm_backward(d_normed, store);

  const DeltaRuleTensors rule = rule_tensors();
  const auto zeros = [&](int64_t columns) { return at::zeros({tokens, columns}, c_.options()); };
  at::Tensor d_q = zeros(config_.key_dim());
  at::Tensor d_k = zeros(config_.key_dim());
  at::Tensor d_v = zeros(config_.value_dim());
  at::Tensor d_g = zeros(config_.linear_num_value_heads);
  at::Tensor d_beta = zeros(config_.linear_num_value_heads);
  DeltaRuleGradients gradients;
  gradients.q = d_q.data_ptr<double>();
  gradients.k = d_k.data_ptr<double>();
  gradients.v = d_v.data_ptr<double>();
  gradients.g = d_g.data_ptr<double>();
  gradients.beta = d_beta.data_ptr<double>();
  gated_delta_rule_derived_backward(
      rule.problem(), {StoredValues(through_norm.d_rule.data_ptr<double>()), nullptr}, gradients);

  const Gates gates = gates_backward(d_g, d_beta, store);
  const at::Tensor d_c = conv_backward(at::cat({d_q, d_k, d_v}, 1), store);
  Parameters d_weights;
  at::Tensor d_input = project_backward(qkv_, d_c, d_weights);
  d_input +=
      project_backward(z_name_, through_norm.d_z.view({tokens, config_.value_dim()}), d_weights);
  d_input += project_backward(b_name_, gates.d_b, d_weights);
  d_input += project_backward(a_name_, gates.d_a, d_weights);
  for (const auto& [name, gradient] : d_weights) {
    store.add(scope_.prefix() + name + ".weight", gradient);
  }
  return mask_.defined() ? d_input * mask_ : d_input;
}

}  // namespace packproof::reference
