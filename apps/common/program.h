// What every program shares: one place that catches, prints one line and returns a documented exit code.
#pragma once

#include <CLI/App.hpp>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/error.h"

namespace aikd::apps {

// 0 all done; 1 finished, some inputs failed; 2 usage or configuration; 3 model or device; 4 output;
// 70 a bug in this program; 128 + n ended by signal n.
inline constexpr int kExitOk = 0;
inline constexpr int kExitSomeFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitModel = 3;
inline constexpr int kExitOutput = 4;
inline constexpr int kExitBug = 70;
int exit_code(ErrorKind kind) noexcept;

// Runs `body`; whatever it throws becomes one line "<program>: <sentence>" on stderr and an exit code. A
// closed pipe is reported as an output error instead of killing the process (SIGPIPE is ignored).
int run_program(int argc, char** argv, const std::function<int(int argc, char** argv)>& body);

// CLI11's parse with this house's manners: prints --help and --version to stdout (false: the program is done,
// exit 0); a wrong command line is Error(kUsage), with the nearest option where one was misspelt.
bool parse_command_line(CLI::App& app, int argc, char** argv);

// The candidate with the smallest edit distance to `word`; empty when none is near enough to be meant.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

// "aikd-score 0.1.0 (Release, GNU 12.2.0)"
std::string version_line(std::string_view program);
// BibTeX of the method this project implements.
std::string citation();

}  // namespace aikd::apps
