/* Where the sequences of a call begin and end, from any metadata. */
#ifndef PACKPROOF_PLAIN_SEQUENCES_H
#define PACKPROOF_PLAIN_SEQUENCES_H

#include "packproof/kernel_abi.h"

/* Whether a checked packing defines sequences: ids that jump back or lie beyond num_seqs do not. */
int plain_has_sequences(const packproof_packing* packing);

/* The pool's slot of row n: by checked state_indices, n where they are absent; -1 for none. */
int64_t plain_slot(const packproof_tensor* indices, int64_t n);

/* Row where sequence n begins, for n in 0..num_seqs (the end of the last one), into
 * boundaries[num_seqs + 1]. Rows of a dense call are numbered through the batch. */
void plain_fill_boundaries(const packproof_packing* packing, int64_t row_length,
                           int64_t* boundaries);

#endif
