#include "harness/core/case_lens.h"

#include "harness/core/case_spec.h"

#include <charconv>

namespace packproof {
namespace {

bool parse_count(std::string_view text, int64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && value >= 0;
}

}  // namespace

std::string print_lens(const std::vector<int64_t>& lens) {
  std::string text;
  for (std::size_t n = 0; n < lens.size();) {
    std::size_t end = n + 1;
    while (end < lens.size() && lens[end] == lens[n]) ++end;
    if (n > 0) text += ',';
    text += std::to_string(lens[n]);
    if (end - n > 1) text += 'x' + std::to_string(end - n);
    n = end;
  }
  return text;
}

Status parse_lens(std::string_view text, std::vector<int64_t>& lens) {
  lens.clear();
  int64_t total = 0;
  bool more = true;
  while (more) {
    const std::size_t comma = text.find(',');
    std::string_view item = text.substr(0, comma);
    more = comma != std::string_view::npos;
    if (more) text.remove_prefix(comma + 1);

    int64_t count = 1;
    const std::size_t cross = item.find('x');
    if (cross != std::string_view::npos) {
      if (!parse_count(item.substr(cross + 1), count) || count < 1) {
        return usage_error("expected a count of 1 or more after 'x'");
      }
      item = item.substr(0, cross);
    }
    int64_t length = 0;
    if (!parse_count(item, length)) {
      return usage_error("expected lengths like 0,3,64x2 below 2^63");
    }
    int64_t added = 0;
    if (__builtin_mul_overflow(length, count, &added) || added > kMaxCaseTokens - total) {
      return usage_error("expected at most " + std::to_string(kMaxCaseTokens) + " tokens in all");
    }
    if (count > kMaxSequences - static_cast<int64_t>(lens.size())) {
      return usage_error("expected at most " + std::to_string(kMaxSequences) + " sequences");
    }
    total += added;
    lens.insert(lens.end(), static_cast<std::size_t>(count), length);
  }
  return {};
}

}  // namespace packproof
