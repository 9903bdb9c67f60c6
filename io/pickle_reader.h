// The machine that interprets a pickle. It knows the opcodes that build plain data; what a global or a
// persistent id stands for is asked of the hooks, and what they do not know is refused by name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "io/pickle.h"

namespace aikd::io {

class PickleReader;

// What stands on the machine's stack beside plain data: a known global, an array whose state has not come
// yet, an integer of more than 64 bits, a storage of PyTorch. None is left in the result.
class PickleObject {
 public:
  virtual ~PickleObject() = default;
  virtual std::string description() const = 0;  // for messages: "the class 'numpy.dtype'"
  // REDUCE and NEWOBJ. Refused unless overridden.
  virtual PickleRef call(PickleReader& reader, const PickleTuple& arguments);
  // BUILD: may replace `self`, the value that holds this object. Refused unless overridden.
  virtual void build(PickleReader& reader, PickleValue& self, const PickleValue& state);
};

// A global that is called with a tuple of arguments.
class PickleFunction final : public PickleObject {
 public:
  using Function = std::function<PickleRef(PickleReader&, const PickleTuple&)>;
  PickleFunction(std::string name, Function function)
      : name_(std::move(name)), function_(std::move(function)) {}
  std::string description() const override;
  PickleRef call(PickleReader& reader, const PickleTuple& arguments) override;

 private:
  std::string name_;
  Function function_;
};

// An integer outside of 64 bits: two's complement, little-endian.
class PickleBigInteger final : public PickleObject {
 public:
  explicit PickleBigInteger(std::string bytes) : bytes_(std::move(bytes)) {}
  std::string description() const override { return "an integer of more than 64 bits"; }
  const std::string& bytes() const noexcept { return bytes_; }

 private:
  std::string bytes_;
};

// The base knows collections.OrderedDict, _codecs.encode, bytes, bytearray and numpy's scalars and arrays.
class PickleHooks {
 public:
  virtual ~PickleHooks() = default;
  // Null when the global is unknown; the reader then refuses it by name and adds advice(), " One
  // more sentence.", or nothing.
  virtual PickleRef find_global(const std::string& module, const std::string& name);
  virtual std::string advice(const std::string& module, const std::string& name) const;
  virtual PickleRef persistent_load(const PickleValue& id);  // refused unless overridden
};

// Errors are Error(kInput). Limits: memory grows at most linearly with the pickle's bytes; see the constants
// in the source files.
class PickleReader {
 public:
  PickleReader(std::span<const std::uint8_t> bytes, PickleHooks& hooks);
  ~PickleReader();  // takes apart what was built when finish() was not reached, cycles included
  PickleReader(const PickleReader&) = delete;
  PickleReader& operator=(const PickleReader&) = delete;

  // Interprets the pickle at position(), which then is behind its STOP. The result may hold PickleObjects.
  PickleRef read();
  std::size_t position() const noexcept { return at_; }

  // What hooks copy out of their arguments is charged here, because a pickle of a few bytes can name the same
  // large argument again and again. Refused beyond 16 times the pickle's size (and 1 MiB).
  void charge(std::size_t bytes);

  // The last step: refuses cycles, deep nesting, sharing that would explode when walked, duplicate keys, and
  // PickleObjects inside `root`. After it the value owns itself and the reader can go.
  void finish(const PickleRef& root);

 private:
  class Checker;

  std::span<const std::uint8_t> take(std::uint64_t count);
  std::uint64_t take_integer(std::size_t bytes);  // little-endian
  std::string_view take_line();
  std::uint64_t take_memo_index();  // a decimal line, as GET and PUT have it
  std::string take_text(std::uint64_t length);

  PickleRef make(PickleValue value);
  PickleRef integer(std::int64_t value);
  PickleRef long_integer(std::string_view two_complement);
  PickleRef parse_int_line();
  PickleRef parse_long_line();
  PickleRef track(PickleRef value);  // containers are remembered, so that cycles can be found and undone

  void push(PickleRef value) { stack_.push_back(std::move(value)); }
  PickleRef pop();
  const PickleRef& top();
  std::vector<PickleRef> pop_mark();
  void push_tuple(std::size_t count);
  void append(PickleValue& list, std::vector<PickleRef> items);
  void set_items(PickleValue& dict, std::vector<PickleRef> items);
  void memoize(std::uint64_t index);
  void recall(std::uint64_t index);
  void push_global(const std::string& module, const std::string& name);
  void reduce();
  void build();
  bool step();  // false after STOP
  bool step_value(std::uint8_t opcode);
  bool step_container(std::uint8_t opcode);
  bool step_object(std::uint8_t opcode);
  [[noreturn]] void refuse_opcode(std::uint8_t opcode) const;
  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... parts) const;

  std::span<const std::uint8_t> bytes_;
  PickleHooks& hooks_;
  std::size_t at_ = 0;
  std::size_t opcode_at_ = 0;
  std::vector<PickleRef> stack_;
  std::vector<std::size_t> marks_;                            // heights of the stack
  std::vector<PickleRef> memo_;                               // entries 0, 1, 2, ...
  std::unordered_map<std::uint64_t, PickleRef> memo_beyond_;  // a hostile pickle may skip numbers
  std::vector<PickleRef> containers_;
  std::unordered_map<std::int64_t, PickleRef> small_;  // shared integers, booleans and None
  PickleRef none_, true_, false_;
  std::size_t objects_ = 0;
  std::size_t charged_ = 0;
};

// Strings of the text opcodes and of Python's UTF-8 "surrogatepass" (io/pickle_text.cpp). Error(kInput).
std::string decode_python_utf8(std::string_view bytes);
std::string encode_python_utf8(std::string_view text);
std::string decode_string_literal(std::string_view line);  // STRING: a quoted Python 2 literal
std::string decode_raw_unicode_escape(std::string_view line);
std::string latin1_bytes(std::string_view utf8);  // the bytes that Latin-1 gives these characters

// numpy's globals (io/pickle_numpy.cpp), null when the name is not one of them.
PickleRef find_numpy_global(const std::string& module, const std::string& name);

PickleRef make_pickle_object(std::shared_ptr<PickleObject> object);
// Whether `value` is the kind T of PickleObject; null otherwise.
template <class T>
std::shared_ptr<T> pickle_object_as(const PickleValue& value) {
  const auto* object = std::get_if<std::shared_ptr<PickleObject>>(&value.v);
  return object == nullptr ? nullptr : std::dynamic_pointer_cast<T>(*object);
}
// "a dict", "an integer", ...
std::string describe(const PickleValue& value);

}  // namespace aikd::io
