// Stands in for libraries.cpp, cudnn_*.cpp and cublas_*.cpp where there is no CUDA toolkit, and under the
// emulator of tests/simt/: both libraries are absent, so every caller takes its hand-written kernel. No CUDA
// header is needed here.
#include <cstdio>
#include <cstdlib>

#include "kernels/cuda/cublas_linear.h"
#include "kernels/cuda/cudnn_conv.h"
#include "kernels/cuda/cudnn_survey.h"
#include "kernels/cuda/libraries.h"

namespace aikd::kernels::cuda {
namespace {

class AbsentLibraries final : public Libraries {
 public:
  void* cudnn() noexcept override { return nullptr; }
  void* cublas_lt() noexcept override { return nullptr; }
  const std::string& cudnn_description() const noexcept override { return cudnn_description_; }
  const std::string& cublas_lt_description() const noexcept override { return cublas_lt_description_; }
  CudnnState* cudnn_state() noexcept override { return nullptr; }
  CublasLtState* cublas_lt_state() noexcept override { return nullptr; }

 private:
  std::string cudnn_description_ = "cuDNN absent: this program was built without CUDA";
  std::string cublas_lt_description_ = "cuBLASLt absent: this program was built without CUDA";
};

}  // namespace

std::unique_ptr<Libraries> load_libraries() {
  return std::make_unique<AbsentLibraries>();
}

void report_library_failure(const Context& ctx, const char* name, const std::string& sentence) {
  if (ctx.on_error != nullptr) return ctx.on_error(name, sentence.c_str());
  std::fprintf(stderr, "%s failed: %s.\n", name, sentence.c_str());
  std::abort();
}

CudnnConvChoice make_cudnn_conv(Libraries& libraries, const CudnnConvSpec&, bool, std::size_t, void*) {
  return {nullptr, libraries.cudnn_description()};
}

bool cublas_linear(const Context&, const CublasLinearSpec&, const void*, const void*, const void*, void*) {
  return false;
}

bool cublas_linear_data_gradient(const Context&, const CublasLinearSpec&, const void*, const void*, void*) {
  return false;
}

bool cublas_linear_weight_gradient(const Context&, const CublasLinearSpec&, const void*, const void*, void*) {
  return false;
}

CudnnSurvey survey_cudnn(const std::string&, const CudnnConvSpec&, int) {
  CudnnSurvey survey;
  survey.absent = true;
  survey.why = "this program was built without CUDA";
  return survey;
}

}  // namespace aikd::kernels::cuda
