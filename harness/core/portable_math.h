#pragma once

/// Elementary functions from IEEE additions, products and quotients alone, so that test data have
/// the same bits with every C library. Relative error below 2e-15 (a dozen roundings); not for
/// computing results that are judged.
namespace packproof::portable {

double exp(double x);
double log(double x);       ///< x > 0.
double sigmoid(double x);   ///< 1 / (1 + e^-x).
double softplus(double x);  ///< log(1 + e^x), accurate for large negative x too.

/// The x with softplus(x) = y, for y > 0.
double inverse_softplus(double y);

}  // namespace packproof::portable
