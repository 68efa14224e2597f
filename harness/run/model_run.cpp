#include "harness/run/model_run.h"

namespace packproof {
namespace {

/// Copies the rows of one forward call behind those that stand there already.
void append_rows(const Tensor& rows, int64_t begin, Tensor& all) {
  const int64_t per_row = all.dim(1);
  for (int64_t i = 0; i < rows.numel(); ++i) all.set(begin * per_row + i, rows.at(i));
}

/// Adds the rows of `output` to a run of `tokens` tokens, from row `begin` on.
void add_output(const reference::ModelOutput& output, int64_t tokens, int64_t begin,
                ModelRun& run) {
  if (run.hidden_states.empty()) {
    for (const Tensor& states : output.hidden_states) {
      run.hidden_states.emplace_back(DType::kF64, std::vector<int64_t>{tokens, states.dim(2)});
    }
    run.logits = Tensor(DType::kF64, {tokens, output.logits.dim(2)});
  }
  for (std::size_t layer = 0; layer < run.hidden_states.size(); ++layer) {
    append_rows(output.hidden_states[layer], begin, run.hidden_states[layer]);
  }
  append_rows(output.logits, begin, run.logits);
}

}  // namespace

ReferenceCandidate::ReferenceCandidate(const reference::Reference& reference)
    : reference_(reference) {
  info_.name = "reference";
}

CallResult ReferenceCandidate::call(const OpCall& call, const CallOptions&) {
  CallResult result;
  Result<reference::OpResult> value = reference_.evaluate(call, {.bounds = false});
  if (!value.ok()) {
    result.status = CallStatus::kInvalidArgument;
    result.message = value.error().message;
    return result;
  }
  for (const auto& [name, spec] : call.outputs) {
    result.outputs[name] = value->outputs.at(name).to(spec.dtype);
  }
  return result;
}

Result<ModelRun> run_alone(const reference::Model& model, const Packing& packing,
                           const Tensor& input_ids, const reference::OpHook& hook) {
  ModelRun run;
  for (int64_t n = 0; n < packing.num_seqs(); ++n) {
    if (packing.length(n) == 0) continue;
    reference::ModelBatch batch;
    batch.input_ids = input_ids.slice(1, packing.begin(n), packing.begin(n) + packing.length(n));
    PACKPROOF_TRY(const reference::ModelOutput output,
                  model.forward(batch, {.hidden_states = true, .hook = hook}));
    add_output(output, packing.total_tokens(), packing.begin(n), run);
  }
  return run;
}

Result<ModelRun> run_packed(const reference::Model& model, const Packing& packing,
                            const Tensor& input_ids, const reference::OpHook& hook) {
  reference::ModelBatch batch;
  batch.input_ids = input_ids;
  batch.position_ids = packing.position_ids_tensor();
  batch.cu_seqlens.assign(packing.cu_seqlens().begin(), packing.cu_seqlens().end());
  PACKPROOF_TRY(const reference::ModelOutput output,
                model.forward(batch, {.hidden_states = true, .hook = hook}));
  ModelRun run;
  add_output(output, packing.total_tokens(), 0, run);
  return run;
}

}  // namespace packproof
