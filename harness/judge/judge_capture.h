#pragma once

#include "harness/core/outcome.h"
#include "harness/judge/capture_file.h"
#include "reference/reference.h"

#include <functional>
#include <string>
#include <vector>

namespace packproof {

struct CaptureVerdict {
  std::vector<CaseResult> calls;   ///< "causal_conv1d call=0 layer=0 function=module:name".
  std::vector<std::string> notes;  ///< What a reader must know before the verdict.
};

/// Judges every call of a captured step (judge_call.h); one that cannot be judged is NOT_SUPPORTED
/// with its sentence. `progress` is told how many calls are done. kInvalidInput for a batch that
/// contradicts itself.
Result<CaptureVerdict> judge_capture(const Capture& capture, const reference::Reference& reference,
                                     const std::function<void(int64_t)>& progress);

}  // namespace packproof
