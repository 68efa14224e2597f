#include "harness/truth/op_cases.h"

#include "harness/core/packing.h"

#include <set>
#include <string>
#include <vector>

namespace packproof {

namespace {

using reference::OpResult;
using reference::Reference;

/// The call under construction; inputs keep the oracle's f64 values.
class CallDraft {
 public:
  CallDraft(OracleTally& tally, std::string group, Op op, Direction direction)
      : tally_(tally), group_(std::move(group)) {
    call_.op = op;
    call_.direction = direction;
  }

  /// A stored tensor as the input of the same name.
  Status add(const std::string& name, int64_t rank) {
    PACKPROOF_TRY(Tensor tensor, tally_.input(group_ + "/" + name, rank));
    call_.inputs.insert_or_assign(name, std::move(tensor));
    return {};
  }

  /// A stored [T, ...] tensor as the [1, T, ...] rows of a pack.
  Status add_tokens(const std::string& name, int64_t rank) {
    PACKPROOF_TRY(const Tensor tensor, tally_.input(group_ + "/" + name, rank));
    std::vector<int64_t> shape = tensor.shape();
    shape.insert(shape.begin(), 1);
    call_.inputs.insert_or_assign(name, tensor.reshaped(shape));
    return {};
  }

  Status add_boundaries() {
    PACKPROOF_TRY(const Tensor lens, tally_.input(group_ + "/lens", 1));
    std::vector<int64_t> lengths;
    for (int64_t n = 0; n < lens.numel(); ++n) lengths.push_back(lens.int_at(n));
    PACKPROOF_TRY(const Packing packing, Packing::from_lengths(lengths));
    call_.inputs.insert_or_assign("cu_seqlens", packing.cu_seqlens_tensor(DType::kI32));
    call_.attributes.max_seqlen = packing.max_seqlen();
    return {};
  }

  void output(const std::string& name, std::vector<int64_t> shape) {
    call_.outputs[name] = {DType::kF64, std::move(shape), {}};
  }

  /// The gradient of an input, shaped like it.
  void gradient(const std::string& name) { output("d_" + name, call_.input(name).shape()); }

  const Tensor& input(const std::string& name) const { return call_.input(name); }

  OpCall& call() { return call_; }

