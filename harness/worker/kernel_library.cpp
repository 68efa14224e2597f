#include "harness/worker/kernel_library.h"

#include "harness/core/case_spec.h"
#include "harness/core/sha256.h"
#include "harness/worker/float_mode.h"

#include <algorithm>

#include <dlfcn.h>

namespace packproof {

namespace {

std::string count_text(int64_t value) { return std::to_string(value); }

std::string text_or(const char* text, std::string_view otherwise) {
  return text == nullptr ? std::string(otherwise) : std::string(text);
}

/// Ops and directions of the boundary are numbered like those of the core.
Op op_of(const packproof_kernel& kernel) { return static_cast<Op>(kernel.op); }

Direction direction_of(const packproof_kernel& kernel) {
  return static_cast<Direction>(kernel.direction);
}

static_assert(static_cast<int>(Op::kSwiGlu) == PACKPROOF_SWIGLU);
static_assert(static_cast<int>(Op::kChunkGatedDeltaRule) == PACKPROOF_CHUNK_GATED_DELTA_RULE);
static_assert(static_cast<int>(Op::kDeltaRuleGate) == PACKPROOF_DELTA_RULE_GATE);
static_assert(static_cast<int>(Direction::kBackward) == PACKPROOF_BACKWARD);

static_assert(static_cast<int>(DType::kF16) == PACKPROOF_F16);
static_assert(static_cast<int>(DType::kBF16) == PACKPROOF_BF16);

/// A row that lists no storage types takes all.
bool takes(const packproof_kernel& kernel, DType dtype) {
  return kernel.dtypes == 0 || (kernel.dtypes >> static_cast<int>(dtype) & 1U) != 0;
}

/// What is wrong with one row, or empty.
std::string row_problem(const packproof_kernel& kernel) {
  if (kernel.op < 0 || kernel.op > PACKPROOF_SWIGLU) {
    return "op: expected a packproof_op, found " + count_text(kernel.op);
  }
  if (kernel.direction != PACKPROOF_FORWARD && kernel.direction != PACKPROOF_BACKWARD) {
    return "direction: expected a packproof_direction, found " + count_text(kernel.direction);
  }
  if (kernel.variant == nullptr || *kernel.variant == '\0') {
    return "variant: expected a name, found none";
  }
  if (kernel.unsupported_reason == nullptr)
    return "unsupported_reason: expected a function, found null";
  if (kernel.workspace_size == nullptr) return "workspace_size: expected a function, found null";
  if (kernel.launch == nullptr) return "launch: expected a function, found null";
  if (kernel.device_metadata != PACKPROOF_CONTENTS_CHECKED &&
      kernel.device_metadata != PACKPROOF_CONTENTS_UNCHECKED) {
    return "device_metadata: expected a packproof_device_metadata, found " +
           count_text(kernel.device_metadata);
  }
  return {};
}

Error table_error(const std::string& path, const std::string& problem) {
  return invalid_input("the kernel library '" + path + "': " + problem);
}

}  // namespace

Result<KernelLibrary> KernelLibrary::load(const std::string& path) {
  PACKPROOF_TRY(std::string identity, sha256_of_file(path));
  KernelLibrary library;
  library.identity_ = std::move(identity);

  FloatMode mode;
  void* handle =
      ::dlopen(path.find('/') == std::string::npos ? ("./" + path).c_str() : path.c_str(),
               RTLD_NOW | RTLD_LOCAL);
  library.changed_float_mode_ = mode.restore();
  if (handle == nullptr) {
    return usage_error("the kernel library '" + path +
                       "' could not be loaded: " + text_or(::dlerror(), "no reason given"));
  }
  const auto entry =
      reinterpret_cast<packproof_kernel_library_fn>(::dlsym(handle, "packproof_kernel_library"));
  if (entry == nullptr) {
    return table_error(path, "expected the exported symbol packproof_kernel_library, found none");
  }
  library.table_ = entry();
  library.changed_float_mode_ |= mode.restore();
  if (library.table_ == nullptr) {
    return table_error(path, "expected packproof_kernel_library() to return a table, found null");
  }
  const packproof_library& table = *library.table_;
  if (table.abi_version != PACKPROOF_ABI_VERSION) {
    return table_error(path, "expected abi_version " + count_text(PACKPROOF_ABI_VERSION) +
                                 ", found " + count_text(table.abi_version));
  }
  if (table.struct_size < sizeof(packproof_library)) {
    return table_error(path, "expected a table of at least " +
                                 std::to_string(sizeof(packproof_library)) +
                                 " bytes, found struct_size " + std::to_string(table.struct_size));
  }
  if (table.device != PACKPROOF_DEVICE_HOST && table.device != PACKPROOF_DEVICE_CUDA) {
    return table_error(path,
                       "device: expected a packproof_device, found " + count_text(table.device));
  }
  if (table.name == nullptr || table.version == nullptr) {
    return table_error(path, "expected a name and a version, found null");
  }
  PACKPROOF_CHECK_OK(library.check_rows(path));
  return library;
}

Status KernelLibrary::check_rows(const std::string& path) {
  if (table_->num_kernels <= 0 || table_->kernels == nullptr) {
    return table_error(path, "expected at least one kernel row, found num_kernels " +
                                 count_text(table_->num_kernels));
  }
  // Rows may have grown at their end; their own size says where the next one begins.
  const std::size_t pitch = table_->kernels->struct_size;
  const auto* first = reinterpret_cast<const std::byte*>(table_->kernels);
  for (int64_t i = 0; i < table_->num_kernels; ++i) {
    const auto* row =
        reinterpret_cast<const packproof_kernel*>(first + static_cast<std::size_t>(i) * pitch);
    const std::string where = "kernel row " + count_text(i) + ": ";
    if (row->struct_size < sizeof(packproof_kernel) || row->struct_size != pitch) {
      return table_error(path, where + "expected struct_size " +
                                   std::to_string(std::max(pitch, sizeof(packproof_kernel))) +
                                   ", found " + std::to_string(row->struct_size));
    }
    if (const std::string problem = row_problem(*row); !problem.empty()) {
      return table_error(path, where + problem);
    }
    rows_.push_back(row);
  }
  return {};
}

std::vector<const packproof_kernel*> KernelLibrary::rows_of(Op op, Direction direction) const {
  std::vector<const packproof_kernel*> found;
  for (const packproof_kernel* row : rows_) {
    if (op_of(*row) == op && direction_of(*row) == direction) found.push_back(row);
  }
  return found;
}

KernelLibrary::Selection KernelLibrary::select(Op op, Direction direction, std::string_view variant,
                                               const void* args, int32_t sm) const {
  const std::string what = std::string(name_of(op)) + " " + std::string(name_of(direction));
  const std::vector<const packproof_kernel*> rows = rows_of(op, direction);
  if (rows.empty()) return {nullptr, "the library has no kernel for " + what};

  std::string reasons;
  std::string names;
  for (const packproof_kernel* row : rows) {
    names += (names.empty() ? "" : ", ") + std::string(row->variant);
    if (!variant.empty() && variant != row->variant) continue;
    const char* reason = row->unsupported_reason(args, sm);
    if (reason == nullptr) return {row, {}};
    reasons += (reasons.empty() ? "" : "; ") + std::string(row->variant) + ": " + reason;
  }
  if (reasons.empty()) {
    return {nullptr, "the library has no variant '" + std::string(variant) + "' of " + what +
                         ", it has " + names};
  }
  return {nullptr, reasons};
}

bool KernelLibrary::has_state_pools() const {
  return (table_->features & PACKPROOF_FEATURE_STATE_POOL) != 0;
}

CandidateInfo KernelLibrary::info() const {
  CandidateInfo info;
  info.name = table_->name;
  info.version = table_->version;
  info.device = on_cuda() ? "cuda" : "host";
  info.identity = identity_;
  info.bitwise_pack_invariant = table_->bitwise_pack_invariant == 1;
  info.memory_checked = true;
  if (changed_float_mode_) {
    info.notes.push_back(
        "loading the library changes the floating-point control word (flush-to-zero or rounding) "
        "of the process; packproof put it back");
  }
  for (const packproof_kernel* row : rows_) {
    auto known = std::ranges::find_if(info.capabilities, [row](const Capability& capability) {
      return capability.op == op_of(*row) && capability.direction == direction_of(*row);
    });
    if (known == info.capabilities.end()) {
      known = info.capabilities.insert(known, {op_of(*row), direction_of(*row), {}, {}});
      known->limits.state_pool = takes_state_pool(known->op, known->direction) && has_state_pools();
    }
    known->variants.emplace_back(row->variant);
    for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
      const bool listed = std::ranges::find(known->dtypes, dtype) != known->dtypes.end();
      if (takes(*row, dtype) && !listed) known->dtypes.push_back(dtype);
    }
  }
  return info;
}

}  // namespace packproof
