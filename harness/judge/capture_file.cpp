#include "harness/judge/capture_file.h"

#include <charconv>

namespace packproof {
namespace {

constexpr const char* kFormat = "packproof capture";
constexpr const char* kVersion = "1";

// The recorder stops at half a gigabyte of tensors; users may raise that.
constexpr fixtures::ForeignLimits kLimits{.cpu_seconds = 300,
                                          .wall_seconds = 600,
                                          .memory_bytes = int64_t{32} << 30,
                                          .content_bytes = int64_t{6} << 30};

std::optional<int64_t> integer_of(const std::string& text) {
  int64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// "calls/00003/inputs/q" in parts.
std::vector<std::string> parts_of(const std::string& path) {
  std::vector<std::string> parts{""};
  for (const char c : path) {
    if (c == '/') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

std::string text_or_none(const std::map<std::string, std::string>& attributes,
                         const std::string& key) {
  const auto found = attributes.find(key);
  return found == attributes.end() ? "none" : found->second;
}

Status check_header(const std::map<std::string, std::string>& attributes, const std::string& name) {
  if (const std::string format = text_or_none(attributes, "format"); format != kFormat) {
    return invalid_input(name +
                         ": expected a file written by packproof_candidate.capture (format '" +
                         kFormat + "'), found format '" + format + "'");
  }
  if (const std::string version = text_or_none(attributes, "version"); version != kVersion) {
    return invalid_input(name + ": expected version " + kVersion + " of the format, found " +
                         version);
  }
  return {};
}

Result<CapturedCall> call_of(const std::map<std::string, std::string>& attributes,
                             const std::string& group, const std::string& name) {
  CapturedCall call;
  const std::optional<int64_t> number = integer_of(group);
  if (!number.has_value()) {
    return invalid_input(name + ": expected calls under decimal numbers, found 'calls/" + group +
                         "'");
  }
  call.number = *number;
  call.op = text_or_none(attributes, "op");
  call.function = text_or_none(attributes, "function");
  if (call.op == "none" || call.function == "none") {
    return invalid_input(name + ": 'calls/" + group +
                         "': expected attributes op and function, found no such pair");
  }
  const std::optional<int64_t> layer = integer_of(text_or_none(attributes, "layer"));
  if (layer.has_value() && *layer >= 0) call.layer = layer;
  for (const auto& [key, value] : attributes) {
    constexpr std::string_view kPrefix = "inputs.";
    if (key.starts_with(kPrefix)) call.scalars[key.substr(kPrefix.size())] = value;
  }
  return call;
}

}  // namespace

std::string CapturedCall::scalar(const std::string& name, const std::string& otherwise) const {
  const auto found = scalars.find(name);
  return found == scalars.end() || found->second == "none" ? otherwise : found->second;
}

bool CapturedCall::is_set(const std::string& name) const {
  return inputs.contains(name) || scalar(name, "0") != "0";
}

Result<Capture> capture_from(fixtures::Hdf5Content content, const std::string& name) {
  PACKPROOF_CHECK_OK(check_header(content.attributes, name));
  Capture capture;
  capture.torch = text_or_none(content.attributes, "torch");
  capture.not_recorded = integer_of(text_or_none(content.attributes, "not_recorded")).value_or(0);
  std::map<int64_t, CapturedCall> calls;
  for (const auto& [path, attributes] : content.object_attributes) {
    const std::vector<std::string> parts = parts_of(path);
    if (parts.size() != 2 || parts[0] != "calls") continue;
    PACKPROOF_TRY(CapturedCall call, call_of(attributes, parts[1], name));
    calls.emplace(call.number, std::move(call));
  }
  for (auto& [path, tensor] : content.datasets) {
    const std::vector<std::string> parts = parts_of(path);
    if (parts.size() == 2 && parts[0] == "batch") capture.batch[parts[1]] = std::move(tensor);
    if (parts.size() != 4 || parts[0] != "calls") continue;
    const auto call = calls.find(integer_of(parts[1]).value_or(-1));
    if (call == calls.end()) {
      return invalid_input(name + ": '" + path +
                           "': expected a call with attributes op and function, found none");
    }
    if (parts[2] == "inputs") {
      const auto object = content.object_attributes.find(path);
      const bool attributed = object != content.object_attributes.end();
      if (attributed && text_or_none(object->second, "device").starts_with("cuda")) {
        call->second.on_gpu = true;
      }
      call->second.inputs[parts[3]] = std::move(tensor);
    } else if (parts[2] == "outputs") {
      call->second.outputs[parts[3]] = std::move(tensor);
    } else if (parts[2] == "gradients") {
      call->second.gradients[parts[3]] = std::move(tensor);
    }
  }
  for (auto& [number, call] : calls) capture.calls.push_back(std::move(call));
  return capture;
}

Result<Capture> read_capture(const std::filesystem::path& path) {
  std::error_code code;
  if (!std::filesystem::is_regular_file(path, code)) {
    return usage_error("expected a file written by packproof_candidate.capture, found no '" +
                       path.string() + "'");
  }
  PACKPROOF_TRY(fixtures::Hdf5Content content, fixtures::read_foreign(path, kLimits));
  return capture_from(std::move(content), path.string());
}

}  // namespace packproof
