#include "harness/inspect/traps.h"

#include "harness/core/tensor.h"

#include <algorithm>

namespace packproof {
namespace {

constexpr int64_t kIgnoredLabel = -100;
constexpr const char* kKnownKeys[] = {
    "input_ids",    "position_ids", "cu_seq_lens_q", "cu_seq_lens_k",  "cu_seqlens",
    "max_length_q", "max_length_k", "seq_idx",       "attention_mask", "labels"};
constexpr const char* kPackedKeys[] = {"cu_seq_lens_q", "cu_seq_lens_k", "cu_seqlens", "seq_idx"};

void labels(const Batch& batch, const BatchBoundaries& b, Inspection& result) {
  const BatchField* field = find(batch, "labels");
  if (field == nullptr || b.rows != 1) return;
  const auto count = static_cast<int64_t>(field->values.size());
  if (count != b.length) {
    result.problems.push_back(
        "labels has " + std::to_string(count) + " entries for " + std::to_string(b.length) +
        " tokens: DataCollatorWithFlattening adds one for every empty feature");
    result.remedies.emplace_back("drop empty examples before they are packed");
    return;
  }
  if (!b.packed()) return;
  int64_t crossing = 0;
  int64_t begin = 0;
  for (const int64_t length : *b.intended->lengths) {
    if (begin > 0 && begin < count && length > 0 &&
        field->values[static_cast<std::size_t>(begin)] != kIgnoredLabel) {
      ++crossing;
    }
    begin += length;
  }
  if (crossing > 0) {
    result.problems.push_back(
        "labels: the last token of " + std::to_string(crossing) +
        " sequences is trained to predict the first token of the next (the loss shifts by one)");
    result.remedies.emplace_back("set the first label of every sequence to -100");
  }
}

/// Both names of one thing, where both are read by somebody.
void synonyms(const Batch& batch, const BatchBoundaries& b, Inspection& result) {
  const BatchField* q = find(batch, "cu_seq_lens_q");
  const BatchField* k = find(batch, "cu_seq_lens_k");
  if (q != nullptr && k != nullptr && q->values != k->values) {
    result.problems.emplace_back(
        "cu_seq_lens_q and cu_seq_lens_k differ: the delta rule follows q, attention both");
  }
  const BatchField* other = find(batch, "cu_seqlens");
  if (other != nullptr) {
    result.notes.emplace_back("cu_seqlens is no key of transformers: nothing there reads it");
    if (q != nullptr && other->values != q->values) {
      result.problems.emplace_back("cu_seqlens and cu_seq_lens_q differ");
    }
  }
  for (const char* key : {"max_length_q", "max_length_k"}) {
    const BatchField* longest = find(batch, key);
    if (longest == nullptr || !b.packed() || longest->values.empty()) continue;
    const int64_t needed = *std::ranges::max_element(*b.intended->lengths);
    if (longest->values[0] < needed) {
      result.problems.push_back(std::string(key) + " is " + std::to_string(longest->values[0]) +
                                ", the longest sequence has " + std::to_string(needed) +
                                " tokens: flash attention leaves the rest out");
    }
  }
}

void dtypes(const Batch& batch, const BatchBoundaries& b, Inspection& result) {
  const auto is_int64 = [](const std::string& dtype) {
    return dtype == "I64" || dtype == "i64" || dtype == "<i8" || dtype == "int64";
  };
  if (const BatchField* ids = find(batch, "seq_idx"); ids != nullptr && is_int64(ids->dtype)) {
    result.problems.push_back("seq_idx is " + ids->dtype + ": causal_conv1d takes int32 only");
    result.remedies.emplace_back("convert seq_idx to int32");
  }
  for (const char* key : {"cu_seq_lens_q", "cu_seq_lens_k"}) {
    const BatchField* field = find(batch, key);
    if (field == nullptr) continue;
    if (is_int64(field->dtype)) {
      result.problems.push_back(std::string(key) + " is " + field->dtype +
                                ": flash attention takes int32 only");
      result.remedies.push_back("convert " + std::string(key) + " to int32");
    }
    if (field->shape.size() != 1) {
      result.problems.push_back(std::string(key) + ": expected shape [N + 1] without a batch axis");
    }
  }
  const bool boundaries = std::ranges::any_of(
      kPackedKeys, [&](const char* key) { return find(batch, key) != nullptr; });
  if (b.rows > 1 && boundaries) {
    result.problems.push_back("boundaries of packed sequences with " + std::to_string(b.rows) +
                              " rows: packed batches have one row");
  }
}

/// Where the zeros of one row's mask stand.
void padding(const Batch& batch, const BatchBoundaries& b, Inspection& result) {
  const BatchField* mask = find(batch, "attention_mask");
  if (mask == nullptr || b.packed()) return;
  if (!is_per_token(*mask, b)) {
    result.problems.push_back("attention_mask: expected shape " + shape_text({b.rows, b.length}) +
                              ", found " + shape_text(mask->shape) +
                              ": delta-net layers take a 2-D mask only and see no padding");
    return;
  }
  bool right = false;
  bool holes = false;
  for (int64_t row = 0; row < b.rows; ++row) {
    const auto begin = mask->values.begin() + row * b.length;
    const auto end = begin + b.length;
    const auto first = std::find_if(begin, end, [](int64_t m) { return m != 0; });
    const auto gap = std::find(first, end, 0);
    const auto again = std::find_if(gap, end, [](int64_t m) { return m != 0; });
    holes = holes || again != end;
    right = right || (gap != end && again == end);
  }
  if (holes) {
    result.problems.emplace_back(
        "attention_mask has zeros between tokens: the delta-net state decays over them, which is "
        "not "
        "the sequence without them");
  }
  if (right) {
    result.notes.emplace_back(
        "right padding: outputs are exact, final states of delta-net layers are decayed and "
        "polluted (pad left before a generation)");
  }
}

}  // namespace

void find_traps(const Batch& batch, const BatchBoundaries& boundaries, Inspection& result) {
  labels(batch, boundaries, result);
  synonyms(batch, boundaries, result);
  dtypes(batch, boundaries, result);
  padding(batch, boundaries, result);
  for (const auto& [key, field] : batch) {
    const bool known = std::ranges::find(kKnownKeys, key) != std::end(kKnownKeys);
    if (!known) result.notes.push_back("'" + key + "' is no key of packing: not looked at");
  }
  if (boundaries.packed()) {
    if (!same_boundaries(boundaries.mask_rule, boundaries.flash_rule) &&
        boundaries.mask_rule.lengths.has_value()) {
      result.notes.emplace_back(
          "the two rules on position_ids disagree: eager and flash attention differ");
    }
    result.notes.emplace_back(
        "call the model with use_cache=False: with a cache object, eager and sdpa skip the packed "
        "mask");
    const std::vector<int64_t>& lengths = *boundaries.intended->lengths;
    const auto empty = std::ranges::count(lengths, 0);
    if (empty > 0) {
      result.notes.push_back(std::to_string(empty) +
                             " empty sequences: flash-linear-attention 0.4.2 corrupts the sequence "
                             "after an empty one");
    }
  }
}

}  // namespace packproof
