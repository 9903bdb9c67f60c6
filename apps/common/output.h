// A file or standard output for rows: buffered, every error noticed and told with its reason.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace aikd::apps {

class OutputFile {
 public:
  enum class Mode { kReplace, kAppend };
  // "" or "-": standard output. All functions throw Error(kOutput).
  explicit OutputFile(const std::string& path, Mode mode = Mode::kReplace);
  ~OutputFile();  // without close(): what is buffered is written, errors are lost
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(std::string_view text);  // kept until flush() or until there is a good deal of it
  void flush();
  void close();  // flush; a file is closed (standard output stays open)
  // A file on a disk rather than standard output, a pipe or a device.
  bool is_regular_file() const noexcept { return regular_; }
  bool is_standard_output() const noexcept { return path_.empty(); }

 private:
  [[noreturn]] void fail_with(int error) const;

  std::string path_, buffer_;
  int fd_ = -1;
  bool regular_ = false;
};

}  // namespace aikd::apps
