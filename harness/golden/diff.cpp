#include "harness/golden/diff.h"

#include "harness/golden/verify.h"
#include "harness/run/judge.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

namespace packproof {

namespace {

using fixtures::Golden;
using fixtures::GoldenOutput;

double share(double got, double recorded, double allowed) {
  if (std::isnan(got) && std::isnan(recorded)) return 0.0;
  if (got == recorded) return 0.0;
  const double error = std::abs(got - recorded);
  if (std::isnan(error) || !(allowed > 0.0)) return std::numeric_limits<double>::infinity();
  // Infinite allowances stand for values that may overflow: nothing is too far then.
  return std::isinf(allowed) ? 0.0 : error / allowed;
}

std::string place(const std::string& name, const GoldenOutput& recorded, const Tensor& got,
                  int64_t row, int64_t width, int64_t element) {
  const int64_t i = row * width + element;
  const int32_t region = recorded.regions[static_cast<std::size_t>(row)];
  return "output '" + name + "', row " + std::to_string(row) + " (" +
         fixtures::kGoldenRegions[region] + "), element " + std::to_string(element) +
         ": recorded " + number_text(recorded.values.at(i)) + ", found " + number_text(got.at(i));
}

DriftSpread spread_of(std::vector<double>& shares, int64_t different) {
  DriftSpread spread;
  spread.elements = static_cast<int64_t>(shares.size());
  spread.different = different;
  if (shares.empty()) return spread;
  std::sort(shares.begin(), shares.end());
  const std::size_t last = shares.size() - 1;
  spread.median = shares[last / 2];
  spread.p99 = shares[last - last / 100];
  spread.worst = shares[last];
  return spread;
}

std::string build_text(const fixtures::GoldenProvenance& from) {
  return from.candidate + ", " + from.device + (from.variant.empty() ? "" : ", " + from.variant) +
         ", library " + (from.identity.empty() ? "unknown" : from.identity.substr(0, 12)) + ", " +
         from.date + ": " + from.reason;
}

std::string spread_text(const std::string& region, const DriftSpread& spread) {
  std::array<char, 160> line{};
  std::snprintf(line.data(), line.size(), "    %-12s %9lld %9lld  %9.3g %9.3g %9.3g\n",
                region.c_str(), static_cast<long long>(spread.elements),
                static_cast<long long>(spread.different), spread.median, spread.p99, spread.worst);
  return line.data();
}

}  // namespace

OutputDrift drift_of(const std::string& name, const GoldenOutput& recorded, const Tensor& got) {
  OutputDrift drift;
  drift.name = name;
  drift.limit = golden_limit(recorded);
  const auto rows = static_cast<int64_t>(recorded.regions.size());
  const int64_t width = rows == 0 ? 0 : got.numel() / rows;
  std::map<int32_t, std::vector<double>> shares;
  std::map<int32_t, int64_t> different;
  for (int64_t row = 0; row < rows; ++row) {
    const int32_t region = recorded.regions[static_cast<std::size_t>(row)];
    if (region < 0) continue;
    for (int64_t element = 0; element < width; ++element) {
      const int64_t i = row * width + element;
      const double here = share(got.at(i), recorded.values.at(i), recorded.allowed.at(i));
      shares[region].push_back(here);
      if (got.bits_at(i) == recorded.values.bits_at(i)) continue;
      ++different[region];
      if (drift.different++ == 0)
        drift.first_place = place(name, recorded, got, row, width, element);
      if (here <= drift.worst) continue;
      drift.worst = here;
      drift.worst_place = place(name, recorded, got, row, width, element);
    }
  }
  for (auto& [region, values] : shares)
    drift.regions[region] = spread_of(values, different[region]);
  return drift;
}

bool GoldenDiff::within() const {
  return std::all_of(outputs.begin(), outputs.end(),
                     [](const OutputDrift& output) { return output.worst <= output.limit; });
}

Result<GoldenDiff> diff_goldens(const std::filesystem::path& a, const std::filesystem::path& b) {
  PACKPROOF_TRY(const Golden first, fixtures::read_golden(a));
  PACKPROOF_TRY(const Golden second, fixtures::read_golden(b));
  if (first.inputs_sha256 != second.inputs_sha256)
    return invalid_input("expected two goldens of one case on the same inputs, found '" +
                         first.case_line + "' in " + a.string() + " and '" + second.case_line +
                         "' in " + b.string());
  GoldenDiff diff{first.case_line, first.provenance, second.provenance, {}};
  for (const auto& [name, recorded] : first.outputs) {
    const auto found = second.outputs.find(name);
    if (found == second.outputs.end() || found->second.values.shape() != recorded.values.shape())
      return invalid_input(b.string() + ": expected output '" + name + "' of shape " +
                           shape_text(recorded.values.shape()));
    diff.outputs.push_back(drift_of(name, recorded, found->second.values));
  }
  return diff;
}

std::string diff_table(const GoldenDiff& diff) {
  std::string text = "case  " + diff.case_line + "\n  a   " + build_text(diff.a) + "\n  b   " +
                     build_text(diff.b) +
                     "\n  |b - a| in units of the allowance of a\n"
                     "    region        elements different     median       p99     worst\n";
  for (const OutputDrift& output : diff.outputs) {
    text += "  " + output.name + (output.different == 0 ? ": bitwise equal\n" : "\n");
    for (const auto& [region, spread] : output.regions)
      text += spread_text(fixtures::kGoldenRegions[region], spread);
    if (output.different > 0) text += "    worst at " + output.worst_place + "\n";
  }
  return text + (diff.within() ? "  within tolerance\n" : "  OUTSIDE tolerance\n");
}

}  // namespace packproof
