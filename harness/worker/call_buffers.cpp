#include "harness/worker/call_buffers.h"

#include "harness/candidate/message.h"

#include <algorithm>
#include <cstring>

namespace packproof {

namespace {

constexpr std::size_t kWorkspaceAlignment = 256;

static_assert(static_cast<int>(DType::kF32) == PACKPROOF_F32);
static_assert(static_cast<int>(DType::kF16) == PACKPROOF_F16);
static_assert(static_cast<int>(DType::kBF16) == PACKPROOF_BF16);
static_assert(static_cast<int>(DType::kF64) == PACKPROOF_F64);
static_assert(static_cast<int>(DType::kI32) == PACKPROOF_I32);
static_assert(static_cast<int>(DType::kI64) == PACKPROOF_I64);

bool is_metadata(std::string_view name) {
  return name == "cu_seqlens" || name == "seq_idx" || name == "state_indices";
}

Status check_expressible(const std::string& name, DType dtype, const std::vector<int64_t>& shape,
                         bool contiguous) {
  if (shape.size() > PACKPROOF_MAX_RANK) {
    return invalid_input("tensor '" + name + "': expected at most " +
                         std::to_string(PACKPROOF_MAX_RANK) + " axes, found shape " +
                         shape_text(shape));
  }
  // The boundary passes bare int32 pointers for these two.
  const bool bare_int32 = name == "seq_idx" || name == "state_indices";
  if ((bare_int32 && dtype != DType::kI32) || (is_metadata(name) && !contiguous)) {
    return invalid_input("tensor '" + name + "': expected contiguous " +
                         (bare_int32 ? "i32" : "i32 or i64") + ", found " +
                         std::string(name_of(dtype)) + (contiguous ? "" : " with gaps"));
  }
  return {};
}

/// Storage elements that no index reaches, as a mask; empty when there are none.
std::vector<bool> gaps_of(const Tensor& tensor) {
  if (tensor.storage_elements() <= tensor.numel()) return {};
  std::vector<bool> gaps(static_cast<std::size_t>(tensor.storage_elements()), true);
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    gaps[static_cast<std::size_t>(tensor.offset_of(i))] = false;
  }
  return gaps;
}

void add_damage(const std::string& name, const GuardDamage& damage, MemoryReport& memory) {
  if (damage.before) memory.written_outside.push_back(name + " (before its start)");
  if (damage.after) memory.written_outside.push_back(name + " (after its end)");
}

}  // namespace

Result<CallBuffers> CallBuffers::make(Device& device, const OpCall& call,
                                      const CallOptions& options) {
  CallBuffers buffers(device, call, options);
  for (const auto& [name, tensor] : call.inputs) {
    PACKPROOF_CHECK_OK(buffers.add_input(name, tensor));
    if (is_metadata(name) && call.attributes.host_metadata)
      PACKPROOF_CHECK_OK(buffers.add_host_copy(name, tensor));
  }
  for (const auto& [name, spec] : call.outputs) {
    PACKPROOF_CHECK_OK(buffers.add_output(name, spec));
  }
  return buffers;
}

BufferRequest CallBuffers::request(const std::string& name, std::size_t bytes,
                                   std::size_t alignment) const {
  const bool back =
      ((std::to_integer<uint64_t>(options_.poison) ^ options_.schedule_seed) & 1) != 0;
  return {name, bytes, alignment, back ? GuardSide::kBack : GuardSide::kFront, options_.poison};
}

Status CallBuffers::add_input(const std::string& name, const Tensor& tensor) {
  PACKPROOF_CHECK_OK(
      check_expressible(name, tensor.dtype(), tensor.shape(), tensor.is_contiguous()));
  Entry entry;
  entry.dtype = tensor.dtype();
  entry.shape = tensor.shape();
  entry.strides = tensor.strides();
  entry.before = &tensor;
  PACKPROOF_TRY(entry.buffer,
                device_->allocate(request(name, tensor.bytes().size(), size_of(tensor.dtype()))));
  PACKPROOF_CHECK_OK(entry.buffer->write(tensor.bytes()));
  entries_.emplace(name, std::move(entry));
  return {};
}

Status CallBuffers::add_host_copy(const std::string& name, const Tensor& tensor) {
  const std::string label = name + " (host copy)";
  PACKPROOF_TRY(
      std::unique_ptr<GuardedBuffer> copy,
      device_->allocate_on_host(request(label, tensor.bytes().size(), size_of(tensor.dtype()))));
  PACKPROOF_CHECK_OK(copy->write(tensor.bytes()));
  host_copies_.emplace(name, std::move(copy));
  return {};
}

Status CallBuffers::add_output(const std::string& name, const OutputSpec& spec) {
  const std::vector<int64_t> strides = strides_of(spec);
  if (const auto both = entries_.find(name); both != entries_.end()) {
    Entry& entry = both->second;
    if (entry.dtype != spec.dtype || entry.shape != spec.shape || entry.strides != strides) {
      return invalid_input("in-out tensor '" + name + "': expected the output as its input, " +
                           std::string(name_of(entry.dtype)) + " " + shape_text(entry.shape) +
                           " with strides " + shape_text(entry.strides) + ", found " +
                           std::string(name_of(spec.dtype)) + " " + shape_text(spec.shape) +
                           " with strides " + shape_text(strides));
    }
    entry.output = true;
    return {};
  }
  const Tensor layout(spec.dtype, spec.shape, strides);
  PACKPROOF_CHECK_OK(check_expressible(name, spec.dtype, spec.shape, layout.is_contiguous()));
  Entry entry;
  entry.dtype = spec.dtype;
  entry.shape = spec.shape;
  entry.strides = strides;
  entry.output = true;
  PACKPROOF_TRY(entry.buffer,
                device_->allocate(request(name, layout.bytes().size(), size_of(spec.dtype))));
  PACKPROOF_CHECK_OK(entry.buffer->fill(options_.poison));
  entries_.emplace(name, std::move(entry));
  return {};
}

