#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace packproof {

/// What kind of thing went wrong. The command line maps a code to an exit code (see `exit_code`).
enum class Code {
  kUsage,           ///< Command line, case text, or a file the user named that is missing: exit 2.
  kInvalidInput,    ///< A file, config, metadata or batch that contradicts its format: exit 2.
  kNothingRan,      ///< No case was executed, or required coverage is missing: exit 3.
  kInfrastructure,  ///< Memory, device, worker start: exit 4.
  kCandidate,       ///< A candidate gave no answer where one was needed: exit 1.
  kInternal,        ///< A mistake of packproof itself: exit 4.
};

/// An error is one sentence that says what was expected and what was found.
struct Error {
  Code code = Code::kInternal;
  std::string message;
};

inline Error usage_error(std::string message) { return {Code::kUsage, std::move(message)}; }

inline Error invalid_input(std::string message) {
  return {Code::kInvalidInput, std::move(message)};
}

inline Error infrastructure_error(std::string message) {
  return {Code::kInfrastructure, std::move(message)};
}

inline Error internal_error(std::string message) { return {Code::kInternal, std::move(message)}; }

/// Either a value or an Error. Reading the absent side is a programming mistake and aborts.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}

  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }

  explicit operator bool() const { return ok(); }

  T& value() & { return *std::get_if<0>(&state_); }

  const T& value() const& { return *std::get_if<0>(&state_); }

  T&& value() && { return std::move(*std::get_if<0>(&state_)); }

  T& operator*() & { return value(); }

  const T& operator*() const& { return value(); }

  T* operator->() { return &value(); }

  const T* operator->() const { return &value(); }

  const Error& error() const { return *std::get_if<1>(&state_); }

 private:
  std::variant<T, Error> state_;
};

/// A Result without a value.
class [[nodiscard]] Status {
 public:
  Status() = default;

  Status(Error error) : error_(std::move(error)) {}

  bool ok() const { return !error_.has_value(); }

  explicit operator bool() const { return ok(); }

  const Error& error() const { return *error_; }

 private:
  std::optional<Error> error_;
};

}  // namespace packproof

#define PACKPROOF_CONCAT_INNER(a, b) a##b
#define PACKPROOF_CONCAT(a, b) PACKPROOF_CONCAT_INNER(a, b)

/// Binds the value of a Result expression to `declaration`, or returns its error from the caller:
/// `PACKPROOF_TRY(const Packing packing, Packing::from_lengths(lens));`
#define PACKPROOF_TRY(declaration, expression)             \
  auto PACKPROOF_CONCAT(result_, __LINE__) = (expression); \
  if (!PACKPROOF_CONCAT(result_, __LINE__).ok())           \
    return PACKPROOF_CONCAT(result_, __LINE__).error();    \
  declaration = std::move(PACKPROOF_CONCAT(result_, __LINE__)).value()

/// Returns the error of a Status expression from the caller.
#define PACKPROOF_CHECK_OK(expression)                                \
  do {                                                                \
    if (auto packproof_status = (expression); !packproof_status.ok()) \
      return packproof_status.error();                                \
  } while (false)
