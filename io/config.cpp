#include "io/config.h"

#include <yaml-cpp/yaml.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <set>
#include <sstream>

#include "io/text.h"
#include "tensor/error.h"

namespace aikd::io {
namespace {

constexpr int kMaxDepth = 16;
constexpr int kMaxKeys = 1000;
constexpr std::streamsize kMaxBytes = 1
                                      << 20;  // a configuration is a page; aliases cannot multiply this much

class Flattener {
 public:
  explicit Flattener(const std::string& name) : name_(name) {}

  void mapping(const YAML::Node& node, const std::string& prefix, int depth) {
    check(depth <= kMaxDepth, node, concat("is nested deeper than ", kMaxDepth, " levels"), prefix);
    std::set<std::string> seen;
    for (const auto& item : node) {
      check(item.first.IsScalar(), item.first, "has a key that is not a plain word", prefix);
      const std::string own = item.first.Scalar();
      const std::string key = prefix.empty() ? own : prefix + "." + own;
      check(seen.insert(own).second, item.first, "is given twice", key);
      value(item.second, key, item.first.Mark().line + 1, depth);
    }
  }

  std::vector<ConfigEntry> take() { return std::move(entries_); }

 private:
  void value(const YAML::Node& node, const std::string& key, int line, int depth) {
    ConfigEntry entry;
    // Aliases let a short text stand for a huge tree; counting what is visited bounds it.
    check(++visited_ <= kMaxKeys, node, concat("is one key too many (the limit is ", kMaxKeys, ")"), key);
    entry.key = key;
    entry.line = line;
    switch (node.Type()) {
      case YAML::NodeType::Map:
        mapping(node, key, depth + 1);
        return;
      case YAML::NodeType::Sequence:
        for (const YAML::Node& element : node) {
          check(element.IsScalar(), element, "is a list that holds more than plain values", key);
          entry.values.push_back(element.Scalar());
        }
        break;
      case YAML::NodeType::Scalar:
        entry.values.push_back(node.Scalar());
        break;
      case YAML::NodeType::Null:
      case YAML::NodeType::Undefined:
        break;
    }
    entries_.push_back(std::move(entry));
  }

  void check(bool ok, const YAML::Node& node, const std::string& what, const std::string& key) const {
    require(ok, ErrorKind::kUsage, "The configuration ", in_quotes(name_), ", line ", node.Mark().line + 1,
            ": the key ", in_quotes(key), " ", what, ".");
  }

  const std::string& name_;
  std::vector<ConfigEntry> entries_;
  int visited_ = 0;
};

bool plain_is_safe(const std::string& value) {
  try {
    const YAML::Node node = YAML::Load(value);
    return node.IsScalar() && node.Scalar() == value && value.find('\n') == std::string::npos &&
           value.find(": ") == std::string::npos && value.find(" #") == std::string::npos;
  } catch (const YAML::Exception&) {
    return false;
  }
}

}  // namespace

std::vector<ConfigEntry> parse_config(std::string_view text, const std::string& name) {
  require(text.size() <= static_cast<std::size_t>(kMaxBytes), ErrorKind::kUsage, "The configuration ",
          in_quotes(name), " has ", text.size(), " bytes; the limit is ", kMaxBytes, ".");
  require(is_utf8(text), ErrorKind::kUsage, "The configuration ", in_quotes(name), " is not UTF-8 text.");
  try {
    const YAML::Node root = YAML::Load(std::string(text));
    if (root.IsNull()) return {};
    require(root.IsMap(), ErrorKind::kUsage, "The configuration ", in_quotes(name),
            " must be a mapping of keys to values (key: value).");
    Flattener flattener(name);
    flattener.mapping(root, "", 0);
    return flattener.take();
  } catch (const YAML::Exception& error) {
    fail(ErrorKind::kUsage, "The configuration ", in_quotes(name), ", line ", error.mark.line + 1,
         ", is not YAML: ", escape_for_terminal(error.msg), ".");
  }
}

std::vector<ConfigEntry> read_config(const std::filesystem::path& path) {
  std::error_code ignored;
  require(!std::filesystem::is_directory(path, ignored), ErrorKind::kUsage, "The configuration ",
          in_quotes(path.string()), " is a folder; expected a YAML file.");
  std::ifstream in(path, std::ios::binary);
  require(static_cast<bool>(in), ErrorKind::kUsage, "The configuration ", in_quotes(path.string()),
          " cannot be opened: ", std::strerror(errno), ".");
  std::string text(static_cast<std::size_t>(kMaxBytes) + 1, '\0');
  in.read(text.data(), kMaxBytes + 1);
  text.resize(static_cast<std::size_t>(in.gcount()));
  require(!in.bad(), ErrorKind::kUsage, "The configuration ", in_quotes(path.string()), " cannot be read.");
  return parse_config(text, path.string());
}

std::string yaml_line(std::string_view key, const std::vector<std::string>& values, bool list) {
  const auto scalar = [](const std::string& value) {
    if (plain_is_safe(value)) return value;
    YAML::Emitter out;
    out << YAML::DoubleQuoted << value;
    return std::string(out.c_str());
  };
  std::string line = scalar(std::string(key)) + ":";
  if (!list) return line + " " + (values.empty() ? std::string("null") : scalar(values.front())) + "\n";
  if (values.empty()) return line + " []\n";
  line += "\n";
  for (const std::string& value : values) line += "  - " + scalar(value) + "\n";
  return line;
}

}  // namespace aikd::io
