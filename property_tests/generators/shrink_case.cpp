#include "harness/core/case_text.h"
#include "property_tests/generators/case_source.h"
#include "property_tests/generators/shrink_stages.h"

#include <set>
#include <string>

namespace packproof {
namespace {

/// Tries candidates within the limits and keeps what still fails.
class Shrinker {
 public:
  Shrinker(const CaseSpec& failing, const std::function<bool(const CaseSpec&)>& still_fails,
           const ShrinkLimits& limits)
      : still_fails_(still_fails),
        max_tries_(limits.max_tries),
        deadline_(std::chrono::steady_clock::now() + limits.time_limit) {
    result_.spec = failing;
    tried_.insert(to_text(failing));
  }

  ShrinkResult run() {
    bool improved = true;
    while (improved && !limit_met_) {
      improved = false;
      for (const ShrinkStage stage : shrink_stages()) {
        while (improve(stage)) improved = true;
      }
    }
    result_.complete = !limit_met_;
    return result_;
  }

 private:
  /// True if a candidate of the stage replaced the case.
  bool improve(ShrinkStage stage) {
    for (const CaseSpec& candidate : stage(result_.spec)) {
      if (!validate(candidate).ok() || !tried_.insert(to_text(candidate)).second) continue;
      if (result_.tries >= max_tries_ || std::chrono::steady_clock::now() >= deadline_) {
        limit_met_ = true;
        return false;
      }
      ++result_.tries;
      if (!still_fails_(candidate)) continue;
      ++result_.accepted;
      result_.spec = candidate;
      return true;
    }
    return false;
  }

  const std::function<bool(const CaseSpec&)>& still_fails_;
  int64_t max_tries_;
  std::chrono::steady_clock::time_point deadline_;
  ShrinkResult result_;
  std::set<std::string> tried_;
  bool limit_met_ = false;
};

}  // namespace

ShrinkResult shrink_case(const CaseSpec& failing,
                         const std::function<bool(const CaseSpec&)>& still_fails,
                         const ShrinkLimits& limits) {
  return Shrinker(failing, still_fails, limits).run();
}

}  // namespace packproof
