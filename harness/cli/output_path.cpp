#include "harness/cli/output_path.h"

#include <filesystem>
#include <system_error>

#include <unistd.h>

namespace packproof::cli {
namespace {

namespace fs = std::filesystem;

Status check_folder(const std::string& option, const std::string& path) {
  std::error_code ignored;
  const fs::path folder = fs::absolute(path).parent_path();
  if (fs::is_directory(folder, ignored) && ::access(folder.c_str(), W_OK) == 0) return {};
  return usage_error(option + ": expected a path in a writable folder, found '" + path + "'");
}

bool same_file(const std::string& a, const std::string& b) {
  std::error_code failure;
  if (fs::equivalent(a, b, failure) && !failure) return true;
  return fs::weakly_canonical(fs::absolute(a), failure) ==
         fs::weakly_canonical(fs::absolute(b), failure);
}

}  // namespace

Status check_output(const std::string& option, const std::string& path) {
  if (path.empty()) return {};
  std::error_code ignored;
  const fs::file_status found = fs::status(path, ignored);
  if (!fs::exists(found)) return check_folder(option, path);
  if (fs::is_directory(found)) {
    return usage_error(option + ": expected a path for a file, found the folder '" + path + "'");
  }
  if (::access(path.c_str(), W_OK) == 0) return {};
  return usage_error(option + ": expected a file that can be written, found '" + path + "'");
}

Status check_reports(const std::string& junit, const std::string& jsonl) {
  PACKPROOF_CHECK_OK(check_output("--jsonl", jsonl));
  PACKPROOF_CHECK_OK(check_output("--junit", junit));
  if (junit.empty()) return {};
  // It is written beside its place and then renamed, which a device would not survive.
  PACKPROOF_CHECK_OK(check_folder("--junit", junit));
  std::error_code ignored;
  if (fs::exists(junit, ignored) && !fs::is_regular_file(junit, ignored)) {
    return usage_error("--junit: expected a path for a file, found the device '" + junit + "'");
  }
  if (!jsonl.empty() && same_file(junit, jsonl)) {
    return usage_error("--junit: expected another path than that of --jsonl, found '" + junit +
                       "' for both");
  }
  return {};
}

}  // namespace packproof::cli
