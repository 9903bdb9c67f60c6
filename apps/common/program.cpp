#include "apps/common/program.h"

#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <filesystem>
#include <iostream>
#include <memory>
#include <new>

#include "tensor/config.h"

namespace aikd::apps {
namespace {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0U : 1U);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row.back();
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    for (const std::string& name : option->get_fnames()) names.push_back("--" + name);
  }
  return names;
}

// CLI11's sentence, ended by a full stop, and what the misspelt option may have meant.
std::string usage_sentence(const CLI::App& app, const CLI::ParseError& error, int argc, char** argv) {
  std::string text = error.what();
  std::replace(text.begin(), text.end(), '\n', ' ');
  while (!text.empty() && (text.back() == ' ' || text.back() == '.')) text.pop_back();
  text += '.';
  if (dynamic_cast<const CLI::ExtrasError*>(&error) == nullptr) return text;
  const std::vector<std::string> names = option_names(app);
  for (int i = 1; i < argc; ++i) {
    std::string word = argv[i];
    if (!word.starts_with("--") || word.size() == 2) continue;
    word.resize(std::min(word.size(), word.find('=')));
    if (std::find(names.begin(), names.end(), word) != names.end()) continue;
    if (const std::string meant = nearest(word, names); !meant.empty()) {
      text += " Did you mean " + meant + "?";
      break;
    }
  }
  return text;
}

// Help that fits a terminal: descriptions are broken into lines, and a flag's negation is shown as its name
// alone.
class HelpFormatter final : public CLI::Formatter {
 public:
  explicit HelpFormatter(std::size_t column) { column_width(column); }

  std::string make_option_name(const CLI::Option* option, bool is_positional) const override {
    std::string name = CLI::Formatter::make_option_name(option, is_positional);
    constexpr std::string_view kMark = "{false}";
    for (std::size_t at = name.find(kMark); at != std::string::npos; at = name.find(kMark))
      name.erase(at, kMark.size());
    return name;
  }

  std::string make_option_desc(const CLI::Option* option) const override {
    constexpr std::size_t kLine = 100;
    const std::size_t width = kLine - std::min<std::size_t>(get_column_width(), kLine - 30);
    std::string out, line, word;
    const std::string text = CLI::Formatter::make_option_desc(option) + ' ';
    for (const char c : text) {
      if (c != ' ' && c != '\n') {
        word += c;
        continue;
      }
      if (!line.empty() && line.size() + 1 + word.size() > width) {
        out += line + '\n';
        line.clear();
      }
      line += (line.empty() ? "" : " ") + word;
      word.clear();
      if (c == '\n') {
        out += line + '\n';
        line.clear();
      }
    }
    return out + line;
  }
};

// A program started with a standard stream closed would open its next file in that stream's place, and write
// its rows or messages there. A stand-in that fails the wrong way round (reading 1 and 2, writing 0) keeps
// the errors.
void occupy_standard_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) != -1) continue;
    const int got = ::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    if (got >= 0 && got != fd) {
      ::dup2(got, fd);
      ::close(got);
    }
  }
}

}  // namespace

int exit_code(ErrorKind kind) noexcept {
  switch (kind) {
    case ErrorKind::kUsage:
      return kExitUsage;
    case ErrorKind::kModel:
    case ErrorKind::kDevice:
      return kExitModel;
    case ErrorKind::kInput:
      return kExitSomeFailed;
    case ErrorKind::kOutput:
      return kExitOutput;
    case ErrorKind::kInternal:
      break;
  }
  return kExitBug;
}

int run_program(int argc, char** argv, const std::function<int(int, char**)>& body) {
  occupy_standard_streams();
  std::signal(SIGPIPE, SIG_IGN);
  const std::string name = argc > 0 ? std::filesystem::path(argv[0]).filename().string() : "aikd";
  try {
    int code = body(argc, argv);
    std::cout.flush();
    if (!std::cout) {
      std::cerr << name << ": Standard output could not be written (closed, or its disk is full).\n";
      code = kExitOutput;
    }
    return code;
  } catch (const Error& error) {
    std::cerr << name << ": " << error.what() << '\n';
    if (error.kind() == ErrorKind::kUsage) std::cerr << "Try '" << name << " --help'.\n";
    if (error.kind() == ErrorKind::kInternal) std::cerr << name << ": this is a bug; please report it.\n";
    return exit_code(error.kind());
  } catch (const std::bad_alloc&) {
    std::cerr << name << ": There is not enough memory.\n";
    return kExitModel;
  } catch (const std::exception& error) {
    std::cerr << name << ": " << error.what() << " (this is a bug; please report it)\n";
    return kExitBug;
  }
}

bool parse_command_line(CLI::App& app, int argc, char** argv) {
  app.formatter(std::make_shared<HelpFormatter>(app.get_formatter()->get_column_width()));
  try {
    app.parse(argc, argv);
    return true;
  } catch (const CLI::Success& asked) {  // --help, --version
    app.exit(asked, std::cout, std::cerr);
    return false;
  } catch (const CLI::ParseError& error) {
    fail(ErrorKind::kUsage, usage_sentence(app, error, argc, argv));
  }
}

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

std::string version_line(std::string_view program) {
  return concat(program, " ", kVersion, " (", kBuildType, ", ", kCompiler,
                *kSanitizers == '\0' ? "" : ", sanitizers: ", kSanitizers, ")");
}

std::string citation() {
  return "@inproceedings{babnik2024aikd,\n"
         "  title     = {{AI-KD}: Towards Alignment Invariant Face Image Quality Assessment Using Knowledge "
         "Distillation},\n"
         "  author    = {Babnik, {\\v{Z}}iga and Boutros, Fadi and Damer, Naser and Peer, Peter and "
         "{\\v{S}}truc, Vitomir},\n"
         "  booktitle = {International Workshop on Biometrics and Forensics (IWBF)},\n"
         "  year      = {2024},\n"
         "  note      = {arXiv:2404.09555}\n"
         "}\n";
}

}  // namespace aikd::apps
