#include "harness/inspect/inspection.h"

#include <algorithm>

namespace packproof {
namespace {

constexpr std::size_t kShownLengths = 12;

std::string padded(std::string text, std::size_t width) {
  text.resize(std::max(width, text.size()), ' ');
  return text;
}

std::string lengths_text(const std::vector<int64_t>& lengths) {
  std::string text;
  for (std::size_t i = 0; i < lengths.size() && i < kShownLengths; ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(lengths[i]);
  }
  if (lengths.size() > kShownLengths) {
    text += ", .. (" + std::to_string(lengths.size()) + " sequences)";
  }
  return text.empty() ? "none" : text;
}

void add_list(const char* title, const std::vector<std::string>& lines, std::string& text) {
  if (lines.empty()) return;
  text += std::string("\n") + title + "\n";
  for (const std::string& line : lines) text += "  " + line + "\n";
}

}  // namespace

std::string inspection_text(const Inspection& inspection) {
  std::string text = inspection.summary + "\n";
  if (!inspection.boundaries.empty()) {
    std::size_t width = 0;
    for (const BoundaryView& view : inspection.boundaries) {
      width = std::max(width, view.source.size());
    }
    text += "\nboundaries, as lengths\n";
    for (const BoundaryView& view : inspection.boundaries) {
      text += "  " + padded(view.source, width + 2);
      if (view.lengths.has_value()) text += lengths_text(*view.lengths);
      if (!view.remark.empty()) {
        text += view.lengths.has_value() ? " (" + view.remark + ")" : view.remark;
      }
      text += "\n";
    }
  }
  if (!inspection.consumers.empty()) {
    text += "\n" + padded("  transformers", 38);
    for (const Library library : kLibraries) {
      text += padded(std::string(name_of(library)), name_of(library).size() + 2);
    }
    while (text.back() == ' ') text.pop_back();
    text += "\n";
    for (const Consumer& consumer : inspection.consumers) {
      std::string line = padded("  " + consumer.name, 38);
      for (std::size_t i = 0; i < kLibraries.size(); ++i) {
        line +=
            padded(std::string(name_of(consumer.by_library[i])), name_of(kLibraries[i]).size() + 2);
      }
      while (line.back() == ' ') line.pop_back();
      text += line + "\n";
    }
  }
  add_list("wrong", inspection.problems, text);
  add_list("to do", inspection.remedies, text);
  add_list("notes", inspection.notes, text);
  return text + (inspection.safe() ? "\nOK for delta-net models with the fla and causal_conv1d "
                                     "kernels, transformers 5.9 and "
                                     "later\n"
                                   : "\nUNSAFE for delta-net models\n");
}

}  // namespace packproof
