#include "harness/inspect/batch.h"

#include "fixtures/hdf5_file.h"
#include "reference/safetensors.h"

#include <algorithm>

namespace packproof {
namespace {

/// Keys that say where sequences begin and end. One that can't be read must not pass for one that
/// isn't there.
constexpr const char* kBoundaryKeys[] = {"position_ids", "cu_seq_lens_q", "cu_seq_lens_k",
                                         "cu_seqlens",   "seq_idx",       "attention_mask"};

Result<Batch> read_safetensors_batch(const std::filesystem::path& path,
                                     std::vector<std::string>& skipped) {
  PACKPROOF_TRY(const reference::SafetensorsFile file, reference::SafetensorsFile::open(path));
  Batch batch;
  for (const auto& [name, stored] : file.tensors()) {
    if (!reference::is_integer_dtype(stored.dtype)) {
      skipped.push_back(name);
      continue;
    }
    PACKPROOF_TRY(std::vector<int64_t> values, file.read_integers(name));
    batch[name] = {stored.dtype, stored.shape, std::move(values)};
  }
  return batch;
}

Result<Batch> read_hdf5_batch(const std::filesystem::path& path,
                              std::vector<std::string>& skipped) {
  PACKPROOF_TRY(const fixtures::Hdf5Content content, fixtures::read_foreign(path));
  Batch batch;
  for (const auto& [name, tensor] : content.datasets) {
    if (is_floating(tensor.dtype())) {
      skipped.push_back(name);
      continue;
    }
    BatchField field{std::string(name_of(tensor.dtype())), tensor.shape(), {}};
    for (int64_t i = 0; i < tensor.numel(); ++i) field.values.push_back(tensor.int_at(i));
    batch[name] = std::move(field);
  }
  return batch;
}

Result<Batch> read_by_extension(const std::filesystem::path& path,
                                std::vector<std::string>& skipped) {
  const std::string extension = path.extension().string();
  if (extension == ".json") return read_json_batch(path, skipped);
  if (extension == ".npz") return read_npz_batch(path, skipped);
  if (extension == ".safetensors") return read_safetensors_batch(path, skipped);
  if (extension == ".h5" || extension == ".hdf5") return read_hdf5_batch(path, skipped);
  return usage_error("expected a batch in .json, .npz, .safetensors, .h5 or .hdf5, found '" +
                     path.string() + "'");
}

}  // namespace

Result<Batch> read_batch(const std::filesystem::path& path, std::vector<std::string>& skipped) {
  std::error_code code;
  if (!std::filesystem::is_regular_file(path, code)) {
    return usage_error("expected a file that holds a batch, found '" + path.string() + "'");
  }
  if (std::filesystem::file_size(path, code) > kMaxBatchBytes) {
    return invalid_input(path.string() + ": expected a batch of at most 1 GiB");
  }
  PACKPROOF_TRY(Batch batch, read_by_extension(path, skipped));
  for (const std::string& key : skipped) {
    if (std::ranges::find(kBoundaryKeys, key) != std::end(kBoundaryKeys)) {
      return invalid_input(path.string() + ": '" + key +
                           "': expected integers, found another type");
    }
  }
  return batch;
}

}  // namespace packproof
