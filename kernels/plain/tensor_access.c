#include "kernels/plain/tensor_access.h"

#include <string.h>

static float float_of_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static uint32_t bits_of_float(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

float plain_from_bfloat16(uint16_t bits) { return float_of_bits((uint32_t)bits << 16); }

float plain_from_half(uint16_t bits) {
  const uint32_t sign = (uint32_t)(bits & 0x8000u) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1Fu;
  const uint32_t fraction = bits & 0x3FFu;
  if (exponent == 0) {
    const float value = (float)fraction * 0x1p-24f;
    return sign ? -value : value;
  }
  if (exponent == 31) return float_of_bits(sign | 0x7F800000u | fraction << 13);
  return float_of_bits(sign | (exponent + 112u) << 23 | fraction << 13);
}

uint16_t plain_to_bfloat16(float value) {
  const uint32_t bits = bits_of_float(value);
  if (value != value) return (uint16_t)(bits >> 16 | 0x40u);
  return (uint16_t)((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

uint16_t plain_to_half(float value) {
  const uint32_t bits = bits_of_float(value);
  const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
  const uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return (uint16_t)(sign | 0x7E00u);
  if (magnitude >= 0x477FF000u) return (uint16_t)(sign | 0x7C00u); /* 65520 rounds to infinity */
  if (magnitude < 0x38800000u) {
    /* Below 2^-14 a half counts 2^-24; the sum with 1/2 leaves those counts in a float's fraction,
     * rounded to nearest even by the addition itself. */
    const float aligned = float_of_bits(magnitude) + 0.5f;
    return (uint16_t)(sign | (bits_of_float(aligned) - bits_of_float(0.5f)));
  }
  const uint32_t rounded = magnitude + 0xFFFu + ((magnitude >> 13) & 1u);
  return (uint16_t)(sign | (rounded - 0x38000000u) >> 13);
}
