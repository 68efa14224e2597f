#include "reference/tensor_census.h"

#include "harness/core/tensor.h"

#include <algorithm>
#include <utility>

namespace packproof::reference {
namespace {

/// "2 missing: a, b" after what `sentence` already holds; names beyond the fifth are counted.
void append_list(const std::vector<std::string>& names, const std::string& what,
                 std::string& sentence) {
  constexpr std::size_t kShown = 5;
  if (names.empty()) return;
  if (!sentence.empty()) sentence += "; ";
  sentence += std::to_string(names.size()) + " " + what + ": ";
  for (std::size_t i = 0; i < std::min(names.size(), kShown); ++i) {
    if (i > 0) sentence += ", ";
    sentence += names[i];
  }
  if (names.size() > kShown) {
    sentence += " and " + std::to_string(names.size() - kShown) + " more";
  }
}

}  // namespace

void TensorCensus::found(const std::string& name, std::vector<int64_t> shape) {
  found_[name] = std::move(shape);
}

void TensorCensus::expect(const std::string& name, std::vector<int64_t> shape) {
  expected_[name] = std::move(shape);
}

Status TensorCensus::check(const std::string& origin) const {
  std::vector<std::string> missing;
  std::vector<std::string> misshapen;
  std::vector<std::string> superfluous;
  for (const auto& [name, shape] : expected_) {
    const auto entry = found_.find(name);
    if (entry == found_.end()) {
      missing.push_back(name);
    } else if (entry->second != shape) {
      misshapen.push_back(name + " (expected " + shape_text(shape) + ", found " +
                          shape_text(entry->second) + ")");
    }
  }
  for (const auto& [name, shape] : found_) {
    if (!expected_.contains(name)) superfluous.push_back(name);
  }
  std::string sentence;
  append_list(missing, "missing", sentence);
  append_list(misshapen, "of another shape", sentence);
  append_list(superfluous, "unknown", sentence);
  if (sentence.empty()) return {};
  return invalid_input(origin + ": expected exactly the model's tensors, found " + sentence);
}

}  // namespace packproof::reference
