#include "harness/bench/kernel_bench.h"

#include <cstdio>

#include <nlohmann/json.hpp>

namespace packproof {
namespace {

using Json = nlohmann::ordered_json;

/// A number in a column of `width`, or a dash where there is nothing to tell.
std::string cell(double value, int width, int decimals) {
  char text[48];
  if (value > 0.0) {
    std::snprintf(text, sizeof text, " %*.*f", width, decimals, value);
  } else {
    std::snprintf(text, sizeof text, " %*s", width, "-");
  }
  return text;
}

double ratio(double numerator, double denominator) {
  return denominator > 0.0 ? numerator / denominator : 0.0;
}

std::string row_text(const KernelBench& bench, const KernelBenchRow& row) {
  char names[96];
  std::snprintf(names, sizeof names, "%-33s %-31s", row.op.c_str(), row.layout.c_str());
  if (!row.time.status.empty()) return std::string(names) + " " + row.time.status + "\n";
  const double seconds = row.time.seconds;
  const double bytes_per_second = ratio(row.bytes, seconds);
  const double flop_per_second = ratio(row.flop, seconds);
  std::string text =
      names + cell(seconds * 1e3, 9, 4) + cell(row.time.replayed * 1e3, 9, 4) +
      cell(ratio(seconds * 1e9, static_cast<double>(row.token_heads)), 8, 3) +
      cell(bytes_per_second * 1e-9, 7, 1) +
      cell(ratio(100.0 * bytes_per_second, bench.rates.copy_bytes_per_second), 6, 1) +
      cell(flop_per_second * 1e-12, 8, 2) +
      cell(ratio(100.0 * flop_per_second, bench.rates.product_flop_per_second), 6, 1);
  if (bench.other.name.empty()) return text + "\n";
  if (!row.other.status.empty()) return text + " " + row.other.status + "\n";
  return text + cell(row.other.seconds * 1e3, 9, 4) +
         cell(ratio(row.other.seconds, seconds), 7, 2) + "\n";
}

Json time_json(const KernelTime& time) {
  return {{"status", time.status.empty() ? "ok" : time.status},
          {"seconds", time.seconds},
          {"replayed_seconds", time.replayed}};
}

}  // namespace

std::string kernel_bench_table(const KernelBench& bench) {
  char line[240];
  std::snprintf(line, sizeof line, "%s: copy %.0f GB/s", bench.rates.device.c_str(),
                bench.rates.copy_bytes_per_second * 1e-9);
  std::string table = line;
  if (bench.rates.product_flop_per_second > 0.0) {
    std::snprintf(line, sizeof line, ", bf16 product %.0f TFLOP/s\n",
                  bench.rates.product_flop_per_second * 1e-12);
    table += line;
  } else {
    table += ", product not measured: " + bench.rates.product_remark + "\n";
  }
  std::snprintf(line, sizeof line, "%-33s %-31s %9s %9s %8s %7s %6s %8s %6s", "op", "layout", "ms",
                "replay", "ns/unit", "GB/s", "% copy", "TFLOP/s", "% prod");
  table += line;
  if (!bench.other.name.empty()) {
    std::snprintf(line, sizeof line, " %9s %7s", "other ms", "ratio");
    table += line;
  }
  table += "\n";
  for (const KernelBenchRow& row : bench.rows) table += row_text(bench, row);
  if (!bench.other.name.empty()) {
    table += "other: " + bench.other.name + " " + bench.other.version + "\n";
  }
  return table +
         "unit: a token of one value head, channel or norm row; medians, two sets of buffers in "
         "turn, replay: a CUDA graph\n";
}

std::string kernel_bench_json(const KernelBench& bench) {
  Json json = {{"candidate", bench.candidate.name},
               {"version", bench.candidate.version},
               {"identity", bench.candidate.identity},
               {"device", bench.rates.device},
               {"copy_bytes_per_second", bench.rates.copy_bytes_per_second},
               {"product_flop_per_second", bench.rates.product_flop_per_second},
               {"rows", Json::array()}};
  if (!bench.other.name.empty()) {
    json["other"] = bench.other.name + " " + bench.other.version;
  }
  for (const KernelBenchRow& row : bench.rows) {
    Json entry = {{"op", row.op},       {"layout", row.layout}, {"units", row.token_heads},
                  {"bytes", row.bytes}, {"flop", row.flop},     {"time", time_json(row.time)}};
    if (!bench.other.name.empty()) entry["other"] = time_json(row.other);
    json["rows"].push_back(std::move(entry));
  }
  return json.dump(1) + "\n";
}

}  // namespace packproof
