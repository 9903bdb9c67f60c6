// Stands in for the other cudnn_*.cpp in builds with AIKD_CUDNN=OFF: no header of cuDNN is needed here.
#include "kernels/cuda/cudnn_conv.h"
#include "kernels/cuda/cudnn_library.h"
#include "kernels/cuda/cudnn_survey.h"

namespace aikd::kernels::cuda {

void DeleteCudnnState::operator()(CudnnState*) const noexcept {}  // there is never one

CudnnStatePointer load_cudnn(std::string* description) {
  *description = "cuDNN absent: this program was built without it (AIKD_CUDNN=OFF)";
  return nullptr;
}

void* handle_of(CudnnState*) noexcept {
  return nullptr;
}

CudnnConvChoice make_cudnn_conv(Libraries& libraries, const CudnnConvSpec&, bool, std::size_t, void*) {
  return {nullptr, libraries.cudnn_description()};
}

CudnnSurvey survey_cudnn(const std::string&, const CudnnConvSpec&, int) {
  CudnnSurvey survey;
  survey.absent = true;
  survey.why = "this program was built without it (AIKD_CUDNN=OFF)";
  return survey;
}

}  // namespace aikd::kernels::cuda
