// What cuDNN offers for a convolution on a device that need not be there: for tests, and to see why a fusion
// is not used. No CUDA header is needed to include this.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/cuda/cudnn_conv.h"

namespace aikd::kernels::cuda {

struct CudnnOffer {
  std::int64_t engine = 0;
  std::string notes;    // on its arithmetic
  std::string refusal;  // why make_cudnn_conv would not take it; empty: it would
  bool fallback = false;
  bool built = false;   // with `build`: whether a plan could be made of it
  std::string failure;  // with `build`: why not
  std::size_t workspace_bytes = 0;
};

struct CudnnSurvey {
  bool absent = false;  // no cuDNN, or one that cannot do this (`why`)
  bool graph_is_sound = false;
  std::vector<CudnnOffer> offers;  // in the order in which make_cudnn_conv tries them
  std::string why;                 // why there are none
};

// `device_json`: the device as cuDNN (9.8 or newer) writes it. `build`: also make plans, of the first `build`
// engines that would be taken. The same code as make_cudnn_conv up to the point where a device is needed.
CudnnSurvey survey_cudnn(const std::string& device_json, const CudnnConvSpec& spec, int build = 0);

}  // namespace aikd::kernels::cuda
