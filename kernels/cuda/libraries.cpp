#include "kernels/cuda/libraries.h"

#include <cstdio>
#include <cstdlib>

#include "kernels/cuda/cublas_library.h"
#include "kernels/cuda/cudnn_library.h"

namespace aikd::kernels::cuda {
namespace {

class LoadedLibraries final : public Libraries {
 public:
  LoadedLibraries()
      : cudnn_(load_cudnn(&cudnn_description_)), cublas_lt_(load_cublas_lt(&cublas_lt_description_)) {}

  void* cudnn() noexcept override { return handle_of(cudnn_.get()); }
  void* cublas_lt() noexcept override { return handle_of(cublas_lt_.get()); }
  const std::string& cudnn_description() const noexcept override { return cudnn_description_; }
  const std::string& cublas_lt_description() const noexcept override { return cublas_lt_description_; }
  CudnnState* cudnn_state() noexcept override { return cudnn_.get(); }
  CublasLtState* cublas_lt_state() noexcept override { return cublas_lt_.get(); }

 private:
  std::string cudnn_description_, cublas_lt_description_;  // before what is loaded: the loaders write them
  CudnnStatePointer cudnn_;
  CublasLtStatePointer cublas_lt_;
};

}  // namespace

std::unique_ptr<Libraries> load_libraries() {
  return std::make_unique<LoadedLibraries>();
}

void report_library_failure(const Context& ctx, const char* name, const std::string& sentence) {
  if (ctx.on_error != nullptr) return ctx.on_error(name, sentence.c_str());
  std::fprintf(stderr, "%s failed: %s.\n", name, sentence.c_str());
  std::abort();
}

}  // namespace aikd::kernels::cuda
