#include "io/pickle_reader.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstdio>

#include "io/text.h"

// Opcodes and their meaning: the standard library's Lib/pickletools.py and PEP 307, 3154, 574.
namespace aikd::io {
namespace {

// A value takes about 150 bytes, so this bounds the memory of a hostile file by some 20 GB; it is enough for
// the landmarks of the three million images of VGGFace2.
constexpr std::size_t kMaxObjects = std::size_t{1} << 27;

}  // namespace

PickleReader::PickleReader(std::span<const std::uint8_t> bytes, PickleHooks& hooks)
    : bytes_(bytes),
      hooks_(hooks),
      none_(std::make_shared<PickleValue>()),
      true_(std::make_shared<PickleValue>(PickleValue{true})),
      false_(std::make_shared<PickleValue>(PickleValue{false})) {}

PickleReader::~PickleReader() {
  // Containers may hold each other in cycles or to any depth. While containers_ holds them all, emptying one
  // frees no other, so there is neither a leak nor a deep recursion.
  for (const PickleRef& container : containers_) {
    PickleValue emptied;
    std::swap(*container, emptied);
  }
}

template <class... Parts>
void PickleReader::refuse(const Parts&... parts) const {
  fail(ErrorKind::kInput, "The pickle ", parts..., " (at its byte ", opcode_at_, ").");
}

void PickleReader::charge(std::size_t bytes) {
  constexpr std::size_t kFree = std::size_t{1} << 20, kPerByte = 16;
  const std::size_t limit = kFree + kPerByte * bytes_.size();
  if (bytes > limit - charged_)
    refuse("copies its parts so often that they would take over ", limit, " bytes");
  charged_ += bytes;
}

std::span<const std::uint8_t> PickleReader::take(std::uint64_t count) {
  if (count > bytes_.size() - at_)
    refuse("is truncated: ", count, " more bytes were expected, ", bytes_.size() - at_, " are left");
  const auto taken = bytes_.subspan(at_, static_cast<std::size_t>(count));
  at_ += taken.size();
  return taken;
}

std::uint64_t PickleReader::take_integer(std::size_t bytes) {
  std::uint64_t value = 0;
  const auto from = take(bytes);
  for (std::size_t i = bytes; i-- > 0;) value = (value << 8) | from[i];
  return value;
}

std::string PickleReader::take_text(std::uint64_t length) {
  const auto from = take(length);
  return {reinterpret_cast<const char*>(from.data()), from.size()};
}

std::string_view PickleReader::take_line() {
  const auto rest = bytes_.subspan(at_);
  const auto newline = std::ranges::find(rest, std::uint8_t{'\n'});
  if (newline == rest.end()) refuse("is truncated: a line without an end");
  const auto length = static_cast<std::size_t>(newline - rest.begin());
  at_ += length + 1;
  return {reinterpret_cast<const char*>(rest.data()), length};
}

PickleRef PickleReader::make(PickleValue value) {
  if (++objects_ > kMaxObjects) refuse("builds more than ", kMaxObjects, " objects");
  return track(std::make_shared<PickleValue>(std::move(value)));
}

PickleRef PickleReader::track(PickleRef value) {
  const bool container = std::holds_alternative<PickleList>(value->v) ||
                         std::holds_alternative<PickleTuple>(value->v) ||
                         std::holds_alternative<PickleDict>(value->v);
  if (container) containers_.push_back(value);
  return value;
}

PickleRef PickleReader::integer(std::int64_t value) {
  if (value < 0 || value > 255) return make({value});
  PickleRef& shared = small_[value];
  if (shared == nullptr) shared = make({value});
  return shared;
}

PickleRef PickleReader::long_integer(std::string_view two_complement) {
  const std::size_t size = two_complement.size();
  if (size == 0) return integer(0);
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(two_complement[i]); };
  const std::uint8_t sign = (byte(size - 1) & 0x80U) != 0 ? 0xff : 0;
  std::uint64_t value = 0;
  for (std::size_t i = 8; i-- > 0;) value = (value << 8) | (i < size ? byte(i) : sign);
  bool fits = size <= 8 || (byte(7) & 0x80U) == (sign & 0x80U);
  for (std::size_t i = 8; i < size; ++i) fits = fits && byte(i) == sign;
  if (!fits) return make_pickle_object(std::make_shared<PickleBigInteger>(std::string(two_complement)));
  return integer(std::bit_cast<std::int64_t>(value));
}

PickleRef PickleReader::parse_int_line() {
  const std::string_view line = take_line();
  if (line == "00") return false_;  // protocol 0's booleans
  if (line == "01") return true_;
  std::int64_t value = 0;
  const char* end = line.data() + line.size();
  const auto result = std::from_chars(line.data(), end, value);
  if (result.ec != std::errc() || result.ptr != end)
    refuse("has the integer ", in_quotes(line), ", which is not one of 64 bits");
  return integer(value);
}

