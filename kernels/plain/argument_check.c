#include "kernels/plain/argument_check.h"

#include "kernels/plain/tensor_access.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Offsets stay below 2^61 bytes. */
static const int64_t kMaxElements = INT64_C(1) << 58;

static const char* dtype_name(int32_t dtype) {
  static const char* const names[] = {"f32", "f16", "bf16", "f64", "i32", "i64"};
  return dtype >= PACKPROOF_F32 && dtype <= PACKPROOF_I64 ? names[dtype] : "an unknown dtype";
}

static int64_t dtype_bytes(int32_t dtype) {
  if (dtype == PACKPROOF_F16 || dtype == PACKPROOF_BF16) return 2;
  return dtype == PACKPROOF_F64 || dtype == PACKPROOF_I64 ? 8 : 4;
}

static packproof_message shape_text(const int64_t* shape, int32_t rank) {
  packproof_message text;
  int used = snprintf(text.text, sizeof text.text, "[");
  for (int32_t axis = 0; axis < rank && axis < PACKPROOF_MAX_RANK; ++axis) {
    used += snprintf(text.text + used, sizeof text.text - (size_t)used,
                     axis > 0 ? ", %lld" : "%lld", (long long)shape[axis]);
  }
  snprintf(text.text + used, sizeof text.text - (size_t)used, "]");
  return text;
}

plain_check plain_check_of(const char* op, size_t struct_size, size_t known_size) {
  plain_check check;
  memset(&check, 0, sizeof check);
  check.op = op;
  check.status = PACKPROOF_OK;
  if (struct_size < known_size) {
    plain_refuse(&check, "expected struct_size of at least %zu, found %zu", known_size,
                 struct_size);
  }
  return check;
}

void plain_refuse(plain_check* check, const char* format, ...) {
  va_list list;
  if (check->status != PACKPROOF_OK) return;
  check->status = PACKPROOF_INVALID_ARGUMENT;
  const int used = snprintf(check->message.text, sizeof check->message.text, "%s: ", check->op);
  va_start(list, format);
  vsnprintf(check->message.text + used, sizeof check->message.text - (size_t)used, format, list);
  va_end(list);
}

void plain_not_supported(plain_check* check, const char* literal) {
  if (check->status != PACKPROOF_OK) return;
  check->status = PACKPROOF_NOT_SUPPORTED;
  check->unsupported = literal;
  snprintf(check->message.text, sizeof check->message.text, "%s: %s", check->op, literal);
}

int plain_check_leading(plain_check* check, const char* name, const packproof_tensor* tensor,
                        int32_t rank) {
  if (check->status != PACKPROOF_OK) return 0;
  if (tensor->rank != rank) {
    plain_refuse(check, "expected %s of rank %d, found rank %d", name, rank, tensor->rank);
  } else if (tensor->dtype != PACKPROOF_F32 && tensor->dtype != PACKPROOF_F16 &&
             tensor->dtype != PACKPROOF_BF16) {
    plain_not_supported(check, "expected token tensors in f32, f16 or bf16");
  }
  return check->status == PACKPROOF_OK;
}

static int is_empty(const packproof_tensor* tensor) {
  for (int32_t axis = 0; axis < tensor->rank; ++axis) {
    if (tensor->shape[axis] == 0) return 1;
  }
  return 0;
}

/* Offset of the last element; -1 where it is not addressable. */
static int64_t last_offset(const packproof_tensor* tensor) {
  int64_t last = 0;
  for (int32_t axis = 0; axis < tensor->rank; ++axis) {
    const int64_t steps = tensor->shape[axis] - 1;
    if (steps > 0 && tensor->stride[axis] > (kMaxElements - last) / steps) return -1;
    if (steps > 0) last += steps * tensor->stride[axis];
  }
  return last;
}

