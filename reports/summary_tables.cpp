#include "reports/summary_tables.h"

#include "reports/text_layout.h"
#include "reports/utf8.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>
#include <vector>

namespace packproof {
namespace {

constexpr std::size_t kNumberColumns = 7;
constexpr std::size_t kShareColumns = 13;
constexpr int64_t kBarCells = 10;

void append_heading(std::string_view heading, const TerminalStyle& style, std::string& text) {
  text += "\n" + painted(style, Paint::kBold, heading) + "\n";
}

std::size_t widest_operation(const RunTally& run) {
  std::size_t width = std::string_view("operation").size();
  for (const auto& [operation, tally] : run.operations) {
    width = std::max(width, utf8_length(operation));
  }
  return width;
}

/// A zero is a quiet dash, so that other numbers stand out.
std::string cell(int64_t count, Paint paint, const TerminalStyle& style) {
  const std::string text = right_aligned(count == 0 ? "-" : grouped(count), kNumberColumns);
  return painted(style, count == 0 ? Paint::kDim : paint, text);
}

std::string share_bar(double share, const TerminalStyle& style) {
  const double shown = std::isnan(share) ? 1.0 : std::clamp(share, 0.0, 1.0);
  const auto filled = static_cast<int64_t>(std::ceil(shown * static_cast<double>(kBarCells)));
  std::string full;
  std::string rest;
  for (int64_t i = 0; i < kBarCells; ++i) {
    (i < filled ? full : rest) +=
        style.unicode ? (i < filled ? "━" : "─") : (i < filled ? "#" : ".");
  }
  const bool within = share <= 1.0;
  return painted(style, within ? Paint::kGood : Paint::kBad, full) +
         painted(style, Paint::kDim, rest);
}

std::string operation_row(const std::string& operation, const OperationTally& tally,
                          std::size_t name_columns, const TerminalStyle& style) {
  std::string row = "  " + left_aligned(operation, name_columns);
  row += cell(tally.cases, Paint::kPlain, style) + cell(tally.passed, Paint::kPlain, style) +
         cell(tally.nonconforming, Paint::kBad, style) +
         cell(tally.others(), Paint::kCaution, style);
  std::size_t used = 2 + name_columns + 4 * kNumberColumns;
  const auto columns = static_cast<std::size_t>(style.columns);
  const std::string share = right_aligned(share_text(tally.worst_budget), kShareColumns);
  const bool beyond = !(tally.worst_budget <= 1.0);
  row += painted(style, beyond ? Paint::kBad : Paint::kPlain, share);
  used += kShareColumns;
  if (tally.worst_check.empty()) return row;
  const std::size_t check_columns = utf8_length(tally.worst_check);
  if (used + 2 + kBarCells + 2 + check_columns <= columns) {
    row += "  " + share_bar(tally.worst_budget, style);
    used += 2 + kBarCells;
  }
  if (used + 2 + check_columns <= columns) {
    row += "  " + painted(style, Paint::kDim, tally.worst_check);
  }
  return row;
}

enum class Strength { kEqual, kBounded, kBroken };

Strength strength_of(const RelationTally& relation) {
  if (relation.failed > 0) return Strength::kBroken;
  return relation.worst_budget == 0.0 ? Strength::kEqual : Strength::kBounded;
}

/// The relations of one operation that have this strength: "alone (48)", "permuted 3.1 % (12)".
std::vector<std::string> relations_of(const RunTally& run, const std::string& operation,
                                      Strength strength) {
  std::vector<std::string> items;
  for (const auto& [check, by_operation] : run.relations) {
    const auto entry = by_operation.find(operation);
    if (entry == by_operation.end() || strength_of(entry->second) != strength) continue;
    const RelationTally& relation = entry->second;
    std::string& item = items.emplace_back(check);
    if (strength == Strength::kBounded) item += " " + share_text(relation.worst_budget);
    item += " (";
    if (strength == Strength::kBroken) item += grouped(relation.failed) + " of ";
    item += grouped(relation.cases) + ")";
  }
  return items;
}

}  // namespace

void append_operations(const RunTally& run, const TerminalStyle& style, std::string& text) {
  if (run.operations.empty()) return;
  const std::size_t name_columns = widest_operation(run);
  std::string heading = left_aligned("operation", name_columns + 2);
  for (const std::string_view name : {"cases", "passed", "failed", "other"}) {
    heading += right_aligned(name, kNumberColumns);
  }
  heading += right_aligned("worst budget", kShareColumns);
  append_heading(heading, style, text);
  OperationTally all;
  for (const auto& [operation, tally] : run.operations) {
    text += operation_row(operation, tally, name_columns, style) + "\n";
    all.cases += tally.cases;
    all.passed += tally.passed;
    all.nonconforming += tally.nonconforming;
  }
  if (run.operations.size() < 2) return;
  text += "  " + left_aligned("all", name_columns) + cell(all.cases, Paint::kPlain, style) +
          cell(all.passed, Paint::kPlain, style) + cell(all.nonconforming, Paint::kBad, style) +
          cell(all.others(), Paint::kCaution, style) + "\n";
}

void append_strength(const RunTally& run, const TerminalStyle& style, std::string& text) {
  if (run.relations.empty()) return;
  append_heading("observed strength (cases)", style, text);
  const std::vector<std::pair<Strength, std::string_view>> kinds{
      {Strength::kEqual, "equal"}, {Strength::kBounded, "bounded"}, {Strength::kBroken, "broken"}};
  constexpr std::size_t kKindColumns = 9;
  const std::size_t name_columns = widest_operation(run) + 2;
  const std::size_t indent = 2 + name_columns + kKindColumns;
  for (const auto& [operation, tally] : run.operations) {
    std::string name = operation;
    for (const auto& [strength, kind] : kinds) {
      const std::vector<std::string> items = relations_of(run, operation, strength);
      if (items.empty()) continue;
      const std::string lines =
          wrapped_list(items, indent, static_cast<std::size_t>(style.columns));
      const Paint paint = strength == Strength::kBroken ? Paint::kBad : Paint::kDim;
      text += "  " + left_aligned(name, name_columns) +
              painted(style, paint, left_aligned(kind, kKindColumns)) + lines.substr(indent);
      name.clear();
    }
  }
}

void append_variants(const RunTally& run, const TerminalStyle& style, std::string& text) {
  const bool any = std::ranges::any_of(
      run.operations, [](const auto& entry) { return !entry.second.variants.empty(); });
  if (!any) return;
  append_heading("kernel variants (cases)", style, text);
  const std::size_t name_columns = widest_operation(run) + 2;
  const std::size_t indent = 2 + name_columns;
  for (const auto& [operation, tally] : run.operations) {
    if (tally.variants.empty()) continue;
    std::vector<std::string> items;
    for (const auto& [variant, count] : tally.variants) {
      items.push_back(variant + " (" + grouped(count) + ")");
    }
    const std::string lines = wrapped_list(items, indent, static_cast<std::size_t>(style.columns));
    text += "  " + left_aligned(operation, name_columns) + lines.substr(indent);
  }
}

void append_reasons(const RunTally& run, const TerminalStyle& style, std::size_t limit,
                    std::string& text) {
  if (run.reasons.empty()) return;
  std::vector<std::pair<ReasonKey, int64_t>> reasons(run.reasons.begin(), run.reasons.end());
  std::ranges::stable_sort(
      reasons, [](const auto& left, const auto& right) { return left.second > right.second; });
  int64_t total = 0;
  for (const auto& [key, count] : reasons) total += count;
  append_heading("no verdict: " + counted(total, "check"), style, text);
  constexpr std::size_t kCountColumns = 9;
  constexpr std::size_t kIndent = kCountColumns + 2;
  int64_t shown = 0;
  for (std::size_t i = 0; i < reasons.size() && i < limit; ++i) {
    const auto& [key, count] = reasons[i];
    const auto& [outcome, check, reason] = key;
    std::string line(name_of(outcome));
    line += " " + check + ": ";
    line += reason.empty() ? sentence_of(outcome) : std::string_view(reason);
    const std::string lines = wrapped(line, kIndent, static_cast<std::size_t>(style.columns));
    text += right_aligned(grouped(count), kCountColumns) + "  " + lines.substr(kIndent);
    shown += count;
  }
  if (reasons.size() > limit) {
    text += right_aligned(grouped(total - shown), kCountColumns) + "  for " +
            counted(static_cast<int64_t>(reasons.size() - limit), "other reason") + "\n";
  }
}

}  // namespace packproof
