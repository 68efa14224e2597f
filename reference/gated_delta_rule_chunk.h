#pragma once

#include "reference/matrix.h"
#include "reference/rounding.h"

#include <vector>

namespace packproof::reference {

/// The m <= C tokens of one chunk of one value head.
struct ChunkInputs {
  Matrix q;  ///< [m, K], normalised.
  Matrix k;  ///< [m, K], normalised.
  Matrix v;  ///< [m, V].
  std::vector<double> g;
  std::vector<double> beta;
  double scale = 0.0;

  int64_t length() const { return q.rows(); }
};

struct ChunkGradients {
  Matrix q, k, v;
  std::vector<double> g;
  std::vector<double> beta;
  Matrix entry_state;

  /// Sum of the absolute values that meet in g_l when, as in spec 3.4, the gradients of gamma_i are
  /// formed first and summed backwards: what rounding errors are proportional to.
  std::vector<double> g_magnitude;
};

/// One chunk of the WY / UT form (spec 3.2) with its gradients (spec 3.4). Names are the spec's.
class DeltaRuleChunk {
 public:
  DeltaRuleChunk(ChunkInputs inputs, Matrix entry_state, const DeltaRuleRounding& rounding = {});

  const Matrix& output() const { return output_; }  ///< O [m, V].

  const Matrix& exit_state() const { return exit_state_; }  ///< H' [K, V].

  /// From dO and dH'. A rounded chunk rounds what its backward multiplies in the same way.
  ChunkGradients backward(const Matrix& d_output, const Matrix& d_exit_state) const;

 private:
  void form_decays();
  Matrix operand(const Matrix& x) const;
  void form_inverse();
  std::vector<double> magnitudes(const Matrix& d_between, const std::vector<double>& d_total,
                                 const std::vector<double>& d_tail) const;
  std::vector<double> decay_gradients(Matrix d_between, const std::vector<double>& d_total,
                                      const std::vector<double>& d_tail) const;

  ChunkInputs in_;
  DeltaRuleRounding rounding_;
  Matrix entry_;               ///< H.
  Matrix decay_;               ///< D_ij = exp(gamma_i - gamma_j) for i >= j.
  std::vector<double> total_;  ///< Gam_i = exp(gamma_i).
  std::vector<double> tail_;   ///< exp(gamma_m - gamma_j).
  Matrix mixing_;              ///< M.
  Matrix inverse_;             ///< A = (I + M)^-1.
  Matrix w_, delta_;
  Matrix scores_;  ///< P.
  Matrix output_, exit_state_;
};

}  // namespace packproof::reference