PickleRef PickleReader::parse_long_line() {
  std::string_view line = take_line();
  if (line.ends_with('L')) line.remove_suffix(1);
  std::int64_t value = 0;
  const char* end = line.data() + line.size();
  const auto result = std::from_chars(line.data(), end, value);
  if (result.ec != std::errc() || result.ptr != end)
    refuse("has the integer ", in_quotes(line), ", which is not one of 64 bits");
  return integer(value);
}

PickleRef PickleReader::pop() {
  const std::size_t floor = marks_.empty() ? 0 : marks_.back();
  if (stack_.size() <= floor) refuse("takes more values from its stack than there are");
  PickleRef value = std::move(stack_.back());
  stack_.pop_back();
  return value;
}

const PickleRef& PickleReader::top() {
  const std::size_t floor = marks_.empty() ? 0 : marks_.back();
  if (stack_.size() <= floor) refuse("takes more values from its stack than there are");
  return stack_.back();
}

std::vector<PickleRef> PickleReader::pop_mark() {
  if (marks_.empty()) refuse("asks for a mark that was not set");
  const auto from = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
  std::vector<PickleRef> items(std::make_move_iterator(from), std::make_move_iterator(stack_.end()));
  stack_.erase(from, stack_.end());
  marks_.pop_back();
  return items;
}

void PickleReader::push_tuple(std::size_t count) {
  PickleTuple tuple;
  for (std::size_t i = 0; i < count; ++i) tuple.items.push_back(pop());
  std::ranges::reverse(tuple.items);
  push(make({std::move(tuple)}));
}

void PickleReader::append(PickleValue& list, std::vector<PickleRef> items) {
  auto* target = std::get_if<PickleList>(&list.v);
  if (target == nullptr) refuse("appends to ", describe(list), ", which is not a list");
  target->items.insert(target->items.end(), std::make_move_iterator(items.begin()),
                       std::make_move_iterator(items.end()));
}

void PickleReader::set_items(PickleValue& dict, std::vector<PickleRef> items) {
  auto* target = std::get_if<PickleDict>(&dict.v);
  if (target == nullptr) refuse("sets items of ", describe(dict), ", which is not a dict");
  if (items.size() % 2 != 0) refuse("has a dict with a key that lacks its value");
  for (std::size_t i = 0; i < items.size(); i += 2) {
    const PickleValue& key = *items[i];
    if (std::holds_alternative<PickleList>(key.v) || std::holds_alternative<PickleDict>(key.v) ||
        std::holds_alternative<Tensor>(key.v))
      refuse("has ", describe(key), " as the key of a dict");
    target->items.emplace_back(std::move(items[i]), std::move(items[i + 1]));
  }
}

void PickleReader::memoize(std::uint64_t index) {
  const PickleRef& value = top();
  if (index < memo_.size()) {
    memo_[static_cast<std::size_t>(index)] = value;
  } else if (index == memo_.size()) {
    memo_.push_back(value);
  } else {
    memo_beyond_[index] = value;
  }
}

void PickleReader::recall(std::uint64_t index) {
  if (index < memo_.size()) return push(PickleRef(memo_[static_cast<std::size_t>(index)]));
  const auto found = memo_beyond_.find(index);
  if (found == memo_beyond_.end()) refuse("asks for the memo entry ", index, ", which was not set");
  push(PickleRef(found->second));
}

void PickleReader::push_global(const std::string& module, const std::string& name) {
  PickleRef global = hooks_.find_global(module, name);
  if (global == nullptr)
    fail(ErrorKind::kInput, "The pickle asks for the global ", in_quotes(module + "." + name),
         ", which this reader does not build (at its byte ", opcode_at_, ").", hooks_.advice(module, name));
  if (++objects_ > kMaxObjects) refuse("builds more than ", kMaxObjects, " objects");
  push(track(std::move(global)));
}

void PickleReader::reduce() {
  const PickleRef arguments = pop(), callable = pop();
  const auto* tuple = std::get_if<PickleTuple>(&arguments->v);
  if (tuple == nullptr) refuse("calls something with ", describe(*arguments), " instead of a tuple");
  const auto* object = std::get_if<std::shared_ptr<PickleObject>>(&callable->v);
  if (object == nullptr) refuse("calls ", describe(*callable), " as if it were a function");
  if (++objects_ > kMaxObjects) refuse("builds more than ", kMaxObjects, " objects");
  push(track((*object)->call(*this, *tuple)));
}

void PickleReader::build() {
  const PickleRef state = pop();
  const PickleRef target = top();
  if (std::holds_alternative<PickleDict>(target->v)) return;  // attributes of an OrderedDict: not data
  const auto* found = std::get_if<std::shared_ptr<PickleObject>>(&target->v);
  if (found == nullptr) refuse("sets the state of ", describe(*target));
  const std::shared_ptr<PickleObject> object = *found;  // build() may replace what the value holds
  object->build(*this, *target, *state);
}

