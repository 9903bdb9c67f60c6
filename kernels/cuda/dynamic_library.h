// Shared libraries opened at run time.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace aikd::kernels::cuda {

// A library that stays loaded until the process ends: closing one that has threads and exit handlers of its
// own, as NVIDIA's have, crashes later. So this is a plain value.
class DynamicLibrary {
 public:
  // Tries `file_name` in the folders of `first`, then as the loader finds it (LD_LIBRARY_PATH, the cache of
  // ldconfig), then in the folders of `then`. Not found or not loadable: is_open() is false, and `why` is a
  // sentence's end, without a full stop.
  static DynamicLibrary open(const std::string& file_name, const std::vector<std::filesystem::path>& first,
                             const std::vector<std::filesystem::path>& then, std::string* why);

  bool is_open() const noexcept { return handle_ != nullptr; }
  // Where the loader found it.
  const std::string& path() const noexcept { return path_; }
  void* symbol(const char* name) const noexcept;  // null: not there

  // Resolves one entry of a table of functions; false: not there, and `missing` names it (the first time).
  template <class Function>
  bool resolve(const char* name, Function& function, std::string& missing) const {
    function = reinterpret_cast<Function>(symbol(name));
    if (function == nullptr && missing.empty()) missing = name;
    return function != nullptr;
  }

 private:
  void* handle_ = nullptr;
  std::string path_;
};

// Where CUDA's libraries may be: before the loader's own places ($AIKD_CUDA_LIBRARIES), and after them (the
// toolkit's folder at build time, Python's site-packages). Folders that do not exist are left out.
std::vector<std::filesystem::path> folders_before_loader();
std::vector<std::filesystem::path> folders_after_loader();

// DynamicLibrary::open with those folders.
DynamicLibrary open_cuda_library(const std::string& file_name, std::string* why);

}  // namespace aikd::kernels::cuda
