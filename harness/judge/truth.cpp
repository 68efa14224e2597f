#include "harness/judge/truth.h"

#include <algorithm>

namespace packproof {
namespace {

/// B * T of the batch: of input_ids, or of what else has a row of numbers per token.
int64_t rows_of_batch(const TensorMap& batch) {
  for (const char* name : {"input_ids", "labels", "attention_mask", "seq_idx"}) {
    if (const auto found = batch.find(name); found != batch.end() && found->second.rank() == 2) {
      return found->second.numel();
    }
  }
  if (const auto found = batch.find("inputs_embeds"); found != batch.end()) {
    const Tensor& embeds = found->second;
    return embeds.rank() == 3 ? embeds.dim(0) * embeds.dim(1) : -1;
  }
  if (const auto found = batch.find("position_ids"); found != batch.end()) {
    const Tensor& positions = found->second;
    if (positions.rank() == 2) return positions.numel();
    if (positions.rank() == 3) return positions.dim(1) * positions.dim(2);
  }
  return -1;
}

/// Rows of the batch as sequences of their own, from whichever tensor is [B, T].
int64_t batch_size(const TensorMap& batch) {
  for (const char* name : {"input_ids", "labels", "attention_mask", "seq_idx", "inputs_embeds"}) {
    if (const auto found = batch.find(name); found != batch.end() && found->second.rank() >= 2) {
      return found->second.dim(0);
    }
  }
  const auto positions = batch.find("position_ids");
  return positions == batch.end() ? 1 : positions->second.dim(positions->second.rank() - 2);
}

Error about(const std::string& name, const Error& error) {
  return {error.code, "the batch's " + name + ": " + error.message};
}

/// What every entry of the batch says, in the order in which they are believed.
Result<std::vector<Sequences>> sources_of(const TensorMap& batch, int64_t rows) {
  std::vector<Sequences> sources;
  const auto add = [&](const char* name, auto&& read) -> Status {
    const auto found = batch.find(name);
    if (found == batch.end()) return {};
    Result<Sequences> sequences = read(found->second);
    if (!sequences.ok()) return about(name, sequences.error());
    if (sequences->rows != rows) {
      return about(name, invalid_input("expected " + std::to_string(rows) + " tokens, found " +
                                       std::to_string(sequences->rows)));
    }
    sequences->source = std::string(name) + " of the batch";
    sources.push_back(std::move(*sequences));
    return {};
  };
  for (const char* name : {"cu_seq_lens_q", "cu_seqlens"}) {
    PACKPROOF_CHECK_OK(add(name, [&](const Tensor& t) { return sequences_of_offsets(t, rows); }));
  }
  PACKPROOF_CHECK_OK(add("seq_idx", [](const Tensor& t) { return sequences_of_ids(t, 0); }));
  PACKPROOF_CHECK_OK(add("position_ids", sequences_of_positions));
  // Some packers number the sequences of a row in its mask: 1, 1, 2, 2, 2.
  const auto mask = batch.find("attention_mask");
  if (mask != batch.end() && mask->second.rank() == 2) {
    PACKPROOF_CHECK_OK(
        add("attention_mask", [](const Tensor& t) { return sequences_of_ids(t, 1); }));
  }
  return sources;
}

/// Whether both keep the same tokens apart, whatever padding or empty sequences they count.
bool agree(const Sequences& a, const Sequences& b) {
  return !first_disagreement(a, b).has_value() && !first_disagreement(b, a).has_value();
}

std::string sentence_of(const Sequences& sequences) {
  return "sequences: " + std::to_string(sequences.spans.size()) + " of lengths " +
         lens_text(sequences) + ", from " + sequences.source;
}

Result<Truth> truth_of_batch(const TensorMap& batch, int64_t rows) {
  PACKPROOF_TRY(const std::vector<Sequences> sources, sources_of(batch, rows));
  const int64_t batch_rows = batch_size(batch);
  Truth truth;
  truth.sequences = sequences_of_rows(batch_rows, rows / std::max<int64_t>(batch_rows, 1));
  truth.sequences.source = "the rows of the batch, which holds no boundaries";
  for (const Sequences& source : sources) {
    if (source.non_empty() <= batch_rows) continue;
    truth.sequences = source;
    break;
  }
  const auto mask = batch.find("attention_mask");
  if (mask != batch.end() && mask->second.numel() == rows) {
    truth.sequences = without_padding(truth.sequences, mask->second);
  }
  truth.notes.push_back(sentence_of(truth.sequences));
  for (const Sequences& source : sources) {
    if (source.non_empty() > batch_rows && !agree(truth.sequences, source)) {
      truth.notes.push_back(source.source + " says otherwise: lengths " + lens_text(source) +
                            " (packproof inspect compares all of them)");
    }
  }
  return truth;
}

}  // namespace

Result<Sequences> Truth::of_call(int64_t batch, int64_t length) const {
  if (sequences.source.empty() || length == 1) return sequences_of_rows(batch, length);
  const int64_t rows = batch * length;
  if (rows == sequences.rows) return sequences;
  if (rows == sequences.tokens()) return compressed(sequences);
  return invalid_input("it has " + std::to_string(rows) + " rows, the batch has " +
                       std::to_string(sequences.rows) + ": capture one batch at a time");
}

Result<Truth> find_truth(const TensorMap& batch, std::span<const MappedCall> calls) {
  if (const int64_t rows = rows_of_batch(batch); rows >= 0) return truth_of_batch(batch, rows);
  const MappedCall* most = nullptr;
  for (const MappedCall& call : calls) {
    if (!call.given || call.received.non_empty() <= call.batch) continue;
    if (most == nullptr || call.received.non_empty() > most->received.non_empty()) most = &call;
  }
  Truth truth;
  if (most == nullptr) {
    truth.notes.emplace_back(
        "nothing in the file says where sequences begin (capture(.., batch=batch) records the "
        "batch): every row of a call counts as one sequence");
    return truth;
  }
  truth.sequences = most->received;
  truth.sequences.source = "the " + most->metadata + " that one of the calls received";
  truth.notes.push_back(sentence_of(truth.sequences));
  return truth;
}

}  // namespace packproof
