#pragma once

#include "packproof/kernel_abi.h"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <vector>

namespace packproof {

/// One axis of an expected shape: its name in the header's comment and its size.
struct Axis {
  const char* name;
  int64_t size;
};

/// A tensor under the name that the argument struct gives it.
struct NamedTensor {
  const char* name;
  const packproof_tensor* tensor;
};

/// Checks the arguments of one call and keeps the first complaint as one sentence that says what
/// was expected and what was found. After a complaint all further checks pass over. Reads host
/// memory only: tensor contents never, metadata through its host copies.
class ArgumentCheck {
 public:
  explicit ArgumentCheck(const char* op) : op_(op) {}

  bool ok() const { return status_ == PACKPROOF_OK; }

  packproof_status status() const { return status_; }

  const char* text() const { return message_.text; }

  /// Copies the complaint to `message` (may be null) and returns the status.
  packproof_status report(packproof_message* message) const;

  [[gnu::format(printf, 2, 3)]] void refuse(const char* format, ...);         ///< INVALID_ARGUMENT
  [[gnu::format(printf, 2, 3)]] void not_supported(const char* format, ...);  ///< NOT_SUPPORTED

  /// A caller may know more fields than this library (append-only growth), never fewer.
  void struct_size(size_t found, size_t expected);

  /// The rank alone, for tensors that define the sizes other tensors must agree with.
  void rank(NamedTensor tensor, int32_t rank, const char* axes);

  /// f32, f16 or bf16.
  void storage_dtype(NamedTensor tensor);

  /// Present, of this dtype and shape, with no negative stride.
  void tensor(NamedTensor tensor, int32_t dtype, std::initializer_list<Axis> shape);

  /// The same for a tensor that may be absent (null data and rank 0).
  void optional_tensor(NamedTensor tensor, int32_t dtype, std::initializer_list<Axis> shape);

  /// NOT_SUPPORTED when a size exceeds what the kernel's grid can cover.
  void at_most(const char* name, int64_t size, int64_t limit);

  /// No two elements of an output share memory, nor an output with an input or other output.
  /// NOT_SUPPORTED where outputs' strides alone do not show the first.
  void outputs_apart(std::initializer_list<NamedTensor> outputs,
                     const std::vector<NamedTensor>& inputs);

  /// Nor one of these tensors with the metadata that kernels read beside them, or the workspace.
  void apart_from_packing(std::initializer_list<NamedTensor> outputs,
                          const packproof_packing& packing);
  void apart_from_workspace(const std::vector<NamedTensor>& tensors,
                            const packproof_packing& packing, const void* workspace, size_t bytes);

  /// Metadata of token tensors [num_batches, row_length, ...]: presence, sizes, and contents where
  /// host copies are given.
  void packing(const packproof_packing& packing, int64_t num_batches, int64_t row_length);

  /// state_indices [num_rows] into a pool of num_slots, and their contents where the host copy is
  /// given: -1 or a slot, no slot twice.
  void state_indices(const packproof_tensor& indices, const int32_t* host, int64_t num_rows,
                     int64_t num_slots);

 private:
  void cu_seqlens(const packproof_packing& packing);
  void aligned(const char* name, const void* data, int32_t dtype);
  void apart(NamedTensor one, NamedTensor other);

  const char* op_;
  packproof_status status_ = PACKPROOF_OK;
  packproof_message message_{};
};

}  // namespace packproof
