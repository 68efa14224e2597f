#include "harness/cli/commands.h"
#include "harness/inspect/inspection.h"

#include <cstdio>
#include <memory>

namespace packproof::cli {
namespace {

int run_inspect(const std::string& path) {
  std::vector<std::string> skipped;
  const Result<Batch> batch = read_batch(path, skipped);
  if (!batch.ok()) return report_error(batch.error());
  for (const std::string& key : skipped) {
    std::fprintf(stderr, "note: '%s' holds no integers and is left out\n", key.c_str());
  }
  const Result<Inspection> inspection = inspect(*batch);
  if (!inspection.ok()) return report_error(inspection.error());
  std::fputs(inspection_text(*inspection).c_str(), stdout);
  return inspection->safe() ? kConforms : kDoesNotConform;
}

}  // namespace

void add_inspect(CLI::App& app, Body& body) {
  auto path = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand(
      "inspect",
      "Say which boundaries a packed batch gives to every consumer, and what is missing");
  command->add_option("batch", *path, "A batch in .json, .npz, .safetensors, .h5 or .hdf5")
      ->required();
  command->callback([path, &body] { body = [path] { return run_inspect(*path); }; });
}

}  // namespace packproof::cli
