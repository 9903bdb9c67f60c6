// Errors of the library. The library throws aikd::Error and never prints or exits; a program catches it once
// and turns its kind into an exit code (apps/common). A message is a full sentence: what failed, which
// argument, expected, got.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace aikd {

enum class ErrorKind {
  kUsage,     // a wrong argument, option or configuration           -> exit code 2
  kModel,     // a model or weights file that cannot be used         -> exit code 3
  kDevice,    // a device that is absent or failed                   -> exit code 3
  kInput,     // one unreadable input (image, landmarks, list, ...)  -> its row's status, exit code 1
  kOutput,    // an output that cannot be written                    -> exit code 4
  kInternal,  // a broken promise between parts of this library: a bug
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const noexcept { return kind_; }

 private:
  ErrorKind kind_;
};

// Joins anything that can be streamed: concat("expected ", 3, ", got ", x).
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return std::move(out).str();
}

template <class... Parts>
[[noreturn]] void fail(ErrorKind kind, const Parts&... parts) {
  throw Error(kind, concat(parts...));
}

// Throws unless `ok`; the parts of the sentence are joined only on failure.
template <class... Parts>
void require(bool ok, ErrorKind kind, const Parts&... parts) {
  if (!ok) [[unlikely]]
    fail(kind, parts...);
}

}  // namespace aikd