PickleRef PickleReader::read() {
  stack_.clear();
  marks_.clear();
  memo_.clear();
  memo_beyond_.clear();
  while (step()) {
  }
  PickleRef result = pop();
  if (!stack_.empty() || !marks_.empty()) refuse("ends with more than one value on its stack");
  memo_.clear();
  memo_beyond_.clear();
  return result;
}

bool PickleReader::step() {
  opcode_at_ = at_;
  const std::uint8_t opcode = take(1)[0];
  switch (opcode) {
    case '.':  // STOP
      return false;
    case 0x80: {  // PROTO
      const std::uint64_t protocol = take_integer(1);
      if (protocol > 5) refuse("has protocol ", protocol, "; protocols 0 to 5 are read");
      return true;
    }
    case 0x95: {  // FRAME: only a promise that so many bytes follow
      const std::uint64_t length = take_integer(8);
      if (length > bytes_.size() - at_)
        refuse("is truncated: a frame of ", length, " bytes, of which ", bytes_.size() - at_, " are left");
      return true;
    }
    default:
      if (!step_value(opcode) && !step_container(opcode) && !step_object(opcode)) refuse_opcode(opcode);
      return true;
  }
}

bool PickleReader::step_value(std::uint8_t opcode) {
  switch (opcode) {
    case 'N':  // NONE
      push(none_);
      return true;
    case 0x88:  // NEWTRUE
      push(true_);
      return true;
    case 0x89:  // NEWFALSE
      push(false_);
      return true;
    case 'I':  // INT
      push(parse_int_line());
      return true;
    case 'J':  // BININT, signed
      push(integer(static_cast<std::int32_t>(static_cast<std::uint32_t>(take_integer(4)))));
      return true;
    case 'K':  // BININT1
      push(integer(static_cast<std::int64_t>(take_integer(1))));
      return true;
    case 'M':  // BININT2
      push(integer(static_cast<std::int64_t>(take_integer(2))));
      return true;
    case 'L':  // LONG
      push(parse_long_line());
      return true;
    case 0x8a:  // LONG1
      push(long_integer(take_text(take_integer(1))));
      return true;
    case 0x8b:  // LONG4
      push(long_integer(take_text(take_integer(4))));
      return true;
    case 'F': {  // FLOAT
      const std::string_view line = take_line();
      double value = 0;
      const char* end = line.data() + line.size();
      const auto result = std::from_chars(line.data(), end, value);
      if (result.ec != std::errc() || result.ptr != end)
        refuse("has the floating-point number ", in_quotes(line), ", which is none");
      push(make({value}));
      return true;
    }
    case 'G': {  // BINFLOAT: big-endian, unlike everything else
      std::uint64_t bits = 0;
      for (const std::uint8_t byte : take(8)) bits = (bits << 8) | byte;
      push(make({std::bit_cast<double>(bits)}));
      return true;
    }
    case 'S':  // STRING
      push(make({decode_string_literal(take_line())}));
      return true;
    case 'U':  // SHORT_BINSTRING: Python 2's str, text or raw bytes
      push(make({take_text(take_integer(1))}));
      return true;
    case 'T':  // BINSTRING; the length is signed in the format, a negative one is longer than any file
      push(make({take_text(take_integer(4))}));
      return true;
    case 'V':  // UNICODE
      push(make({decode_raw_unicode_escape(take_line())}));
      return true;
    case 0x8c:  // SHORT_BINUNICODE
      push(make({decode_python_utf8(take_text(take_integer(1)))}));
      return true;
    case 'X':  // BINUNICODE
      push(make({decode_python_utf8(take_text(take_integer(4)))}));
      return true;
    case 0x8d:  // BINUNICODE8
      push(make({decode_python_utf8(take_text(take_integer(8)))}));
      return true;
    case 'C':  // SHORT_BINBYTES
      push(make({PickleBytes{take_text(take_integer(1))}}));
      return true;
    case 'B':  // BINBYTES
      push(make({PickleBytes{take_text(take_integer(4))}}));
      return true;
    case 0x8e:  // BINBYTES8
    case 0x96:  // BYTEARRAY8
      push(make({PickleBytes{take_text(take_integer(8))}}));
      return true;
    default:
      return false;
  }
}

