// Pair lists (aikd/verification.h).
#include <charconv>
#include <fstream>
#include <optional>
#include <sstream>

#include "aikd/verification.h"
#include "io/text.h"
#include "tensor/error.h"

namespace aikd {
namespace {

std::vector<std::string> split(const std::string& line) {
  std::vector<std::string> fields;
  std::string field;
  const bool tabs = line.find('\t') != std::string::npos;
  for (const char c : line) {
    if (c == '\t' || (!tabs && c == ' ')) {
      if (!field.empty()) fields.push_back(field);
      field.clear();
    } else {
      field += c;
    }
  }
  if (!field.empty()) fields.push_back(field);
  return fields;
}

std::optional<int> number(const std::string& text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

struct Line {
  int number;
  std::vector<std::string> fields;
};

class Parser {
 public:
  Parser(std::string_view text, const std::string& source, const std::string& extension)
      : source_(source), extension_(extension) {
    std::istringstream in{std::string(text)};
    int count = 0;
    for (std::string line; std::getline(in, line);) {
      ++count;
      if (!line.empty() && line.back() == '\r') line.pop_back();
      if (!line.empty() && line[0] == '#') continue;
      Line fields{count, split(line)};
      if (!fields.fields.empty()) lines_.push_back(std::move(fields));
    }
  }

  PairList parse() const {
    require(!lines_.empty(), ErrorKind::kInput, "The pair list ", io::in_quotes(source_, 1000), " is empty.");
    return lines_[0].fields.size() < 3 ? lfw() : labelled();
  }

 private:
  template <class... Parts>
  [[noreturn]] void fail_at(const Line& line, const Parts&... parts) const {
    fail(ErrorKind::kInput, "Line ", line.number, " of the pair list ", io::in_quotes(source_, 1000), " ",
         parts...);
  }

  std::string image(const Line& line, const std::string& name, const std::string& index) const {
    const std::optional<int> i = number(index);
    if (!i)
      fail_at(line, "must have the number of an image after the name ", io::in_quotes(name), ", got ",
              io::in_quotes(index), ".");
    std::string digits = std::to_string(*i);
    if (digits.size() < 4) digits.insert(0, 4 - digits.size(), '0');
    return name + "/" + name + "_" + digits + extension_;
  }

  PairList lfw() const {
    const Line& head = lines_[0];
    const bool has_folds = head.fields.size() == 2;
    const std::optional<int> folds = has_folds ? number(head.fields[0]) : std::optional<int>(1);
    const std::optional<int> each = number(head.fields.back());
    if (!folds || !each || *folds == 0 || *each == 0) {
      fail_at(head, "must be LFW's head (number of folds and of pairs, \"10 300\") or a pair \"a b 1\"; got ",
              io::in_quotes(head.fields[0]), head.fields.size() > 1 ? " " : "",
              head.fields.size() > 1 ? io::in_quotes(head.fields[1]) : "", ".");
    }
    const std::int64_t expected = 2LL * *folds * *each;
    require(static_cast<std::int64_t>(lines_.size()) == expected + 1, ErrorKind::kInput, "The pair list ",
            io::in_quotes(source_, 1000), " must have ", *folds, " x 2 x ", *each, " = ", expected,
            " pairs by its first line, got ", lines_.size() - 1, ".");
    PairList out;
    out.folds = *folds;
    for (std::size_t i = 1; i < lines_.size(); ++i) {
      const Line& line = lines_[i];
      const auto within = static_cast<int>(i - 1) % (2 * *each);
      const bool same = within < *each;
      const auto& f = line.fields;
      if (f.size() != (same ? 3U : 4U)) {
        fail_at(line, "must have ",
                same ? "3 fields (name, image, image)" : "4 fields (name, image, name, image)", ", got ",
                f.size(), ".");
      }
      out.pairs.push_back({image(line, f[0], f[1]), same ? image(line, f[0], f[2]) : image(line, f[2], f[3]),
                           same, static_cast<int>(i - 1) / (2 * *each)});
    }
    return out;
  }

  PairList labelled() const {
    PairList out;
    const std::size_t n = lines_.size(), folds = 10;
    for (std::size_t i = 0; i < n; ++i) {
      const Line& line = lines_[i];
      const auto& f = line.fields;
      if (f.size() != 3) fail_at(line, "must have 3 fields (path, path, 0 or 1), got ", f.size(), ".");
      if (f[2] != "0" && f[2] != "1") fail_at(line, "must end in 0 or 1, got ", io::in_quotes(f[2]), ".");
      // Fold k has n / folds pairs, and one more where k < n % folds.
      const std::size_t larger = (n / folds + 1) * (n % folds);
      const std::size_t fold = i < larger ? i / (n / folds + 1) : n % folds + (i - larger) / (n / folds);
      out.pairs.push_back({f[0], f[1], f[2] == "1", static_cast<int>(fold)});
    }
    return out;
  }

  std::string source_, extension_;
  std::vector<Line> lines_;
};

}  // namespace

PairList parse_pairs(std::string_view text, const std::string& source, const std::string& extension) {
  return Parser(text, source, extension).parse();
}

PairList read_pairs(const std::filesystem::path& path, const std::string& extension) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  if (in) text << in.rdbuf();
  require(static_cast<bool>(in) && !in.bad() && !std::filesystem::is_directory(path), ErrorKind::kInput,
          "The pair list ", io::in_quotes(path.string(), 1000), " cannot be read.");
  return parse_pairs(text.str(), path.string(), extension);
}

}  // namespace aikd
