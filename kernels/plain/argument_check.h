/* Checks of one call's arguments. The first complaint is kept as one sentence; after it all further
 * checks pass over. Nothing is written to any tensor. */
#ifndef PACKPROOF_PLAIN_ARGUMENT_CHECK_H
#define PACKPROOF_PLAIN_ARGUMENT_CHECK_H

#include "packproof/kernel_abi.h"

typedef struct plain_check {
  const char* op;
  packproof_status status;
  const char* unsupported; /* The sentence of NOT_SUPPORTED: a literal. */
  packproof_message message;
} plain_check;

enum { PLAIN_INPUT = 0, PLAIN_OPTIONAL = 1, PLAIN_OUTPUT = 2 }; /* Bits of plain_operand.role. */

/* What a tensor of the call has to be. */
typedef struct plain_operand {
  const char* name;
  const packproof_tensor* tensor;
  int role;
  int32_t dtype;
  int32_t rank;
  int64_t shape[PACKPROOF_MAX_RANK];
} plain_operand;

plain_check plain_check_of(const char* op, size_t struct_size, size_t known_size);

void plain_refuse(plain_check* check, const char* format, ...)
    __attribute__((format(printf, 2, 3)));
void plain_not_supported(plain_check* check, const char* literal);

/* Of rank `rank`, which every size of the call is read from, in f32, f16 or bf16. */
int plain_check_leading(plain_check* check, const char* name, const packproof_tensor* tensor,
                        int32_t rank);

/* Presence, rank, shape, dtype, strides, alignment; outputs have no element twice and meet no other
 * tensor's memory. */
void plain_check_operands(plain_check* check, const plain_operand* operands, int64_t count);

/* SiLU or none. */
void plain_check_activation(plain_check* check, int32_t activation);

/* Metadata of token tensors [num_batches, row_length, ...] with their contents: this library's
 * device is the host, so the pointers themselves are read. */
void plain_check_packing(plain_check* check, const packproof_packing* packing, int64_t num_batches,
                         int64_t row_length);

/* A checked packing has to define sequences. */
void plain_check_sequences(plain_check* check, const packproof_packing* packing);

/* Slots of a pool by their contents: -1 or a slot, none twice; or a slot for every row. */
void plain_check_slots(plain_check* check, const packproof_tensor* indices, int64_t num_rows,
                       int64_t num_slots);

void plain_check_workspace(plain_check* check, const void* workspace, size_t given, size_t needed);

/* The status; copies the sentence to `message` (may be null) where it is not PACKPROOF_OK. */
packproof_status plain_report(const plain_check* check, packproof_message* message);

#endif
