#include "reports/json_lines.h"

#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

namespace packproof {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr int64_t kFormatVersion = 1;

std::string dumped(const ordered_json& value) {
  return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

ordered_json number(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;
}

std::optional<double> parse_number(const json& value) {
  if (value.is_number()) return value.get<double>();
  if (value == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (value == "inf") return std::numeric_limits<double>::infinity();
  if (value == "-inf") return -std::numeric_limits<double>::infinity();
  return std::nullopt;
}

std::optional<OutcomeKind> parse_outcome(const json& value) {
  for (int kind = 0; kind <= static_cast<int>(OutcomeKind::kNotRun); ++kind) {
    if (value == name_of(static_cast<OutcomeKind>(kind))) return static_cast<OutcomeKind>(kind);
  }
  return std::nullopt;
}

/// Reads the fields of one object and remembers the first that is not what the format says.
class RecordReader {
 public:
  RecordReader(const json& record, std::string origin)
      : record_(&record), origin_(std::move(origin)) {}

  Status status() const { return error_.has_value() ? Status(*error_) : Status(); }

  std::string text(const char* field) {
    const json* value = find(field);
    if (value != nullptr && value->is_string()) return value->get<std::string>();
    refuse(field, "a string");
    return {};
  }

  uint64_t count(const char* field) {
    const json* value = find(field);
    if (value != nullptr && value->is_number_unsigned()) return value->get<uint64_t>();
    refuse(field, "a whole number");
    return 0;
  }

  double real(const char* field) {
    const json* value = find(field);
    const std::optional<double> parsed =
        value != nullptr ? parse_number(*value) : std::optional<double>();
    if (!parsed.has_value()) refuse(field, "a number, \"inf\", \"-inf\" or \"nan\"");
    return parsed.value_or(0.0);
  }

  OutcomeKind outcome(const char* field) {
    const json* value = find(field);
    const std::optional<OutcomeKind> parsed =
        value != nullptr ? parse_outcome(*value) : std::optional<OutcomeKind>();
    if (!parsed.has_value()) refuse(field, "an outcome's name");
    return parsed.value_or(OutcomeKind::kNotRun);
  }

  const json& container(const char* field, bool array) {
    static const json kNothing;
    const json* value = find(field);
    if (value != nullptr && (array ? value->is_array() : value->is_object())) return *value;
    refuse(field, array ? "a list" : "an object");
    return kNothing;
  }

  void refuse(const std::string& field, const std::string& expected) {
    if (error_.has_value()) return;
    const json* value = find(field);
    error_ = invalid_input(origin_ + ": " + field + ": expected " + expected + ", found " +
                           (value == nullptr ? "nothing" : value->dump(-1, ' ', true)));
  }

 private:
  const json* find(const std::string& field) const {
    const auto entry = record_->find(field);
    return entry == record_->end() ? nullptr : &*entry;
  }

  const json* record_;
  std::string origin_;
  std::optional<Error> error_;
};

Result<json> parse_record(std::string_view line, const std::string& origin, const char* type,
                          const char* meaning) {
  json record = json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (record.is_object() && record.contains("type") && record["type"] == type) return record;
  constexpr std::size_t kShown = 60;
  std::string shown =
      json(line.substr(0, kShown)).dump(-1, ' ', true, json::error_handler_t::replace);
  if (line.size() > kShown) shown += "...";
  return invalid_input(origin + ": expected " + meaning + ", found " + shown);
}

/// An object of strings; empty where the field is missing.
Result<std::map<std::string, std::string>> optional_texts(const json& record, const char* field,
                                                          const std::string& origin) {
  std::map<std::string, std::string> texts;
  if (!record.contains(field)) return texts;
  RecordReader fields(record, origin);
  const json& object = fields.container(field, false);
  PACKPROOF_CHECK_OK(fields.status());
  RecordReader values(object, origin + ": " + field);
  for (const auto& [name, value] : object.items()) texts[name] = values.text(name.c_str());
  PACKPROOF_CHECK_OK(values.status());
  return texts;
}

}  // namespace

std::string json_line(const RunManifest& manifest) {
  ordered_json record;
  record["type"] = "manifest";
  record["format"] = kFormatVersion;
  record["packproof"] = manifest.packproof_version;
  record["started"] = manifest.started;
  record["command"] = manifest.command;
  record["suite"] = manifest.suite;
  record["seed"] = manifest.seed;
  record["candidate"] = {
      {"name", manifest.candidate_name},         {"version", manifest.candidate_version},
      {"identity", manifest.candidate_identity}, {"device", manifest.device},
      {"options", manifest.repro_options},       {"origin", manifest.candidate_origin}};
  record["arguments"] = manifest.arguments;
  record["versions"] = manifest.versions;
  record["notes"] = manifest.notes;
  return dumped(record);
}

std::string json_line(const CaseResult& result) {
  ordered_json record;
  record["type"] = "case";
  record["id"] = result.id;
  record["suite"] = result.suite;
  record["outcome"] = name_of(outcome_of(result));
  record["variant"] = result.variant;
  record["shrunk"] = result.shrunk;
  ordered_json& checks = record["checks"] = ordered_json::array();
  for (const CheckResult& check : result.checks) {
    checks.push_back({{"check", check.check},
                      {"outcome", name_of(check.outcome)},
                      {"detail", check.detail},
                      {"budget_used", number(check.budget_used)},
                      {"seconds", number(check.seconds)}});
  }
  return dumped(record);
}

Result<RunManifest> parse_manifest_line(std::string_view line, const std::string& origin) {
  PACKPROOF_TRY(const json record,
                parse_record(line, origin, "manifest", "the manifest of a packproof run"));
  RecordReader fields(record, origin);
  RunManifest manifest;
  const uint64_t format = fields.count("format");
  if (format != kFormatVersion) fields.refuse("format", std::to_string(kFormatVersion));
  manifest.packproof_version = fields.text("packproof");
  manifest.started = fields.text("started");
  manifest.command = fields.text("command");
  manifest.suite = fields.text("suite");
  manifest.seed = fields.count("seed");
  RecordReader candidate(fields.container("candidate", false), origin + ": candidate");
  const json& versions = fields.container("versions", false);
  PACKPROOF_CHECK_OK(fields.status());
  manifest.candidate_name = candidate.text("name");
  manifest.candidate_version = candidate.text("version");
  manifest.candidate_identity = candidate.text("identity");
  manifest.device = candidate.text("device");
  manifest.repro_options = candidate.text("options");
  PACKPROOF_CHECK_OK(candidate.status());
  // Reports from before these were written down have none.
  PACKPROOF_TRY(manifest.candidate_origin,
                optional_texts(record["candidate"], "origin", origin + ": candidate"));
  PACKPROOF_TRY(manifest.arguments, optional_texts(record, "arguments", origin));
  RecordReader version(versions, origin + ": versions");
  for (const auto& [name, value] : versions.items()) {
    manifest.versions[name] = version.text(name.c_str());
  }
  PACKPROOF_CHECK_OK(version.status());
  // Reports from before there were notes have none.
  if (record.contains("notes")) {
    for (const json& note : fields.container("notes", true)) {
      if (!note.is_string()) fields.refuse("notes", "a list of strings");
      PACKPROOF_CHECK_OK(fields.status());
      manifest.notes.push_back(note.get<std::string>());
    }
  }
  return manifest;
}

Result<CaseResult> parse_case_line(std::string_view line, const std::string& origin) {
  PACKPROOF_TRY(const json record, parse_record(line, origin, "case", "the result of one case"));
  RecordReader fields(record, origin);
  CaseResult result;
  result.id = fields.text("id");
  result.suite = fields.text("suite");
  result.variant = fields.text("variant");
  result.shrunk = fields.text("shrunk");
  const json& checks = fields.container("checks", true);
  PACKPROOF_CHECK_OK(fields.status());
  for (const json& check : checks) {
    if (!check.is_object()) fields.refuse("checks", "a list of objects");
    PACKPROOF_CHECK_OK(fields.status());
    RecordReader values(check, origin + ": checks");
    CheckResult& entry = result.checks.emplace_back();
    entry.check = values.text("check");
    entry.outcome = values.outcome("outcome");
    entry.detail = values.text("detail");
    entry.budget_used = values.real("budget_used");
    entry.seconds = values.real("seconds");
    PACKPROOF_CHECK_OK(values.status());
  }
  return result;
}

}  // namespace packproof
