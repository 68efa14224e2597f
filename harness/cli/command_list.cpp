#include "harness/cli/choice_check.h"
#include "harness/cli/commands.h"
#include "harness/core/outcome.h"
#include "harness/run/checks.h"
#include "harness/run/model_ops.h"
#include "harness/run/plan.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <span>

namespace packproof::cli {
namespace {

void print_row(std::string_view name, std::string_view text) {
  std::printf("  %-32.*s %.*s\n", static_cast<int>(name.size()), name.data(),
              static_cast<int>(text.size()), text.data());
}

void list_ops() {
  std::puts("ops:");
  for (const Op op : all_ops()) {
    const auto among = [op](std::span<const Op> ops) {
      return std::ranges::find(ops, op) != ops.end();
    };
    print_row(name_of(op), among(suite_ops())     ? "judged by the suites"
                           : among(offered_ops()) ? "judged where the candidate offers it"
                                                  : "in the C header");
  }
}

void list_checks() {
  std::puts("checks:");
  for (const Check& check : all_checks()) print_row(check.name, check.description);
}

void list_suites() {
  std::puts("suites:");
  print_row("smoke", "one random packing per op x gate regime x layout class, and a whole model");
  print_row("ci", "the same cells, four packings each, and the whole model in every dtype");
  print_row("transformers-45034",
            "the upstream regression test, and which planted faults it accepts");
}

void list_axes() {
  std::puts("layout classes:");
  for (const LayoutClass layout : all_layout_classes()) print_row(name_of(layout), "");
  std::puts("gate regimes:");
  for (const GateRegime gate : all_gate_regimes()) print_row(name_of(gate), "");
}

void list_outcomes() {
  std::puts("outcomes:");
  for (int kind = 0; kind <= static_cast<int>(OutcomeKind::kNotRun); ++kind) {
    print_row(name_of(static_cast<OutcomeKind>(kind)), sentence_of(static_cast<OutcomeKind>(kind)));
  }
}

}  // namespace

void add_list(CLI::App& app, Body& body) {
  auto what = std::make_shared<std::string>("all");
  CLI::App* command = app.add_subcommand("list", "List suites, ops, checks, axes and outcomes");
  command->add_option("what", *what, "suites, ops, checks, axes, outcomes or all")
      ->check(one_of({"suites", "ops", "checks", "axes", "outcomes", "all"}));
  command->callback([what, &body] {
    body = [what] {
      const bool all = *what == "all";
      if (all || *what == "suites") list_suites();
      if (all || *what == "ops") list_ops();
      if (all || *what == "checks") list_checks();
      if (all || *what == "axes") list_axes();
      if (all || *what == "outcomes") list_outcomes();
      return static_cast<int>(kConforms);
    };
  });
}

}  // namespace packproof::cli
