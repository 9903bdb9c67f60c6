#include "kernels/cuda/dynamic_library.h"

#include <dlfcn.h>
#include <link.h>

#include <algorithm>
#include <cstdlib>
#include <system_error>

namespace aikd::kernels::cuda {
namespace {

namespace fs = std::filesystem;

std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

void add_folder(const fs::path& folder, std::vector<fs::path>& folders) {
  std::error_code error;
  if (!folder.empty() && fs::is_directory(folder, error)) folders.push_back(folder);
}

// The folders directly below `root` whose names begin with `prefix`, in order of name, so that a search
// repeats.
std::vector<fs::path> folders_below(const fs::path& root, const std::string& prefix) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator entry(root, error), end; !error && entry != end; entry.increment(error)) {
    std::error_code ignored;
    if (entry->path().filename().string().rfind(prefix, 0) == 0 && entry->is_directory(ignored))
      found.push_back(entry->path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

// NVIDIA's wheels lie in nvidia/cudnn/lib, nvidia/cublas/lib, since CUDA 13 in nvidia/cu13/lib.
void add_wheels(const fs::path& site_packages, std::vector<fs::path>& folders) {
  for (const fs::path& wheel : folders_below(site_packages / "nvidia", ""))
    add_folder(wheel / "lib", folders);
}

// `lib` is the lib folder of a Python installation or environment.
void add_python(const fs::path& lib, std::vector<fs::path>& folders) {
  for (const fs::path& python : folders_below(lib, "python3")) {
    add_wheels(python / "site-packages", folders);
    add_wheels(python / "dist-packages", folders);
  }
}

// RTLD_NOW: what a library lacks shows here, not in the middle of a run. RTLD_LOCAL: its symbols stay out of
// the global scope, where they could take the place of those of another copy (a host program may have brought
// its own). cuDNN 9 opens its parts itself, by the run path $ORIGIN it is linked with, so its folder need not
// be known to the loader.
void* open_file(const std::string& name, std::string* error) {
  void* const handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* const message = dlerror();
    *error = message == nullptr ? "it cannot be opened" : message;
  }
  return handle;
}

std::string path_of(void* handle, const std::string& otherwise) {
  link_map* map = nullptr;
  if (dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0 || map == nullptr || map->l_name == nullptr)
    return otherwise;
  return map->l_name[0] == '\0' ? otherwise : map->l_name;
}

}  // namespace

DynamicLibrary DynamicLibrary::open(const std::string& file_name, const std::vector<fs::path>& first,
                                    const std::vector<fs::path>& then, std::string* why) {
  std::vector<std::string> candidates;
  for (const fs::path& folder : first) candidates.push_back((folder / file_name).string());
  candidates.push_back(file_name);
  for (const fs::path& folder : then) candidates.push_back((folder / file_name).string());

  DynamicLibrary library;
  std::string broken;
  for (const std::string& candidate : candidates) {
    const bool by_loader = candidate == file_name;
    std::error_code ignored;
    if (!by_loader && !fs::exists(candidate, ignored)) continue;
    std::string error;
    library.handle_ = open_file(candidate, &error);
    if (library.handle_ != nullptr) {
      library.path_ = path_of(library.handle_, candidate);
      return library;
    }
    // What the loader does not know is ordinary; a file that is there and does not load is worth telling.
    if (!by_loader && broken.empty()) broken = error;
  }
  if (why != nullptr) {
    *why = broken.empty() ? file_name + " was found neither by the loader nor in " +
                                std::to_string(candidates.size() - 1) +
                                " other folders; AIKD_CUDA_LIBRARIES may name its folder"
                          : file_name + " does not load: " + broken;
  }
  return library;
}

void* DynamicLibrary::symbol(const char* name) const noexcept {
  return handle_ == nullptr ? nullptr : dlsym(handle_, name);
}

std::vector<fs::path> folders_before_loader() {
  std::vector<fs::path> folders;
  const std::string list = environment("AIKD_CUDA_LIBRARIES");
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find(':', begin), list.size());
    add_folder(list.substr(begin, end - begin), folders);
    begin = end + 1;
  }
  return folders;
}

std::vector<fs::path> folders_after_loader() {
  std::vector<fs::path> folders;
  add_folder(AIKD_CUDA_LIBRARY_DIR, folders);
  for (const char* const variable : {"VIRTUAL_ENV", "CONDA_PREFIX"}) {
    const std::string prefix = environment(variable);
    if (prefix.empty()) continue;
    add_python(fs::path(prefix) / "lib", folders);
    add_folder(fs::path(prefix) / "lib", folders);
  }
  const std::string home = environment("HOME");
  if (!home.empty()) add_python(fs::path(home) / ".local/lib", folders);
  add_wheels("/usr/lib/python3/dist-packages", folders);
  add_python("/usr/local/lib", folders);
  return folders;
}

DynamicLibrary open_cuda_library(const std::string& file_name, std::string* why) {
  return DynamicLibrary::open(file_name, folders_before_loader(), folders_after_loader(), why);
}

}  // namespace aikd::kernels::cuda
