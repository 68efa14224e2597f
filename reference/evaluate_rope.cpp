#include "reference/evaluate.h"
#include "reference/float32_error.h"

#include <cmath>

namespace packproof::reference {
namespace {

/// Cosine and sine of one rotary angle (spec 1.2, 2.4) with the error of computing frequency,
/// angle and functions in float32 as the library does.
struct Rotation {
  Float32Error cosine;
  Float32Error sine;
};

Rotation rotation(double position, int64_t index, int64_t rotary_dim, double theta) {
  const double exponent = -2.0 * static_cast<double>(index) / static_cast<double>(rotary_dim);
  const double angle = position * std::pow(theta, exponent);
  // A power of 4 ulp whose exponent was rounded, then the product with the position.
  const double units = kFunctionUnits + 2.0 * std::fabs(exponent * std::log(theta)) + 2.0;
  const double error = kFloat32Unit * (units * std::fabs(angle) + kFunctionUnits);
  return {{std::cos(angle), std::min(error, 2.0)}, {std::sin(angle), std::min(error, 2.0)}};
}

struct RopeShape {
  int64_t tokens = 0;
  int64_t heads = 0;
  int64_t dim = 0;
  int64_t rotary_dim = 0;
  double theta = 0.0;
  double turn = 1.0;  ///< -1 rotates back: the gradient of a rotation.
};

/// (x1 cos - x2 sin, x2 cos + x1 sin) for the pairs (i, i + d_r / 2), the rest as it stands.
void rotate(const RopeShape& shape, const Tensor& x, const std::vector<int64_t>& positions,
            Tensor& values, Tensor& bounds) {
  const int64_t half = shape.rotary_dim / 2;
  for (int64_t t = 0; t < shape.tokens; ++t) {
    for (int64_t i = 0; i < half; ++i) {
      const Rotation angle = rotation(static_cast<double>(positions[static_cast<std::size_t>(t)]),
                                      i, shape.rotary_dim, shape.theta);
      const Float32Error sine = shape.turn < 0.0 ? -angle.sine : angle.sine;
      for (int64_t h = 0; h < shape.heads; ++h) {
        const int64_t row = (t * shape.heads + h) * shape.dim;
        const Float32Error x1(x.at(row + i));
        const Float32Error x2(x.at(row + half + i));
        const Float32Error first = x1 * angle.cosine - x2 * sine;
        const Float32Error second = x2 * angle.cosine + x1 * sine;
        values.set(row + i, first.value);
        values.set(row + half + i, second.value);
        bounds.set(row + i, first.error);
        bounds.set(row + half + i, second.error);
      }
    }
    for (int64_t h = 0; h < shape.heads; ++h) {
      const int64_t row = (t * shape.heads + h) * shape.dim;
      for (int64_t i = shape.rotary_dim; i < shape.dim; ++i) values.set(row + i, x.at(row + i));
    }
  }
}

}  // namespace

Result<OpResult> evaluate_rope(const OpCallReader& reader) {
  const bool forward = reader.call().direction == Direction::kForward;
  const std::string source = forward ? "x" : "d_output";
  const std::string target = forward ? "output" : "d_x";
  PACKPROOF_TRY(const std::vector<int64_t> shape, reader.shape(source, 4));
  PACKPROOF_TRY(const Tensor x, reader.values(source, shape));
  PACKPROOF_TRY(const std::vector<int64_t> positions,
                reader.integers("position_ids", {shape[0], shape[1]}));
  PACKPROOF_CHECK_OK(reader.check_output(target, shape));
  const OpAttributes& attributes = reader.call().attributes;
  if (attributes.rotary_dim < 0 || attributes.rotary_dim > shape[3] ||
      attributes.rotary_dim % 2 != 0) {
    return reader.refusal("expected an even rotary_dim from 0 to " + std::to_string(shape[3]) +
                          ", found " + std::to_string(attributes.rotary_dim));
  }
  Tensor values(DType::kF64, shape);
  Tensor bounds(DType::kF64, shape);
  rotate({shape[0] * shape[1], shape[2], shape[3], attributes.rotary_dim, attributes.rope_theta,
          forward ? 1.0 : -1.0},
         x, positions, values, bounds);
  OpResult result;
  result.outputs[target] = std::move(values);
  result.float32_bounds[target] = std::move(bounds);
  return result;
}

}  // namespace packproof::reference
