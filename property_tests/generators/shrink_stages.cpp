#include "property_tests/generators/shrink_stages.h"

#include <algorithm>
#include <array>

namespace packproof {
namespace {

constexpr int64_t kChunk = kCaseChunkSize;

// Above this many sequences only whole groups and ends are dropped, and lengths shrink together.
constexpr std::size_t kFewSequences = 32;

std::vector<CaseSpec> fewer_sequences(const CaseSpec& spec) {
  std::vector<CaseSpec> candidates;
  const std::size_t count = spec.lens.size();
  const auto drop = [&](std::size_t begin, std::size_t size) {
    CaseSpec candidate = spec;
    const auto first = candidate.lens.begin() + static_cast<std::ptrdiff_t>(begin);
    candidate.lens.erase(first, first + static_cast<std::ptrdiff_t>(size));
    candidates.push_back(std::move(candidate));
  };
  for (std::size_t size = count - count / 2; size >= 1 && count > 1; size /= 2) {
    const bool everywhere = size * kFewSequences >= count;
    for (std::size_t begin = 0; everywhere && begin + size <= count; begin += size) {
      drop(begin, size);
    }
    if (!everywhere || count % size != 0) drop(count - size, size);
    if (!everywhere) drop(0, size);
  }
  for (const int64_t slack : {int64_t{0}, int64_t{1}}) {
    if (spec.slack <= slack) break;
    CaseSpec candidate = spec;
    candidate.slack = slack;
    candidates.push_back(std::move(candidate));
  }
  return candidates;
}

/// Shorter lengths worth a try, shortest first.
std::vector<int64_t> shorter(int64_t length, int64_t conv_width) {
  std::vector<int64_t> targets{0,      1,          conv_width - 1, conv_width, kChunk - 1,
                               kChunk, kChunk + 1, length / 2,     length - 1};
  std::sort(targets.begin(), targets.end());
  targets.erase(std::unique(targets.begin(), targets.end()), targets.end());
  std::erase_if(targets, [&](int64_t target) { return target < 0 || target >= length; });
  return targets;
}

std::vector<CaseSpec> shorter_sequences(const CaseSpec& spec) {
  std::vector<CaseSpec> candidates;
  const int64_t longest = *std::max_element(spec.lens.begin(), spec.lens.end());
  for (const int64_t target : shorter(longest, spec.conv_width)) {
    CaseSpec candidate = spec;
    for (int64_t& length : candidate.lens) length = std::min(length, target);
    candidates.push_back(std::move(candidate));
  }
  if (spec.lens.size() > kFewSequences) return candidates;
  for (std::size_t n = 0; n < spec.lens.size(); ++n) {
    for (const int64_t target : shorter(spec.lens[n], spec.conv_width)) {
      CaseSpec candidate = spec;
      candidate.lens[n] = target;
      candidates.push_back(std::move(candidate));
    }
  }
  return candidates;
}

std::vector<CaseSpec> fewer_heads(const CaseSpec& spec) {
  std::vector<CaseSpec> candidates;
  const auto heads = [&](int64_t num_k_heads, int64_t num_v_heads) {
    if (num_k_heads > spec.num_k_heads || num_v_heads > spec.num_v_heads) return;
    if (num_k_heads == spec.num_k_heads && num_v_heads == spec.num_v_heads) return;
    CaseSpec candidate = spec;
    candidate.num_k_heads = num_k_heads;
    candidate.num_v_heads = num_v_heads;
    candidates.push_back(std::move(candidate));
  };
  const int64_t group = std::max<int64_t>(1, spec.num_v_heads / spec.num_k_heads);
  heads(1, 1);
  heads(1, 2);
  heads(1, group);
  heads(spec.num_k_heads, spec.num_k_heads);
  heads(2, 2 * std::min<int64_t>(group, 2));
  heads(spec.num_k_heads, 1);
  return candidates;
}

std::vector<CaseSpec> smaller_dims(const CaseSpec& spec) {
  std::vector<CaseSpec> candidates;
  for (int64_t CaseSpec::*dim :
       {&CaseSpec::channels, &CaseSpec::head_k_dim, &CaseSpec::head_v_dim, &CaseSpec::conv_width}) {
    const int64_t value = spec.*dim;
    for (const int64_t target : {int64_t{1}, int64_t{2}, int64_t{4}, value / 8 * 4, value - 1}) {
      if (target < 1 || target >= value) continue;
      CaseSpec candidate = spec;
      candidate.*dim = target;
      candidates.push_back(std::move(candidate));
    }
  }
  return candidates;
}

template <auto Member>
void plain(const CaseSpec& spec, std::vector<CaseSpec>& candidates) {
  const CaseSpec defaults;
  if (spec.*Member == defaults.*Member) return;
  CaseSpec candidate = spec;
  candidate.*Member = defaults.*Member;
  candidates.push_back(std::move(candidate));
}

std::vector<CaseSpec> plainer_options(const CaseSpec& spec) {
  std::vector<CaseSpec> candidates;
  if (spec.layout != BatchLayout::kPacked) {
    CaseSpec candidate = spec;
    candidate.layout = BatchLayout::kPacked;
    candidate.pad = 0;
    candidates.push_back(std::move(candidate));
  }
  plain<&CaseSpec::pad>(spec, candidates);
  plain<&CaseSpec::metadata>(spec, candidates);
  plain<&CaseSpec::cu_dtype>(spec, candidates);
  plain<&CaseSpec::host_metadata>(spec, candidates);
  plain<&CaseSpec::dtype>(spec, candidates);
  plain<&CaseSpec::stride>(spec, candidates);
  plain<&CaseSpec::bias>(spec, candidates);
  plain<&CaseSpec::activation>(spec, candidates);
  plain<&CaseSpec::gate_in_kernel>(spec, candidates);
  plain<&CaseSpec::qk_l2norm>(spec, candidates);
  plain<&CaseSpec::scale>(spec, candidates);
  plain<&CaseSpec::eps>(spec, candidates);
  plain<&CaseSpec::rope_theta>(spec, candidates);
  plain<&CaseSpec::initial_state>(spec, candidates);
  if (spec.initial_state == StateInit::kPool) {
    CaseSpec candidate = spec;
    candidate.initial_state = StateInit::kRandom;
    candidates.push_back(std::move(candidate));
  }
  plain<&CaseSpec::final_state>(spec, candidates);
  plain<&CaseSpec::gate>(spec, candidates);
  plain<&CaseSpec::seed>(spec, candidates);
  return candidates;
}

constexpr std::array<ShrinkStage, 5> kStages{fewer_sequences, shorter_sequences, fewer_heads,
                                             smaller_dims, plainer_options};

}  // namespace

std::span<const ShrinkStage> shrink_stages() { return kStages; }

}  // namespace packproof
