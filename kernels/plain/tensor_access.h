/* Elements of the boundary's tensors as float: loads widen f16 and bf16, stores round once, to
 * nearest even. */
#ifndef PACKPROOF_PLAIN_TENSOR_ACCESS_H
#define PACKPROOF_PLAIN_TENSOR_ACCESS_H

#include "packproof/kernel_abi.h"

#include <stdint.h>

static inline int plain_present(const packproof_tensor* tensor) { return tensor->rank != 0; }

float plain_from_half(uint16_t bits);
float plain_from_bfloat16(uint16_t bits);
uint16_t plain_to_half(float value);
uint16_t plain_to_bfloat16(float value);

/* The element at an offset in elements; the dtype is f32, f16 or bf16. */
static inline float plain_load(const packproof_tensor* tensor, int64_t offset) {
  if (tensor->dtype == PACKPROOF_F32) return ((const float*)tensor->data)[offset];
  const uint16_t bits = ((const uint16_t*)tensor->data)[offset];
  return tensor->dtype == PACKPROOF_F16 ? plain_from_half(bits) : plain_from_bfloat16(bits);
}

static inline void plain_store(const packproof_tensor* tensor, int64_t offset, float value) {
  if (tensor->dtype == PACKPROOF_F32) {
    ((float*)tensor->data)[offset] = value;
  } else {
    ((uint16_t*)tensor->data)[offset] =
        tensor->dtype == PACKPROOF_F16 ? plain_to_half(value) : plain_to_bfloat16(value);
  }
}

/* Offsets by index. Row r of a token tensor [B, T, ...] is token r % T of batch row r / T. */
static inline int64_t plain_at(const packproof_tensor* tensor, int64_t i, int64_t j) {
  return i * tensor->stride[0] + j * tensor->stride[1];
}

static inline int64_t plain_at3(const packproof_tensor* tensor, int64_t i, int64_t j, int64_t k) {
  return plain_at(tensor, i, j) + k * tensor->stride[2];
}

static inline int64_t plain_token(const packproof_tensor* tensor, int64_t row) {
  return plain_at(tensor, row / tensor->shape[1], row % tensor->shape[1]);
}

/* Element 0 of a head, or a channel, of row r of a token tensor. */
static inline int64_t plain_token_at(const packproof_tensor* tensor, int64_t row, int64_t i) {
  return plain_token(tensor, row) + i * tensor->stride[2];
}

/* A run of `count` elements along an axis, from an offset, to or from contiguous floats. */
static inline void plain_load_run(const packproof_tensor* tensor, int64_t offset, int axis,
                                  int64_t count, float* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = plain_load(tensor, offset + i * tensor->stride[axis]);
}

static inline void plain_store_run(const packproof_tensor* tensor, int64_t offset, int axis,
                                   int64_t count, const float* from) {
  for (int64_t i = 0; i < count; ++i)
    plain_store(tensor, offset + i * tensor->stride[axis], from[i]);
}

#endif
