#include "harness/truth/tally.h"

#include "harness/oracle/compare.h"

#include <utility>

namespace packproof {

std::vector<std::string> OracleTally::below(const std::string& prefix) const {
  const std::string start = prefix + "/";
  std::vector<std::string> paths;
  for (auto it = stored_.lower_bound(start); it != stored_.end(); ++it) {
    if (!it->first.starts_with(start)) break;
    paths.push_back(it->first.substr(start.size()));
  }
  return paths;
}

std::vector<std::string> OracleTally::groups() const {
  std::vector<std::string> names;
  for (const auto& [path, tensor] : stored_) {
    std::string name = path.substr(0, path.find('/'));
    if (names.empty() || names.back() != name) names.push_back(std::move(name));
  }
  return names;
}

Result<Tensor> OracleTally::input(const std::string& path, int64_t rank) {
  const auto found = stored_.find(path);
  if (found == stored_.end())
    return invalid_input(file_ + ": expected the tensor '" + path + "', found none");
  inputs_.insert(path);
  if (found->second.rank() != rank)
    return invalid_input(file_ + ": expected " + std::to_string(rank) + " axes of '" + path +
                         "', found shape " + shape_text(found->second.shape()));
  return found->second;
}

OracleRow OracleTally::judge(const std::string& path, const Tensor& computed,
                             const std::string& way, double bar) const {
  const Tensor& stored = stored_.at(path);
  OracleRow row{file_, path, way, OracleStatus::kAbove, 0.0, bar, ""};
  if (stored.shape() != computed.shape()) {
    row.note =
        "stored shape " + shape_text(stored.shape()) + ", computed " + shape_text(computed.shape());
    return row;
  }
  row.error = relative_norm(computed, stored);
  // The comparison is false for NaN, which therefore stays above.
  if (row.error <= bar) row.status = OracleStatus::kWithin;
  return row;
}

void OracleTally::compare(const std::string& path, const Tensor& computed, const std::string& way,
                          double bar) {
  if (!has(path)) return;
  compared_.insert(path);
  ways_.emplace(path, way);
  rows_.push_back(judge(path, computed, way, bar));
}

void OracleTally::report(const std::string& path, const Tensor& computed, const std::string& way,
                         double bar, const std::string& note) {
  if (!has(path)) return;
  compared_.insert(path);
  OracleRow row = judge(path, computed, way, bar);
  // A wrong shape is no rounding: it stays above.
  if (row.note.empty()) row.status = OracleStatus::kReported;
  if (row.note.empty()) row.note = note;
  rows_.push_back(std::move(row));
}

void OracleTally::skip(const std::string& prefix, const std::string& way,
                       const std::string& reason) {
  std::vector<std::string> paths;
  if (has(prefix)) paths.push_back(prefix);
  for (const std::string& path : below(prefix)) paths.push_back(prefix + "/" + path);
  for (const std::string& path : paths) {
    if (inputs_.contains(path) || ways_.contains({path, way})) continue;
    skipped_.insert(path);
    rows_.push_back({file_, path, way, OracleStatus::kSkipped, 0.0, 0.0, reason});
  }
}

void OracleTally::finish(OracleReport& report) {
  for (const auto& [path, tensor] : stored_) {
    if (!inputs_.contains(path) && !compared_.contains(path) && !skipped_.contains(path))
      rows_.push_back({file_, path, "", OracleStatus::kSkipped, 0.0, 0.0,
                       "no computation of packproof yields a tensor of this name"});
  }
  OracleFile file;
  file.name = file_;
  file.inputs = static_cast<int64_t>(inputs_.size());
  file.truths = static_cast<int64_t>(stored_.size() - inputs_.size());
  file.compared = static_cast<int64_t>(compared_.size());
  report.files.push_back(file);
  for (OracleRow& row : rows_) report.rows.push_back(std::move(row));
}

}  // namespace packproof
