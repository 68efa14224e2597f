/* The scalar functions of spec 2.2 to 2.5 and their derivatives, in float. */
#ifndef PACKPROOF_PLAIN_SCALAR_FUNCTIONS_H
#define PACKPROOF_PLAIN_SCALAR_FUNCTIONS_H

#include <math.h>
#include <stdint.h>

static inline float plain_sigmoid(float x) {
  if (x >= 0.0f) return 1.0f / (1.0f + expf(-x));
  const float e = expf(x);
  return e / (1.0f + e);
}

static inline float plain_silu(float x) { return x * plain_sigmoid(x); }

/* silu'(x) = sigma(x) (1 + x (1 - sigma(x))); 1 - sigma(x) = sigma(-x) without cancellation. */
static inline float plain_silu_slope(float x) {
  return plain_sigmoid(x) * (1.0f + x * plain_sigmoid(-x));
}

static inline float plain_softplus(float x) {
  return (x > 0.0f ? x : 0.0f) + log1pf(expf(-fabsf(x)));
}

static inline float plain_dot(const float* a, const float* b, int64_t count) {
  float sum = 0.0f;
  for (int64_t i = 0; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

#endif
