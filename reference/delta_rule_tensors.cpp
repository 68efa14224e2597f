#include "reference/delta_rule_tensors.h"

#include "reference/gated_delta_rule_fast.h"

#include <cmath>

namespace packproof::reference {

DeltaRuleTensors::DeltaRuleTensors(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                   const at::Tensor& g, const at::Tensor& beta,
                                   const at::Tensor& initial_state,
                                   std::span<const int64_t> cu_seqlens)
    : q_(q.contiguous()),
      k_(k.contiguous()),
      v_(v.contiguous()),
      g_(g.contiguous()),
      beta_(beta.contiguous()),
      initial_state_(initial_state.defined() ? initial_state.contiguous() : initial_state) {
  problem_.q = StoredValues(q_.data_ptr<double>());
  problem_.k = StoredValues(k_.data_ptr<double>());
  problem_.v = StoredValues(v_.data_ptr<double>());
  problem_.g = g_.data_ptr<double>();
  problem_.beta = beta_.data_ptr<double>();
  if (initial_state_.defined()) problem_.initial_state = initial_state_.data_ptr<double>();
  const int64_t length = v.size(1);
  problem_.num_rows = v.size(0) * length;
  problem_.key_heads = q.size(2);
  problem_.value_heads = v.size(2);
  problem_.key_dim = q.size(3);
  problem_.value_dim = v.size(3);
  problem_.scale = 1.0 / std::sqrt(static_cast<double>(problem_.key_dim));
  problem_.qk_l2norm = true;
  for (int64_t row = 0; cu_seqlens.empty() && row < v.size(0); ++row) {
    problem_.sequences.push_back({row * length, (row + 1) * length});
  }
  for (std::size_t n = 0; n + 1 < cu_seqlens.size(); ++n) {
    problem_.sequences.push_back({cu_seqlens[n], cu_seqlens[n + 1]});
  }
}

DeltaResult DeltaRuleTensors::evaluate() const {
  DeltaResult result;
  // Written by the threads of the rule alone: fresh memory is not cleared by one of them first.
  result.output = at::empty_like(v_);
  result.final_state =
      at::empty({problem_.num_seqs(), problem_.value_heads, problem_.key_dim, problem_.value_dim},
                v_.options());
  for (const RowSpan& gap : rows_between(problem_.sequences, problem_.num_rows)) {
    result.output.flatten(0, 1).slice(0, gap.begin, gap.end).zero_();
  }
  gated_delta_rule_fast(problem_,
                        {result.output.data_ptr<double>(), result.final_state.data_ptr<double>()});
  return result;
}

}  // namespace packproof::reference