packproof_tensor CallBuffers::tensor(std::string_view name) const {
  packproof_tensor tensor{};
  const auto found = entries_.find(name);
  if (found == entries_.end()) return tensor;
  const Entry& entry = found->second;
  tensor.data = entry.buffer->address();
  tensor.rank = static_cast<int32_t>(entry.shape.size());
  tensor.dtype = static_cast<int32_t>(entry.dtype);
  std::ranges::copy(entry.shape, tensor.shape);
  std::ranges::copy(entry.strides, tensor.stride);
  return tensor;
}

packproof_packing CallBuffers::packing(std::string_view token) const {
  const packproof_tensor tokens = tensor(token);
  const packproof_tensor cu_seqlens = tensor("cu_seqlens");
  const packproof_tensor seq_idx = tensor("seq_idx");
  packproof_packing packing{};
  packing.cu_seqlens = cu_seqlens.data;
  packing.cu_seqlens_host = host_copy("cu_seqlens");
  packing.seq_idx = static_cast<const int32_t*>(seq_idx.data);
  packing.seq_idx_host = static_cast<const int32_t*>(host_copy("seq_idx"));
  packing.cu_seqlens_dtype = cu_seqlens.data == nullptr ? PACKPROOF_I32 : cu_seqlens.dtype;
  packing.max_seqlen = call_->attributes.max_seqlen;
  if (tokens.rank >= 2) packing.total_tokens = tokens.shape[0] * tokens.shape[1];
  if (cu_seqlens.data != nullptr) {
    packing.num_seqs = cu_seqlens.rank == 1 ? std::max<int64_t>(cu_seqlens.shape[0] - 1, 0) : 0;
  } else if (seq_idx.data != nullptr) {
    const Tensor& ids = call_->input("seq_idx");
    for (int64_t i = 0; i < ids.numel(); ++i) {
      packing.num_seqs = std::max(packing.num_seqs, ids.int_at(i) + 1);
    }
  } else if (tokens.rank >= 1) {
    packing.num_seqs = tokens.shape[0];
  }
  return packing;
}

const void* CallBuffers::host_copy(std::string_view name) const {
  const auto found = host_copies_.find(name);
  return found == host_copies_.end() ? nullptr : found->second->address();
}

Result<void*> CallBuffers::workspace(std::size_t bytes) {
  if (bytes == 0) return static_cast<void*>(nullptr);
  PACKPROOF_TRY(workspace_, device_->allocate(request("workspace", bytes, kWorkspaceAlignment)));
  PACKPROOF_CHECK_OK(workspace_->fill(options_.poison));
  return workspace_->address();
}

Status CallBuffers::collect(bool refused, CallResult& result) const {
  for (const auto& [name, entry] : entries_) {
    PACKPROOF_TRY(const GuardDamage damage, entry.buffer->damage());
    add_damage(name, damage, result.memory);
    PACKPROOF_CHECK_OK(entry.output ? check_output(name, entry, refused, result)
                                    : check_input(name, entry, result.memory));
  }
  for (const auto& [name, copy] : host_copies_) {
    PACKPROOF_TRY(const GuardDamage damage, copy->damage());
    add_damage(name + " (host copy)", damage, result.memory);
    const std::span<const std::byte> before = call_->input(name).bytes();
    if (std::memcmp(copy->address(), before.data(), before.size()) != 0) {
      result.memory.inputs_modified.push_back(name + " (host copy)");
    }
  }
  if (workspace_ != nullptr) {
    PACKPROOF_TRY(const GuardDamage damage, workspace_->damage());
    add_damage("workspace", damage, result.memory);
  }
  return {};
}

Status CallBuffers::check_input(const std::string& name, const Entry& entry,
                                MemoryReport& memory) const {
  const std::span<const std::byte> before = entry.before->bytes();
  std::vector<std::byte> after(before.size());
  PACKPROOF_CHECK_OK(entry.buffer->read(after));
  if (!before.empty() && std::memcmp(before.data(), after.data(), before.size()) != 0) {
    memory.inputs_modified.push_back(name);
  }
  return {};
}

Status CallBuffers::check_output(const std::string& name, const Entry& entry, bool refused,
                                 CallResult& result) const {
  Tensor after(entry.dtype, entry.shape, entry.strides);
  PACKPROOF_CHECK_OK(entry.buffer->read(after.bytes()));
  const auto unchanged = [&](std::size_t byte) {
    const std::byte before =
        entry.before == nullptr ? options_.poison : entry.before->bytes()[byte];
    return after.bytes()[byte] == before;
  };
  if (refused) {
    for (std::size_t byte = 0; byte < after.bytes().size(); ++byte) {
      if (unchanged(byte)) continue;
      result.memory.written_outside.push_back(name + " (although the call was refused)");
      break;
    }
    return {};
  }
  const std::vector<bool> gaps = gaps_of(after);
  const std::size_t element = size_of(entry.dtype);
  for (std::size_t byte = 0; byte < gaps.size() * element; ++byte) {
    if (!gaps[byte / element] || unchanged(byte)) continue;
    result.memory.written_outside.push_back(name + " (in a gap between rows)");
    break;
  }
  result.outputs.emplace(name, std::move(after));
  return {};
}

}  // namespace packproof