 private:
  OracleTally& tally_;
  std::string group_;
  OpCall call_;
};

/// Evaluates and hands every output to `compare(name, values)`.
template <typename Compare>
Status evaluate(const Reference& reference, const OpCall& call, const Compare& compare) {
  PACKPROOF_TRY(const OpResult result, reference.evaluate(call));
  for (const auto& [name, values] : result.outputs) compare(name, values);
  return {};
}

/// The computed tensor with the stored one's number of axes: [1, T, ...] to [T, ...].
Tensor without_batch(const Tensor& values, bool tokens) {
  if (!tokens) return values;
  return values.reshaped({values.shape().begin() + 1, values.shape().end()});
}

Result<CallDraft> delta_rule(OracleTally& tally, const std::string& group, Op op,
                             Direction direction) {
  CallDraft draft(tally, group, op, direction);
  for (const char* name : {"q", "k", "v"}) PACKPROOF_CHECK_OK(draft.add_tokens(name, 3));
  for (const char* name : {"g", "beta"}) PACKPROOF_CHECK_OK(draft.add_tokens(name, 2));
  PACKPROOF_CHECK_OK(draft.add("initial_state", 4));
  PACKPROOF_CHECK_OK(draft.add_boundaries());
  if (direction == Direction::kForward) {
    draft.output("output", draft.input("v").shape());
    draft.output("final_state", draft.input("initial_state").shape());
    return draft;
  }
  PACKPROOF_CHECK_OK(draft.add_tokens("d_output", 3));
  PACKPROOF_CHECK_OK(draft.add("d_final_state", 4));
  for (const char* name : {"q", "k", "v", "g", "beta", "initial_state"}) draft.gradient(name);
  return draft;
}

Status walk_delta_rule(const Reference& reference, OracleTally& tally, const std::string& group,
                       Op op, const std::string& way) {
  PACKPROOF_TRY(CallDraft forward, delta_rule(tally, group, op, Direction::kForward));
  PACKPROOF_CHECK_OK(
      evaluate(reference, forward.call(), [&](const std::string& name, const Tensor& values) {
        const Tensor result = without_batch(values, name == "output");
        tally.compare(group + "/" + name, result, way, kForwardBar);
        tally.compare(group + "/" + name + "_recurrent", result, way, kForwardBar);
      }));
  PACKPROOF_TRY(CallDraft backward, delta_rule(tally, group, op, Direction::kBackward));
  return evaluate(reference, backward.call(), [&](const std::string& name, const Tensor& values) {
    tally.compare(group + "/grad/" + name.substr(2),
                  without_batch(values, name != "d_initial_state"), way, kGradientBar);
  });
}

Result<CallDraft> conv(OracleTally& tally, const std::string& group, Direction direction) {
  CallDraft draft(tally, group, Op::kCausalConv1d, direction);
  const bool bias = tally.has(group + "/bias");
  PACKPROOF_CHECK_OK(draft.add_tokens("x", 2));
  PACKPROOF_CHECK_OK(draft.add("weight", 2));
  if (bias) PACKPROOF_CHECK_OK(draft.add("bias", 1));
  PACKPROOF_CHECK_OK(draft.add_boundaries());
  if (direction == Direction::kForward) {
    draft.output("output", draft.input("x").shape());
    return draft;
  }
  PACKPROOF_CHECK_OK(draft.add_tokens("d_output", 2));
  draft.gradient("x");
  draft.gradient("weight");
  if (bias) draft.gradient("bias");
  return draft;
}

Result<CallDraft> norm(OracleTally& tally, const std::string& group, Direction direction) {
  CallDraft draft(tally, group, Op::kGatedRmsNorm, direction);
  for (const char* name : {"x", "z"}) PACKPROOF_CHECK_OK(draft.add(name, 2));
  PACKPROOF_CHECK_OK(draft.add("weight", 1));
  if (direction == Direction::kForward) {
    draft.output("output", draft.input("x").shape());
    return draft;
  }
  PACKPROOF_CHECK_OK(draft.add("d_output", 2));
  for (const char* name : {"x", "z", "weight"}) draft.gradient(name);
  return draft;
}

/// Forward and backward of an op whose token tensors (`tokens` by output name) drop the batch axis.
Status walk_simple_op(const Reference& reference, OracleTally& tally, const std::string& group,
                      Result<CallDraft> (*draft)(OracleTally&, const std::string&, Direction),
                      const std::set<std::string>& tokens) {
  PACKPROOF_TRY(CallDraft forward, draft(tally, group, Direction::kForward));
  PACKPROOF_CHECK_OK(
      evaluate(reference, forward.call(), [&](const std::string& name, const Tensor& values) {
        tally.compare(group + "/" + name, without_batch(values, tokens.contains(name)), "packed",
                      kForwardBar);
      }));
  PACKPROOF_TRY(CallDraft backward, draft(tally, group, Direction::kBackward));
  return evaluate(reference, backward.call(), [&](const std::string& name, const Tensor& values) {
    tally.compare(group + "/grad/" + name.substr(2), without_batch(values, tokens.contains(name)),
                  "packed", kGradientBar);
  });
}

/// "gated_delta_rule/a_slow" of every path of that depth below `op`, each once.
std::set<std::string> cases_of(const OracleTally& tally, const std::string& op) {
  std::set<std::string> groups;
  for (const std::string& path : tally.below(op))
    if (const std::size_t slash = path.find('/'); slash != std::string::npos)
      groups.insert(op + "/" + path.substr(0, slash));
  return groups;
}

}  // namespace

void walk_op_cases(const Reference& reference, OracleTally& tally, const OracleProgress& progress) {
  const auto keep = [&tally](const Status& status, const std::string& group,
                             const std::string& way) {
    if (!status.ok()) tally.skip(group, way, status.error().message);
  };
  const auto step = [&](const std::string& group) {
    if (progress) progress(tally.file() + " " + group);
  };
  for (const std::string& group : cases_of(tally, "gated_delta_rule")) {
    step(group);
    keep(walk_delta_rule(reference, tally, group, Op::kRecurrentGatedDeltaRule, "recurrent op"),
         group, "recurrent op");
    keep(walk_delta_rule(reference, tally, group, Op::kChunkGatedDeltaRule, "chunk op"), group,
         "chunk op");
  }
  for (const std::string& group : cases_of(tally, "causal_conv1d")) {
    step(group);
    keep(walk_simple_op(reference, tally, group, conv, {"output", "d_x"}), group, "packed");
  }
  if (!tally.below("gated_rms_norm").empty()) {
    step("gated_rms_norm");
    keep(walk_simple_op(reference, tally, "gated_rms_norm", norm, {}), "gated_rms_norm", "packed");
  }
}

}  // namespace packproof
