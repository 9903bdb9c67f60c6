#include "bench/cuda/report.h"

#include <cerrno>
#include <cstring>

#include "tensor/config.h"
#include "tensor/error.h"

namespace aikd::bench {

Report::Report(const std::string& path, std::string_view command, Card& card) {
  if (!path.empty()) {
    file_ = std::fopen(path.c_str(), "w");
    require(file_ != nullptr, ErrorKind::kOutput, "The file '", path,
            "' cannot be written: ", std::strerror(errno), ".");
  }
  const cuda::DeviceProperties& p = card.properties();
  const std::string libraries = card.context().libraries_description();
  std::printf("%s on %s (sm_%d%d, %.1f GiB, %d multiprocessors, %.0f MiB L2); %s; %s\n",
              std::string(command).c_str(), p.name.c_str(), p.major, p.minor, p.memory_gib, p.multiprocessors,
              static_cast<double>(p.l2_bytes) / (1024.0 * 1024.0), cuda::runtime_description().c_str(),
              libraries.c_str());
  row({{"kind", "run"},
       {"command", command},
       {"version", kVersion},
       {"device", p.name},
       {"sm", p.major * 10 + p.minor},
       {"memory_gib", p.memory_gib},
       {"multiprocessors", p.multiprocessors},
       {"l2_bytes", p.l2_bytes},
       {"runtime", cuda::runtime_description()},
       {"libraries", libraries},
       {"cudnn", card.has_cudnn()}});
}

Report::~Report() {
  if (file_ != nullptr) std::fclose(file_);
}

void Report::row(const nlohmann::ordered_json& row) {
  std::fflush(stdout);
  if (file_ == nullptr) return;
  std::fprintf(file_, "%s\n", row.dump().c_str());
  std::fflush(file_);
}

void Report::note(const std::string& sentence) {
  std::printf("%s\n", sentence.c_str());
  row({{"kind", "note"}, {"text", sentence}});
}

}  // namespace aikd::bench
