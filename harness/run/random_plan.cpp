#include "harness/run/random_plan.h"

#include "harness/core/case_field.h"
#include "harness/core/case_text.h"
#include "harness/run/plan.h"
#include "property_tests/generators/case_source.h"

#include <map>
#include <span>

namespace packproof {
namespace {

constexpr int64_t kMaxWork = int64_t{1} << 21;

std::string target_text(Op op, Direction direction) {
  return std::string(name_of(op)) + " " + std::string(name_of(direction));
}

/// "key=value" words of a case line.
std::map<std::string, std::string> words_of(const std::string& line) {
  std::map<std::string, std::string> words;
  std::size_t begin = 0;
  while (begin < line.size()) {
    const std::size_t end = std::min(line.find(' ', begin), line.size());
    const std::string word = line.substr(begin, end - begin);
    const std::size_t equal = std::min(word.find('='), word.size());
    if (!word.empty()) {
      words[word.substr(0, equal)] = word.substr(std::min(equal + 1, word.size()));
    }
    begin = end + 1;
  }
  return words;
}

/// The case with some fields fixed; drawn ones that these leave without a use give way.
Result<CaseSpec> with_fields(const CaseSpec& spec,
                             const std::map<std::string, std::string>& fixed) {
  std::map<std::string, std::string> words = words_of(to_text(spec));
  CaseSpec changed = spec;
  for (const CaseField& field : case_fields()) {
    const auto value = fixed.find(std::string(field.name));
    if (value != fixed.end()) (void)field.parse(value->second, changed);  // Wrong ones: below.
  }
  for (const CaseField& field : case_fields()) {
    if (!field.used(changed)) words.erase(std::string(field.name));
  }
  for (const auto& [name, value] : fixed) words[name] = value;
  std::string line;
  for (const auto& [name, value] : words) line += name + "=" + value + " ";
  return parse_case(line);
}

Status add_cases(const RandomPlanOptions& options, const Capability& capability,
                 std::vector<CaseSpec>& cases) {
  const std::map<std::string, std::string> fixed = words_of(options.fixed);
  const std::span<const GateRegime> gates = all_gate_regimes();
  const std::span<const LayoutClass> layouts = all_layout_classes();
  int64_t made = 0;
  for (int64_t turn = 0; made < options.count; ++turn) {
    const auto choice = static_cast<std::size_t>(turn);
    DrawRequest request;
    request.ops = {capability.op};
    request.direction = capability.direction;
    request.layout = layouts[choice % layouts.size()];
    // Shifted after every round, so that every layout meets every gate.
    request.gate = gates[(choice + choice / layouts.size()) % gates.size()];
    request.seed = options.seed * 1000003 + static_cast<uint64_t>(turn);
    request.max_tokens = options.max_tokens;
    request.max_work = kMaxWork;
    std::vector<CaseSpec> drawn;
    if (can_draw(capability.op, capability.direction, request.layout, options.max_tokens)) {
      drawn = draw_cases(request);
    }
    for (CaseSpec& spec : drawn) {
      // Shifted after every round of the gates, or even gates would never meet odd dtypes.
      spec.dtype = capability.case_dtype(static_cast<uint64_t>(made) +
                                         static_cast<uint64_t>(made) / gates.size());
      keep_to_declared_limits(capability, spec);
      // A fixed `ht` asks for final states of their own.
      if (spec.initial_state == StateInit::kPool && fixed.contains("ht")) {
        spec.initial_state = StateInit::kRandom;
      }
      PACKPROOF_TRY(CaseSpec chosen, with_fields(spec, fixed));
      cases.push_back(std::move(chosen));
      ++made;
    }
    if (made == 0 && choice + 1 >= layouts.size()) {
      return usage_error("--max-tokens: expected room for a case of " +
                         target_text(capability.op, capability.direction) + ", found " +
                         std::to_string(options.max_tokens));
    }
  }
  return {};
}

}  // namespace

Result<std::vector<CaseSpec>> make_random_plan(const RandomPlanOptions& options,
                                               const CandidateInfo& candidate) {
  std::vector<CaseSpec> cases;
  const bool every = options.directions.empty();
  for (const Op op : options.ops) {
    bool offered = false;
    for (const Direction direction : {Direction::kForward, Direction::kBackward}) {
      const Capability* capability = candidate.find(op, direction);
      bool wanted = every;
      for (const Direction chosen : options.directions) wanted = wanted || chosen == direction;
      if (!wanted || capability == nullptr) continue;
      offered = true;
      PACKPROOF_CHECK_OK(add_cases(options, *capability, cases));
    }
    if (!offered) {
      return usage_error("--op: expected an op that " + candidate.name + " offers, found " +
                         std::string(name_of(op)));
    }
  }
  return cases;
}

}  // namespace packproof