static void check_operand(plain_check* check, const plain_operand* operand) {
  const packproof_tensor* tensor = operand->tensor;
  const packproof_message expected = shape_text(operand->shape, operand->rank);
  if (!plain_present(tensor)) {
    if (tensor->data || !(operand->role & PLAIN_OPTIONAL)) {
      plain_refuse(check, "expected %s of shape %s, found %s", operand->name, expected.text,
                   tensor->data ? "rank 0 with data" : "none");
    }
    return;
  }
  if (tensor->rank != operand->rank ||
      memcmp(tensor->shape, operand->shape, (size_t)tensor->rank * sizeof(int64_t)) != 0) {
    const packproof_message found = shape_text(tensor->shape, tensor->rank);
    plain_refuse(check, "expected %s of shape %s, found %s", operand->name, expected.text,
                 found.text);
    return;
  }
  for (int32_t axis = 0; axis < tensor->rank; ++axis) {
    if (tensor->shape[axis] >= 0 && tensor->stride[axis] >= 0) continue;
    plain_refuse(check,
                 "expected %s without negative sizes or strides, found size %lld and stride %lld "
                 "on axis %d",
                 operand->name, (long long)tensor->shape[axis], (long long)tensor->stride[axis],
                 axis);
    return;
  }
  if (tensor->dtype != operand->dtype) {
    plain_refuse(check, "expected %s in %s, found %s", operand->name, dtype_name(operand->dtype),
                 dtype_name(tensor->dtype));
  } else if (!tensor->data && !is_empty(tensor)) {
    plain_refuse(check, "expected data for %s of shape %s, found a null pointer", operand->name,
                 expected.text);
  } else if (last_offset(tensor) < 0) {
    plain_refuse(check, "expected %s within 2^58 elements, found larger strides", operand->name);
  } else if ((uintptr_t)tensor->data % (uintptr_t)dtype_bytes(tensor->dtype) != 0) {
    plain_refuse(check, "expected %s aligned to its %d-byte elements, found address %p",
                 operand->name, (int)dtype_bytes(tensor->dtype), tensor->data);
  }
}

/* Sufficient: taken by growing stride, every axis steps beyond all that the axes before it reach. */
static int elements_distinct(const packproof_tensor* tensor) {
  int taken[PACKPROOF_MAX_RANK] = {0};
  int64_t reach = 0;
  for (int32_t round = 0; round < tensor->rank; ++round) {
    int32_t smallest = -1;
    for (int32_t axis = 0; axis < tensor->rank; ++axis) {
      if (taken[axis]) continue;
      if (smallest < 0 || tensor->stride[axis] < tensor->stride[smallest]) smallest = axis;
    }
    taken[smallest] = 1;
    if (tensor->shape[smallest] <= 1) continue;
    if (tensor->stride[smallest] <= reach) return 0;
    reach += (tensor->shape[smallest] - 1) * tensor->stride[smallest];
  }
  return 1;
}

static int spans_meet(const packproof_tensor* a, const packproof_tensor* b) {
  if (!plain_present(a) || !plain_present(b) || is_empty(a) || is_empty(b)) return 0;
  const uintptr_t a_begin = (uintptr_t)a->data, b_begin = (uintptr_t)b->data;
  const uintptr_t a_end = a_begin + (uintptr_t)((last_offset(a) + 1) * dtype_bytes(a->dtype));
  const uintptr_t b_end = b_begin + (uintptr_t)((last_offset(b) + 1) * dtype_bytes(b->dtype));
  return a_begin < b_end && b_begin < a_end;
}

void plain_check_operands(plain_check* check, const plain_operand* operands, int64_t count) {
  for (int64_t i = 0; i < count && check->status == PACKPROOF_OK; ++i) {
    check_operand(check, &operands[i]);
  }
  for (int64_t i = 0; i < count && check->status == PACKPROOF_OK; ++i) {
    if (!(operands[i].role & PLAIN_OUTPUT)) continue;
    if (!is_empty(operands[i].tensor) && !elements_distinct(operands[i].tensor)) {
      plain_not_supported(check,
                          "expected strides of outputs that each step beyond all that smaller ones "
                          "reach, found elements that share memory or interleave");
    }
    for (int64_t j = 0; j < count; ++j) {
      if (j != i && spans_meet(operands[i].tensor, operands[j].tensor)) {
        plain_refuse(check, "expected %s apart from %s, found that they overlap in memory",
                     operands[i].name, operands[j].name);
      }
    }
  }
}

void plain_check_activation(plain_check* check, int32_t activation) {
  if (activation == PACKPROOF_NONE || activation == PACKPROOF_SILU) return;
  plain_not_supported(check, "expected activation none or SiLU");
}

void plain_check_workspace(plain_check* check, const void* workspace, size_t given, size_t needed) {
  if (needed > 0 && (!workspace || given < needed)) {
    plain_refuse(check, "expected a workspace of %zu bytes, found %zu", needed,
                 workspace ? given : (size_t)0);
  }
}

packproof_status plain_report(const plain_check* check, packproof_message* message) {
  if (check->status != PACKPROOF_OK && message) *message = check->message;
  return check->status;
}
