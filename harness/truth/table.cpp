#include "harness/truth/walk.h"

#include <array>
#include <cstdio>
#include <map>
#include <string>
#include <tuple>
#include <vector>

namespace packproof {

namespace {

/// Rows of one file, tensor group and way: what a line of the table sums up.
struct Line {
  std::string file;
  std::string group;
  std::string way;
  int64_t tensors = 0;
  const OracleRow* worst = nullptr;
};

/// "edges/alone/conv_state" of "edges/alone/conv_state/00"; ".../grad" of every gradient.
std::string group_of(const std::string& tensor) {
  if (const std::size_t grad = tensor.find("/grad/"); grad != std::string::npos)
    return tensor.substr(0, grad + 5);
  const std::size_t slash = tensor.rfind('/');
  if (slash == std::string::npos) return tensor;
  const bool numbered = tensor.find_first_not_of("0123456789", slash + 1) == std::string::npos;
  return numbered ? tensor.substr(0, slash) : tensor;
}

/// Skips before rows above before the largest share of the bar; NaN counts as the largest.
bool worse(const OracleRow& a, const OracleRow& b) {
  if (a.status != b.status)
    return a.status == OracleStatus::kAbove ||
           (a.status == OracleStatus::kSkipped && b.status != OracleStatus::kAbove);
  return !(a.error * b.bar <= b.error * a.bar);
}

std::vector<Line> lines_of(const std::vector<OracleRow>& rows, bool verbose) {
  std::vector<Line> lines;
  std::map<std::tuple<std::string, std::string, std::string>, std::size_t> at;
  for (const OracleRow& row : rows) {
    const std::string group = verbose ? row.tensor : group_of(row.tensor);
    const auto [found, fresh] = at.try_emplace({row.file, group, row.way}, lines.size());
    if (fresh) lines.push_back({row.file, group, row.way, 0, &row});
    Line& line = lines[found->second];
    ++line.tensors;
    if (worse(row, *line.worst)) line.worst = &row;
  }
  return lines;
}

std::string scientific(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1e", value);
  return text.data();
}

void pad_to(std::string& text, std::size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
}

std::string line_text(const Line& line, std::size_t group_width) {
  const OracleRow& worst = *line.worst;
  std::string text = line.group;
  pad_to(text, group_width);
  text += "  " + line.way;
  pad_to(text, group_width + 20);
  std::string count = std::to_string(line.tensors);
  text += std::string(count.size() < 4 ? 4 - count.size() : 0, ' ') + count;
  if (worst.status != OracleStatus::kSkipped)
    text += "   " + scientific(worst.error) + "  " + scientific(worst.bar);
  else
    text += "         -        -";
  text += "  " + std::string(name_of(worst.status));
  if (worst.status == OracleStatus::kAbove && worst.tensor != line.group)
    text += " at " + worst.tensor;
  if (!worst.note.empty()) text += ": " + worst.note;
  return text;
}

std::string counts_text(const OracleReport& report) {
  int64_t inputs = 0;
  int64_t truths = 0;
  int64_t compared = 0;
  for (const OracleFile& file : report.files) {
    inputs += file.inputs;
    truths += file.truths;
    compared += file.compared;
  }
  return "stored tensors: " + std::to_string(inputs + truths) + " = " + std::to_string(inputs) +
         " inputs + " + std::to_string(truths) +
         " results; results compared: " + std::to_string(compared) + " of " +
         std::to_string(truths) + " in " +
         std::to_string(report.rows.size() - report.count(OracleStatus::kSkipped)) +
         " comparisons, " + std::to_string(report.count(OracleStatus::kAbove)) + " above, " +
         std::to_string(report.count(OracleStatus::kSkipped)) + " skipped\n";
}

}  // namespace

std::string oracle_table(const OracleReport& report, bool verbose) {
  const std::vector<Line> lines = lines_of(report.rows, verbose);
  std::size_t width = 0;
  for (const Line& line : lines) width = std::max(width, line.group.size());
  std::string text;
  std::string heading = "tensor";
  pad_to(heading, width);
  heading += "  computed";
  pad_to(heading, width + 20);
  heading += "   n     error      bar  verdict (error: largest relative 2-norm of a difference)\n";
  text += heading;
  std::string file;
  for (const Line& line : lines) {
    if (line.file != file) text += line.file + "\n";
    file = line.file;
    text += line_text(line, width) + "\n";
  }
  for (const std::string& note : report.notes) text += "note: " + note + "\n";
  text += counts_text(report);
  text += report.conforms() ? "the reference agrees with the oracle\n"
                            : "the reference does NOT agree with the oracle\n";
  return text;
}

}  // namespace packproof
