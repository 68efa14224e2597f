#pragma once

#include "harness/golden/run.h"

#include <filesystem>
#include <string>

namespace packproof {

/// The part of the provenance that a run does not know.
struct GoldenStamp {
  std::string packproof;  ///< Version.
  std::string reason;
  std::string date;  ///< Empty: today (UTC).
};

/// Runs a case and writes its golden file. Refused when the candidate gives no outputs or one of
/// them is outside its budget - a golden is a conforming result - and when `out` exists.
Status record_golden(const std::string& case_line, Candidate& candidate,
                     const reference::Reference& reference, const GoldenStamp& stamp,
                     const std::filesystem::path& out, const CallOptions& options = {});

/// Writes the golden of a checkpoint folder: the reference's logits of a packed batch. The folder
/// is stored relative to the golden file.
Status record_model_golden(const std::filesystem::path& folder,
                           const reference::Reference& reference, const GoldenStamp& stamp,
                           const std::filesystem::path& out);

/// Runs the case of an intact golden again and replaces its outputs, allowances and provenance.
/// Needs a reason; the caller checks the tree once with `require_clean_tree`.
Status bless_golden(const std::filesystem::path& path, const GoldenSubjects& subjects,
                    const GoldenStamp& stamp);

/// Fails unless `folder` lies in a git work tree without changes, so that a blessing is a commit of
/// its own: names the first change found.
Status require_clean_tree(const std::filesystem::path& folder);

}  // namespace packproof
