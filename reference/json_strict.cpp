#include "reference/json_strict.h"

#include <utility>
#include <vector>

namespace packproof::reference {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxDepth = 64;

/// Builds the value and stops at the first thing to refuse.
class StrictBuilder final : public nlohmann::json_sax<json> {
 public:
  json take_value() { return std::move(root_); }

  const std::string& refusal() const { return refusal_; }

  bool null() override { return add(nullptr); }

  bool boolean(bool value) override { return add(value); }

  bool number_integer(json::number_integer_t value) override { return add(value); }

  bool number_unsigned(json::number_unsigned_t value) override { return add(value); }

  bool number_float(json::number_float_t value, const std::string& /*text*/) override {
    return add(value);
  }

  bool string(std::string& value) override { return add(std::move(value)); }

  bool binary(json::binary_t& /*value*/) override { return refuse("binary data"); }

  bool start_object(std::size_t /*size*/) override { return open(json::object()); }

  bool key(std::string& name) override {
    if (open_.back()->contains(name)) return refuse("found the key " + json_text(name) + " twice");
    key_ = std::move(name);
    return true;
  }

  bool end_object() override { return close(); }

  bool start_array(std::size_t /*size*/) override { return open(json::array()); }

  bool end_array() override { return close(); }

  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const nlohmann::detail::exception& /*error*/) override {
    return refuse("found something else at byte " + std::to_string(position));
  }

 private:
  /// The new value's place, in an open container or as the root.
  json* place(json value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    json& parent = *open_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    return &(parent[key_] = std::move(value));
  }

  bool add(json value) {
    place(std::move(value));
    return true;
  }

  bool open(json container) {
    if (open_.size() == kMaxDepth) {
      return refuse("found values nested more than " + std::to_string(kMaxDepth) + " deep");
    }
    open_.push_back(place(std::move(container)));
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  bool refuse(std::string what) {
    refusal_ = std::move(what);
    return false;
  }

  json root_;
  std::vector<json*> open_;
  std::string key_;
  std::string refusal_;
};

}  // namespace

Result<json> parse_strict_json(std::string_view text, const std::string& origin) {
  StrictBuilder builder;
  if (!json::sax_parse(text, &builder)) {
    return invalid_input(origin + ": expected JSON with every key once, " + builder.refusal());
  }
  return builder.take_value();
}

std::string json_text(const json& value) {
  constexpr std::size_t kMaxLength = 60;
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  if (text.size() > kMaxLength) text = text.substr(0, kMaxLength) + "...";
  return text;
}

}  // namespace packproof::reference