bool PickleReader::step_container(std::uint8_t opcode) {
  switch (opcode) {
    case '(':  // MARK
      marks_.push_back(stack_.size());
      return true;
    case '0':  // POP, which also takes a mark
      if (!marks_.empty() && marks_.back() == stack_.size()) {
        marks_.pop_back();
      } else {
        pop();
      }
      return true;
    case '1':  // POP_MARK
      pop_mark();
      return true;
    case '2':  // DUP
      push(PickleRef(top()));
      return true;
    case ']':  // EMPTY_LIST
      push(make({PickleList{}}));
      return true;
    case 'l':  // LIST
      push(make({PickleList{pop_mark()}}));
      return true;
    case 'a': {  // APPEND
      PickleRef item = pop();
      append(*top(), {std::move(item)});
      return true;
    }
    case 'e': {  // APPENDS
      std::vector<PickleRef> items = pop_mark();
      append(*top(), std::move(items));
      return true;
    }
    case ')':  // EMPTY_TUPLE
      push_tuple(0);
      return true;
    case 't':  // TUPLE
      push(make({PickleTuple{pop_mark()}}));
      return true;
    case 0x85:  // TUPLE1
    case 0x86:  // TUPLE2
    case 0x87:  // TUPLE3
      push_tuple(opcode - 0x84U);
      return true;
    case '}':  // EMPTY_DICT
      push(make({PickleDict{}}));
      return true;
    case 'd': {  // DICT
      std::vector<PickleRef> items = pop_mark();
      push(make({PickleDict{}}));
      set_items(*top(), std::move(items));
      return true;
    }
    case 's': {  // SETITEM
      PickleRef value = pop(), key = pop();
      set_items(*top(), {std::move(key), std::move(value)});
      return true;
    }
    case 'u': {  // SETITEMS
      std::vector<PickleRef> items = pop_mark();
      set_items(*top(), std::move(items));
      return true;
    }
    default:
      return false;
  }
}

std::uint64_t PickleReader::take_memo_index() {
  const std::string_view line = take_line();
  std::uint64_t index = 0;
  const char* end = line.data() + line.size();
  const auto result = std::from_chars(line.data(), end, index);
  if (result.ec != std::errc() || result.ptr != end)
    refuse("has the memo index ", in_quotes(line), ", which is not a number");
  return index;
}

bool PickleReader::step_object(std::uint8_t opcode) {
  switch (opcode) {
    case 'g':  // GET
      recall(take_memo_index());
      return true;
    case 'h':  // BINGET
      recall(take_integer(1));
      return true;
    case 'j':  // LONG_BINGET
      recall(take_integer(4));
      return true;
    case 'p':  // PUT
      memoize(take_memo_index());
      return true;
    case 'q':  // BINPUT
      memoize(take_integer(1));
      return true;
    case 'r':  // LONG_BINPUT
      memoize(take_integer(4));
      return true;
    case 0x94:  // MEMOIZE
      memoize(memo_.size() + memo_beyond_.size());
      return true;
    case 'c': {  // GLOBAL
      const std::string module(take_line()), name(take_line());
      push_global(module, name);
      return true;
    }
    case 0x93: {  // STACK_GLOBAL
      const PickleRef name = pop(), module = pop();
      const auto* name_text = std::get_if<std::string>(&name->v);
      const auto* module_text = std::get_if<std::string>(&module->v);
      if (name_text == nullptr || module_text == nullptr)
        refuse("names a global by ", describe(*module), " and ", describe(*name), " instead of two strings");
      push_global(*module_text, *name_text);
      return true;
    }
    case 'R':   // REDUCE
    case 0x81:  // NEWOBJ: cls.__new__(cls, *args), the same for the few classes that are known
      reduce();
      return true;
    case 'b':  // BUILD
      build();
      return true;
    case 'P': {  // PERSID
      const std::string id(take_line());
      push(hooks_.persistent_load({id}));
      return true;
    }
    case 'Q': {  // BINPERSID
      const PickleRef id = pop();
      if (++objects_ > kMaxObjects) refuse("builds more than ", kMaxObjects, " objects");
      push(hooks_.persistent_load(*id));
      return true;
    }
    default:
      return false;
  }
}

void PickleReader::refuse_opcode(std::uint8_t opcode) const {
  static constexpr std::pair<std::uint8_t, const char*> kRefused[] = {
      {'i', "INST"},       {'o', "OBJ"},          {0x92, "NEWOBJ_EX"},      {0x82, "EXT1"},
      {0x83, "EXT2"},      {0x84, "EXT4"},        {0x8f, "EMPTY_SET"},      {0x90, "ADDITEMS"},
      {0x91, "FROZENSET"}, {0x97, "NEXT_BUFFER"}, {0x98, "READONLY_BUFFER"}};
  for (const auto& [code, name] : kRefused) {
    if (code == opcode) refuse("uses the opcode ", name, ", which this reader does not interpret");
  }
  char hex[8];
  std::snprintf(hex, sizeof hex, "0x%02x", static_cast<unsigned>(opcode));
  refuse("has the byte ", hex, " where an opcode was expected; the file is damaged or not a pickle");
}

}  // namespace aikd::io
