#include "kernels/cuda/cudnn_library.h"

#include <array>

#include "kernels/cuda/cudnn_api.h"
#include "kernels/cuda/dynamic_library.h"

namespace aikd::kernels::cuda {
namespace {

constexpr std::size_t kOldest =
    90000;  // 9.0: the graph interface with the support surfaces the fusions rely on

std::string dotted(std::size_t version) {
  return std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." +
         std::to_string(version % 100);
}

// The engines that fuse are compiled at run time: cuDNN opens NVRTC, by the run path of its own files or as
// the loader finds it. Where neither works (cuDNN from a distribution, the toolkit aside), one opened here
// before serves: the loader goes by its name. Which major version: the one cuDNN was made with.
void open_compiler(const CudnnApi& api) {
  open_cuda_library("libnvrtc.so." + std::to_string(api.get_cudart_version() / 1000), nullptr);
}

}  // namespace

std::string CudnnApi::explain(cudnnStatus_t status) const {
  std::array<char, 1024> message{};
  get_last_error_string(message.data(), message.size() - 1);
  std::string text = get_error_string(status);
  if (message[0] != '\0') text += std::string(" (") + message.data() + ")";
  return text;
}

std::string CudnnApi::version_text() const {
  return dotted(version);
}

std::unique_ptr<CudnnApi> load_cudnn_api(std::string* why) {
  const DynamicLibrary library = open_cuda_library("libcudnn.so." + std::to_string(CUDNN_MAJOR), why);
  if (!library.is_open()) return nullptr;
  auto api = std::make_unique<CudnnApi>();
  std::string missing;
  library.resolve("cudnnGetVersion", api->get_version, missing);
  library.resolve("cudnnGetCudartVersion", api->get_cudart_version, missing);
  library.resolve("cudnnGetErrorString", api->get_error_string, missing);
  library.resolve("cudnnGetLastErrorString", api->get_last_error_string, missing);
  library.resolve("cudnnCreate", api->create, missing);
  library.resolve("cudnnDestroy", api->destroy, missing);
  library.resolve("cudnnSetStream", api->set_stream, missing);
  library.resolve("cudnnBackendCreateDescriptor", api->create_descriptor, missing);
  library.resolve("cudnnBackendDestroyDescriptor", api->destroy_descriptor, missing);
  library.resolve("cudnnBackendSetAttribute", api->set_attribute, missing);
  library.resolve("cudnnBackendGetAttribute", api->get_attribute, missing);
  library.resolve("cudnnBackendFinalize", api->finalize, missing);
  library.resolve("cudnnBackendExecute", api->execute, missing);
  if (!missing.empty()) {
    *why = library.path() + " has no function " + missing;
    return nullptr;
  }
  api->path = library.path();
  api->version = api->get_version();
  if (api->version < kOldest || api->version / 10000 != CUDNN_MAJOR) {
    *why = library.path() + " is version " + dotted(api->version) + "; this program needs " +
           dotted(kOldest) + " or newer and below " + std::to_string(CUDNN_MAJOR + 1);
    return nullptr;
  }
  open_compiler(*api);
  return api;
}

CudnnState::~CudnnState() {
  if (handle != nullptr) api->destroy(handle);
}

void DeleteCudnnState::operator()(CudnnState* state) const noexcept {
  delete state;
}

CudnnStatePointer load_cudnn(std::string* description) {
  std::string why;
  CudnnStatePointer state(new CudnnState);
  state->api = load_cudnn_api(&why);
  if (state->api == nullptr) {
    *description = "cuDNN absent: " + why;
    return nullptr;
  }
  const CudnnApi& api = *state->api;
  if (const cudnnStatus_t status = api.create(&state->handle); status != CUDNN_STATUS_SUCCESS) {
    state->handle = nullptr;
    *description = "cuDNN absent: version " + api.version_text() + " (" + api.path +
                   ") makes no handle: " + api.explain(status);
    return nullptr;
  }
  *description = "cuDNN " + api.version_text() + " (" + api.path + ")";
  return state;
}

void* handle_of(CudnnState* state) noexcept {
  return state == nullptr ? nullptr : state->handle;
}

}  // namespace aikd::kernels::cuda
