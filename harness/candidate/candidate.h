#pragma once

#include "harness/candidate/capability.h"
#include "harness/core/op_call.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace packproof {

struct CandidateInfo {
  std::string name;
  std::string version;
  std::string device;    ///< "host", "cuda", or the program's own word.
  std::string identity;  ///< SHA-256 of the library or program; empty when unknown.
  std::vector<Capability> capabilities;
  bool bitwise_pack_invariant = false;   ///< Promised: packed == alone, bit for bit.
  bool memory_checked = false;           ///< Guards and input hashes of CallResult are meaningful.
  std::vector<std::string> notes;        ///< Sentences the report shows first.
  std::vector<std::string> model_modes;  ///< What `forward_model` takes; empty: no whole models.

  const Capability* find(Op op, Direction direction) const;
};

enum class CallStatus : uint8_t {
  kOk,
  kNotSupported,        ///< Refused with a sentence before any work.
  kInvalidArgument,     ///< The candidate says that the call contradicts the contract.
  kUndefinedBehaviour,  ///< Host execution found what CUDA calls undefined.
  kDeviceError,
  kCrash,        ///< The process died during the call.
  kTimeout,      ///< No answer within the time limit; the process was killed.
  kGarbage,      ///< The answer was not a frame of the protocol, or named wrong tensors.
  kWrongCase,    ///< The answer belongs to another request.
  kStartFailed,  ///< The process could not be started (again).
};

std::string_view name_of(CallStatus status);

/// What guards and hashes around the call's buffers found.
struct MemoryReport {
  std::vector<std::string> written_outside;  ///< Buffers whose guard zones or gaps changed.
  std::vector<std::string> inputs_modified;  ///< Inputs whose bytes changed.
  bool floating_point_mode_changed = false;  ///< The library left MXCSR altered.
};

struct CallOptions {
  std::byte poison{0xFF};      ///< Every output byte before the call (0xFF.. is NaN for floats).
  uint64_t schedule_seed = 0;  ///< Host execution: thread order; 0 is natural.
  int64_t repeats = 1;  ///< Timing: as many runs; `CallResult::seconds` is the median of theirs.
  int64_t rotations =
      1;                ///< Timing: runs take turns on so many copies of the buffers, caches cold.
  bool replay = false;  ///< Timing: recorded once (a CUDA graph) and replayed.
  std::chrono::milliseconds time_limit{60000};
};

struct CallResult {
  CallStatus status = CallStatus::kOk;
  std::string message;  ///< One sentence unless ok.
  std::string variant;  ///< The kernel variant that ran.
  TensorMap outputs;    ///< With the strides of the call's OutputSpec.
  MemoryReport memory;
  double seconds = 0.0;  ///< Spent inside the candidate's kernel, by its own clock; 0 when unknown.
};

/// A checkpoint's folder and one batch, for a candidate that runs whole models by itself.
struct ModelCall {
  std::string folder;
  DType dtype = DType::kF32;
  std::string mode;        ///< Which metadata the model receives: PROTOCOL.md, model_forward.
  TensorMap inputs;        ///< input_ids i64 [1, T], cu_seqlens i64 [N + 1].
  bool gradients = false;  ///< Asks for the gradients of the loss too.
};

/// Anything that can be judged. Every check goes through this interface.
class Candidate {
 public:
  virtual ~Candidate() = default;
  virtual const CandidateInfo& info() const = 0;

  /// Never throws and never hangs longer than the time limit.
  virtual CallResult call(const OpCall& call, const CallOptions& options) = 0;

  /// Rows of valid tokens in packed order: logits [T, vocabulary], hidden_states.LL [T, D] from the
  /// embeddings on, loss [1] if there is one; when asked, the loss's gradients: grad_inputs_embeds
  /// [T, D] and grad.NAME of every parameter by its checkpoint name; f32.
  virtual CallResult forward_model(const ModelCall& call, const CallOptions& options);
};

}  // namespace packproof
