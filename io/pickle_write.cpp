// The original's score file: {path: numpy.float32}, protocol 4.
//
// A numpy.float32 is written as numpy itself does it, scalar(dtype("f4"), four bytes), under the name
// numpy.core.multiarray.scalar: that is what numpy 1.x (with which the original's files were made) writes,
// and numpy 2.x, where the module's home is numpy._core, keeps this very name importable for old pickles.
// numpy._core.multiarray.scalar would fail in numpy before 1.26.
#include <bit>
#include <string_view>
#include <unordered_map>

#include "io/pickle.h"
#include "io/pickle_reader.h"

namespace aikd::io {
namespace {

class Writer {
 public:
  void opcode(std::uint8_t code) { out_.push_back(code); }
  void raw(std::string_view bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }
  void little_endian(std::uint64_t value, std::size_t bytes) {
    for (std::size_t i = 0; i < bytes; ++i) out_.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
  }
  void text(std::string_view utf8) {
    if (utf8.size() < 256) {
      opcode(0x8c);  // SHORT_BINUNICODE
      little_endian(utf8.size(), 1);
    } else {
      opcode('X');  // BINUNICODE
      little_endian(utf8.size(), 4);
    }
    raw(utf8);
  }
  void memoize() { opcode(0x94); }
  void global(std::string_view module, std::string_view name) {
    text(module);
    text(name);
    opcode(0x93);  // STACK_GLOBAL
  }
  // dtype("f4", False, True) with the state (3, "<", None, None, None, -1, -1, 0); little-endian.
  void float32_dtype() {
    global("numpy", "dtype");
    text("f4");
    raw("\x89\x88\x87R");                       // NEWFALSE NEWTRUE TUPLE3 REDUCE
    raw("(K\x03\x8c\x01<NNN");                  // MARK, 3, "<", None, None, None
    raw("J\xff\xff\xff\xffJ\xff\xff\xff\xff");  // -1, -1
    raw(std::string_view("K\0tb", 4));          // 0, TUPLE, BUILD
  }
  std::vector<std::uint8_t> take() { return std::move(out_); }

 private:
  std::vector<std::uint8_t> out_;
};

}  // namespace

std::vector<std::uint8_t> write_score_pickle(const std::vector<std::pair<std::string, float>>& scores) {
  std::unordered_map<std::string_view, std::size_t> position;
  std::vector<std::pair<std::string_view, float>> unique;
  for (const auto& [path, score] : scores) {
    const auto [found, is_new] = position.try_emplace(path, unique.size());
    if (is_new) unique.emplace_back(path, score);
    unique[found->second].second = score;
  }

  Writer out;
  out.raw("\x80\x04");  // PROTO 4
  // The function and the dtype are put into the memo at 0 and 1 and taken off the stack again.
  out.global("numpy.core.multiarray", "scalar");
  out.memoize();
  out.opcode('0');
  out.float32_dtype();
  out.memoize();
  out.opcode('0');
  out.opcode('}');
  constexpr std::size_t kBatch = 1000;  // as Python's pickler, so that a reader's stack stays small
  for (std::size_t i = 0; i < unique.size(); ++i) {
    if (i % kBatch == 0) out.opcode('(');
    out.text(encode_python_utf8(unique[i].first));
    out.raw(std::string_view("h\0h\1C\4", 6));  // scalar, dtype, SHORT_BINBYTES of 4
    out.little_endian(std::bit_cast<std::uint32_t>(unique[i].second), 4);
    out.raw("\x86R");  // TUPLE2 REDUCE
    if ((i + 1) % kBatch == 0 || i + 1 == unique.size()) out.opcode('u');
  }
  out.opcode('.');
  return out.take();
}

}  // namespace aikd::io
