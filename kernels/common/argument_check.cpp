#include "kernels/common/argument_check.h"

#include "kernels/common/tensor_extent.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

namespace packproof {
namespace {

std::string shape_text(const packproof_tensor& tensor) {
  std::string text = "[";
  for (int32_t axis = 0; axis < tensor.rank; ++axis) {
    if (axis > 0) text += ", ";
    text += std::to_string(tensor.shape[axis]);
  }
  text += ']';
  return text;
}

std::string shape_text(std::initializer_list<Axis> shape) {
  std::string text = "[";
  for (const Axis& axis : shape) {
    if (text.size() > 1) text += ", ";
    text += axis.name;
    text += '=';
    text += std::to_string(axis.size);
  }
  text += ']';
  return text;
}

int64_t boundary_at(const packproof_packing& packing, int64_t index) {
  return packing.cu_seqlens_dtype == PACKPROOF_I64
             ? static_cast<const int64_t*>(packing.cu_seqlens_host)[index]
             : static_cast<const int32_t*>(packing.cu_seqlens_host)[index];
}

/// Contiguous memory as a tensor; absent where the pointer is null.
packproof_tensor vector_at(const void* data, int64_t size, int32_t dtype) {
  packproof_tensor vector{};
  if (data == nullptr) return vector;
  vector.data = const_cast<void*>(data);
  vector.shape[0] = size;
  vector.stride[0] = 1;
  vector.rank = 1;
  vector.dtype = dtype;
  return vector;
}

void format_into(packproof_message& message, const char* op, const char* format, va_list list) {
  const int used = std::snprintf(message.text, sizeof(message.text), "%s: ", op);
  std::vsnprintf(message.text + used, sizeof(message.text) - static_cast<size_t>(used), format,
                 list);
}

}  // namespace

packproof_status ArgumentCheck::report(packproof_message* message) const {
  if (message != nullptr) std::memcpy(message, &message_, sizeof(message_));
  return status_;
}

void ArgumentCheck::refuse(const char* format, ...) {
  if (!ok()) return;
  status_ = PACKPROOF_INVALID_ARGUMENT;
  va_list list;
  va_start(list, format);
  format_into(message_, op_, format, list);
  va_end(list);
}

void ArgumentCheck::not_supported(const char* format, ...) {
  if (!ok()) return;
  status_ = PACKPROOF_NOT_SUPPORTED;
  va_list list;
  va_start(list, format);
  format_into(message_, op_, format, list);
  va_end(list);
}

void ArgumentCheck::struct_size(size_t found, size_t expected) {
  if (found < expected) refuse("expected struct_size of at least %zu, found %zu", expected, found);
}

void ArgumentCheck::rank(NamedTensor named, int32_t rank, const char* axes) {
  if (named.tensor->rank == rank) return;
  refuse("expected %s of rank %d %s, found rank %d", named.name, rank, axes, named.tensor->rank);
}

void ArgumentCheck::storage_dtype(NamedTensor named) {
  const int32_t dtype = named.tensor->dtype;
  if (dtype == PACKPROOF_F32 || dtype == PACKPROOF_F16 || dtype == PACKPROOF_BF16) return;
  not_supported("expected %s in f32, f16 or bf16, found %s", named.name, name_of_dtype(dtype));
}

void ArgumentCheck::tensor(NamedTensor named, int32_t dtype, std::initializer_list<Axis> shape) {
  if (!ok()) return;
  const packproof_tensor& found = *named.tensor;
  if (!is_present(found)) {
    return refuse("expected %s of shape %s, found none", named.name, shape_text(shape).c_str());
  }
  if (found.rank != static_cast<int32_t>(shape.size())) {
    return refuse("expected %s of shape %s, found rank %d", named.name, shape_text(shape).c_str(),
                  found.rank);
  }
  int32_t axis = 0;
  for (const Axis& expected : shape) {
    if (found.shape[axis] != expected.size) {
      return refuse("expected %s of shape %s, found %s", named.name, shape_text(shape).c_str(),
                    shape_text(found).c_str());
    }
    if (found.shape[axis] < 0 || found.stride[axis] < 0) {
      return refuse(
          "expected %s with no negative size or stride, found size %lld and stride %lld "
          "on axis %s",
          named.name, static_cast<long long>(found.shape[axis]),
          static_cast<long long>(found.stride[axis]), expected.name);
    }
    ++axis;
  }
  if (!is_addressable(found)) {
    return refuse("expected %s within 2^58 elements, found shape %s with larger strides",
                  named.name, shape_text(found).c_str());
  }
  if (found.dtype != dtype) {
    return refuse("expected %s in %s, found %s", named.name, name_of_dtype(dtype),
                  name_of_dtype(found.dtype));
  }
  if (found.data == nullptr && !is_empty(found)) {
    return refuse("expected data for %s of shape %s, found a null pointer", named.name,
                  shape_text(found).c_str());
  }
  aligned(named.name, found.data, dtype);
}

void ArgumentCheck::aligned(const char* name, const void* data, int32_t dtype) {
  const int64_t bytes = bytes_of_dtype(dtype);
  if (!ok() || reinterpret_cast<uintptr_t>(data) % static_cast<uintptr_t>(bytes) == 0) return;
  refuse("expected %s aligned to its %lld-byte elements, found address %p", name,
         static_cast<long long>(bytes), data);
}

void ArgumentCheck::optional_tensor(NamedTensor named, int32_t dtype,
                                    std::initializer_list<Axis> shape) {
  if (!is_present(*named.tensor)) {
    if (named.tensor->data != nullptr) {
      refuse("expected %s of shape %s or absent with null data, found rank 0 with data", named.name,
             shape_text(shape).c_str());
    }
    return;
  }
  tensor(named, dtype, shape);
}

void ArgumentCheck::at_most(const char* name, int64_t size, int64_t limit) {
  if (size <= limit) return;
  not_supported("expected %s of at most %lld, found %lld", name, static_cast<long long>(limit),
                static_cast<long long>(size));
}

void ArgumentCheck::outputs_apart(std::initializer_list<NamedTensor> outputs,
                                  const std::vector<NamedTensor>& inputs) {
  for (const NamedTensor* output = outputs.begin(); output != outputs.end(); ++output) {
    if (!ok()) return;
    if (is_present(*output->tensor) && !elements_distinct(*output->tensor)) {
      not_supported(
          "expected strides of %s that each step beyond all that smaller ones reach, found "
          "elements "
          "that share memory or interleave",
          output->name);
    }
    for (const NamedTensor& input : inputs) apart(*output, input);
    for (const NamedTensor* other = output + 1; other != outputs.end(); ++other) {
      apart(*output, *other);
    }
  }
}

void ArgumentCheck::apart(NamedTensor one, NamedTensor other) {
  if (!ok() || !spans_meet(*one.tensor, *other.tensor)) return;
  refuse("expected %s apart from %s, found that they overlap in memory", one.name, other.name);
}

void ArgumentCheck::apart_from_packing(std::initializer_list<NamedTensor> outputs,
                                       const packproof_packing& packing) {
  const packproof_tensor cu_seqlens =
      vector_at(packing.cu_seqlens, packing.num_seqs + 1, packing.cu_seqlens_dtype);
  const packproof_tensor seq_idx = vector_at(packing.seq_idx, packing.total_tokens, PACKPROOF_I32);
  for (const NamedTensor& output : outputs) {
    apart(output, {"cu_seqlens", &cu_seqlens});
    apart(output, {"seq_idx", &seq_idx});
  }
}

void ArgumentCheck::apart_from_workspace(const std::vector<NamedTensor>& tensors,
                                         const packproof_packing& packing, const void* workspace,
                                         size_t bytes) {
  const packproof_tensor memory =
      vector_at(workspace, static_cast<int64_t>((bytes + 3) / 4), PACKPROOF_I32);
  for (const NamedTensor& tensor : tensors) apart(tensor, {"the workspace", &memory});
  apart_from_packing({{"the workspace", &memory}}, packing);
}

void ArgumentCheck::packing(const packproof_packing& packing, int64_t num_batches,
                            int64_t row_length) {
  if (!ok()) return;
  const auto number = [](int64_t value) { return static_cast<long long>(value); };
  if (packing.num_seqs < 0 || packing.num_seqs > INT32_MAX) {
    return refuse("expected num_seqs in 0..2^31-1, found %lld", number(packing.num_seqs));
  }
  if (packing.cu_seqlens == nullptr && packing.cu_seqlens_host != nullptr) {
    return refuse("expected cu_seqlens beside cu_seqlens_host, found a null pointer");
  }
  if (packing.seq_idx == nullptr && packing.seq_idx_host != nullptr) {
    return refuse("expected seq_idx beside seq_idx_host, found a null pointer");
  }
  const bool packed = packing.cu_seqlens != nullptr || packing.seq_idx != nullptr;
  if (!packed) {
    if (packing.num_seqs != num_batches) {
      refuse("expected num_seqs to be the batch size %lld of a dense call, found %lld",
             number(num_batches), number(packing.num_seqs));
    }
    return;
  }
  if (num_batches != 1) {
    return refuse("expected one batch row in a packed call, found %lld", number(num_batches));
  }
  if (packing.total_tokens != row_length) {
    return refuse("expected total_tokens to be the %lld rows of the token tensors, found %lld",
                  number(row_length), number(packing.total_tokens));
  }
  if (packing.cu_seqlens != nullptr) cu_seqlens(packing);
  if (packing.seq_idx != nullptr) aligned("seq_idx", packing.seq_idx, PACKPROOF_I32);
  if (!ok() || packing.seq_idx_host == nullptr) return;
  for (int64_t row = 0; row < row_length; ++row) {
    if (packing.seq_idx_host[row] < -1) {
      return refuse("expected seq_idx of at least -1, found %d at row %lld",
                    packing.seq_idx_host[row], number(row));
    }
  }
}

void ArgumentCheck::cu_seqlens(const packproof_packing& packing) {
  const auto number = [](int64_t value) { return static_cast<long long>(value); };
  if (packing.cu_seqlens_dtype != PACKPROOF_I32 && packing.cu_seqlens_dtype != PACKPROOF_I64) {
    return refuse("expected cu_seqlens in i32 or i64, found %s",
                  name_of_dtype(packing.cu_seqlens_dtype));
  }
  aligned("cu_seqlens", packing.cu_seqlens, packing.cu_seqlens_dtype);
  if (!ok() || packing.cu_seqlens_host == nullptr) return;
  aligned("cu_seqlens_host", packing.cu_seqlens_host, packing.cu_seqlens_dtype);
  if (!ok()) return;
  if (boundary_at(packing, 0) != 0) {
    return refuse("expected cu_seqlens to start at 0, found %lld", number(boundary_at(packing, 0)));
  }
  for (int64_t n = 0; n < packing.num_seqs; ++n) {
    if (boundary_at(packing, n + 1) < boundary_at(packing, n)) {
      return refuse("expected cu_seqlens that never decreases, found %lld after %lld at entry %lld",
                    number(boundary_at(packing, n + 1)), number(boundary_at(packing, n)),
                    number(n + 1));
    }
  }
  const int64_t last = boundary_at(packing, packing.num_seqs);
  if (last > packing.total_tokens) {
    refuse("expected cu_seqlens to end within total_tokens = %lld, found %lld",
           number(packing.total_tokens), number(last));
  }
}

void ArgumentCheck::state_indices(const packproof_tensor& indices, const int32_t* host,
                                  int64_t num_rows, int64_t num_slots) {
  optional_tensor({"state_indices", &indices}, PACKPROOF_I32, {{"N", num_rows}});
  if (!ok()) return;
  if (!is_present(indices)) {
    if (num_slots < num_rows) {
      refuse("expected a slot for each of the %lld rows without state_indices, found %lld slots",
             static_cast<long long>(num_rows), static_cast<long long>(num_slots));
    }
    return;
  }
  if (host == nullptr) return;
  std::vector<int32_t> sorted(host, host + num_rows);
  for (int64_t row = 0; row < num_rows; ++row) {
    if (host[row] < -1 || host[row] >= num_slots) {
      return refuse("expected state_indices of -1 or a slot below %lld, found %d at row %lld",
                    static_cast<long long>(num_slots), host[row], static_cast<long long>(row));
    }
  }
  std::sort(sorted.begin(), sorted.end());
  for (size_t i = 1; i < sorted.size(); ++i) {
    if (sorted[i] >= 0 && sorted[i] == sorted[i - 1]) {
      return refuse("expected every slot at most once in state_indices, found slot %d twice",
                    sorted[i]);
    }
  }
}

}  // namespace packproof
