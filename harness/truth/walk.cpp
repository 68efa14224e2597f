#include "harness/truth/walk.h"

#include "fixtures/hdf5_file.h"
#include "harness/run/reference_module.h"
#include "harness/truth/file_sums.h"
#include "harness/truth/model_cases.h"
#include "harness/truth/op_cases.h"
#include "harness/truth/tally.h"

#include <algorithm>
#include <memory>
#include <system_error>
#include <utility>

namespace packproof {

namespace {

namespace fs = std::filesystem;

constexpr const char* kNativeNote =
    "the library's own arithmetic rounds to float32 inside; it never decides";

/// The names of cases/*.h5, in order.
std::vector<std::string> case_files(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code code;
  for (fs::directory_iterator it(folder / "cases", code), end; !code && it != end;
       it.increment(code))
    if (it->path().extension() == ".h5") names.push_back(it->path().stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

/// Folders of models/ that no case file tests.
std::vector<std::string> untested_models(const fs::path& folder,
                                         const std::vector<std::string>& tested) {
  std::vector<std::string> names;
  std::error_code code;
  for (fs::directory_iterator it(folder / "models", code), end; !code && it != end;
       it.increment(code)) {
    std::string name = it->path().filename().string();
    if (it->is_directory(code) && std::find(tested.begin(), tested.end(), name) == tested.end())
      names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string versions_of(const std::string& file, const fixtures::Hdf5Content& content) {
  std::string text = file + ": computed with";
  for (const char* key : {"transformers", "torch"}) {
    const auto found = content.attributes.find(key);
    text += std::string(" ") + key + " " +
            (found == content.attributes.end() ? "(not stated)" : found->second);
  }
  return text;
}

/// Compares one model's case file; returns its logits of sequences run alone.
TensorMap walk_model(const fs::path& folder, const reference::Reference& reference,
                     OracleTally& tally, const OracleProgress& progress) {
  const Result<std::unique_ptr<reference::Model>> model =
      reference.load_model(folder / "models" / tally.file());
  if (model.ok()) return walk_model_cases(**model, tally, progress);
  for (const std::string& group : tally.groups()) tally.skip(group, "", model.error().message);
  return {};
}

Status walk_native(const fs::path& folder, const std::map<std::string, TensorMap>& alone,
                   OracleReport& report) {
  PACKPROOF_TRY(const fixtures::Hdf5Content content, fixtures::read_foreign(folder / "native.h5"));
  OracleTally tally("native", content.datasets);
  for (const auto& [model, batches] : alone)
    for (const auto& [batch, logits] : batches)
      tally.report(model + "/" + batch + "/logits", logits, "alone", kNativeBar, kNativeNote);
  tally.finish(report);
  return {};
}

void note_other_files(const fs::path& folder, OracleReport& report) {
  std::error_code code;
  for (const char* name : {"collator.json", "boundary_rules.json"})
    if (fs::exists(folder / name, code))
      report.notes.push_back(std::string(name) +
                             ": no tensors; every case of it is compared by the tests of "
                             "harness/core (ctest -R core)");
}

}  // namespace

std::string_view name_of(OracleStatus status) {
  switch (status) {
    case OracleStatus::kWithin:
      return "within";
    case OracleStatus::kAbove:
      return "ABOVE";
    case OracleStatus::kReported:
      return "reported";
    case OracleStatus::kSkipped:
      return "SKIPPED";
  }
  return "";
}

int64_t OracleReport::count(OracleStatus status) const {
  return std::count_if(rows.begin(), rows.end(),
                       [status](const OracleRow& row) { return row.status == status; });
}

bool OracleReport::conforms() const {
  return count(OracleStatus::kAbove) == 0 &&
         std::all_of(files.begin(), files.end(),
                     [](const OracleFile& file) { return file.compared == file.truths; });
}

Result<OracleReport> walk_oracle(const fs::path& folder, const OracleOptions& options,
                                 const OracleProgress& progress) {
  std::error_code code;
  if (!fs::is_directory(folder, code))
    return usage_error(folder.string() + ": expected a folder with models/ and cases/, found " +
                       (fs::exists(folder, code) ? "a file" : "nothing"));
  const std::vector<std::string> names = case_files(folder);
  if (names.empty())
    return usage_error(folder.string() + ": expected files cases/*.h5, found none");
  PACKPROOF_TRY(const int64_t sums, check_file_sums(folder));
  const reference::Reference* reference = options.reference;
  if (reference == nullptr) {
    PACKPROOF_TRY(reference, load_reference());
  }
  OracleReport report;
  report.notes.push_back(sums == 0 ? "no file SHA256SUMS: stored numbers are taken as they are"
                                   : std::to_string(sums) + " files match their SHA256SUMS");
  std::map<std::string, TensorMap> alone;
  for (const std::string& name : names) {
    PACKPROOF_TRY(const fixtures::Hdf5Content content,
                  fixtures::read_foreign(folder / "cases" / (name + ".h5")));
    OracleTally tally(name, content.datasets);
    if (name == "ops")
      walk_op_cases(*reference, tally, progress);
    else
      alone[name] = walk_model(folder, *reference, tally, progress);
    tally.finish(report);
    report.notes.push_back(versions_of(name, content));
  }
  if (fs::exists(folder / "native.h5", code))
    PACKPROOF_CHECK_OK(walk_native(folder, alone, report));
  for (const std::string& name : untested_models(folder, names))
    report.notes.push_back("models/" + name + ": expected cases/" + name + ".h5, found none");
  note_other_files(folder, report);
  return report;
}

}  // namespace packproof
