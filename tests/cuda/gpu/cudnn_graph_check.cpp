// Asks cuDNN, on any machine that has it, with or without a card, what it offers for every convolution of
// iResNet-100 on a Hopper card: the graphs are built, checked and planned by the code that make_cudnn_conv
// runs.
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "kernels/cuda/cudnn_survey.h"
#include "tests/support/test.h"

namespace aikd {
namespace {

using namespace kernels;
using namespace kernels::cuda;

// An H200, as cuDNN 9.19 describes devices. A version that reads another description refuses it; the tests
// then skip.
constexpr const char* kHopper = R"({
  "deviceName": "NVIDIA H200", "cudaDeviceId": 0, "deviceVer": 900, "driverVer": 13000, "pciDeviceId": 0,
  "multiProcessorCount": 132, "smClockRateKHz": 1980000, "memClockRateKHz": 3201000, "l2CacheSize": 62914560,
  "totalGlobalMem": 150000000000, "warpSize": 32, "regsPerBlock": 65536, "maxRegistersPerSM": 65536,
  "maxSharedMemoryPerBlock": 49152, "maxSharedMemoryPerBlockOptin": 232448, "reservedSharedMemoryPerBlock": 1024,
  "maxThreadsPerBlock": 1024, "maxThreadsPerSM": 2048, "maxCtasPerSM": 32, "maxBlockSize": [1024, 1024, 64],
  "maxGridSize": [2147483647, 65535, 65535], "isTccDriver": 0, "supportCoopLaunch": 1})";

struct Layer {
  std::int64_t size, c, k, kernel, stride;
};
// Every shape of the network. The stem has 3 channels, padded to 8 for 16-bit storage.
const std::vector<Layer> kLayers = {{112, 3, 64, 3, 1},   {112, 8, 64, 3, 1},   {112, 64, 64, 3, 1},
                                    {112, 64, 64, 3, 2},  {56, 64, 64, 3, 1},   {56, 64, 128, 3, 1},
                                    {56, 128, 128, 3, 2}, {28, 128, 128, 3, 1}, {28, 128, 256, 3, 1},
                                    {28, 256, 256, 3, 2}, {14, 256, 256, 3, 1}, {14, 256, 512, 3, 1},
                                    {14, 512, 512, 3, 2}, {7, 512, 512, 3, 1},  {112, 64, 64, 1, 2},
                                    {56, 64, 128, 1, 2},  {28, 128, 256, 1, 2}, {14, 256, 512, 1, 2}};

struct Arithmetic {
  Storage storage;
  bool tf32;
};

CudnnConvSpec spec_of(const Arithmetic& arithmetic, std::int64_t n, const Layer& layer) {
  CudnnConvSpec spec;
  spec.storage = arithmetic.storage;
  spec.tf32 = arithmetic.tf32;
  spec.dims = {.n = n,
               .h = layer.size,
               .w = layer.size,
               .c = layer.c,
               .k = layer.k,
               .r = layer.kernel,
               .s = layer.kernel,
               .stride = layer.stride,
               .pad = layer.kernel / 2};
  return spec;
}

int accepted(const CudnnSurvey& survey) {
  int count = 0;
  for (const CudnnOffer& offer : survey.offers) count += offer.refusal.empty() ? 1 : 0;
  return count;
}

#define AIKD_NEEDS_SURVEY()                                                       \
  do {                                                                            \
    const CudnnSurvey probe_ = survey_cudnn(kHopper, spec_of({}, 1, kLayers[2])); \
    if (probe_.absent) AIKD_SKIP("cuDNN cannot be asked here: " + probe_.why);    \
  } while (false)

// The epilogues of the network: stem and first convolution of a block; the second; the shortcut; and those of
// other networks that this library reads.
struct Epilogue {
  const char* name;
  bool bias, prelu, residual, residual_first, second_output;
};
constexpr Epilogue kFused[] = {{"bias", true, false, false, false, false},
                               {"bias, PReLU", true, true, false, false, false},
                               {"bias, PReLU, second output", true, true, false, false, true},
                               {"bias, residual", true, false, true, false, false},
                               {"bias, residual, second output", true, false, true, false, true},
                               {"bias, residual before PReLU", true, true, true, true, false}};

}  // namespace

TEST_CASE("cudnn graphs: there is an engine for every fused convolution of iResNet-100 on Hopper") {
  AIKD_NEEDS_SURVEY();
  for (const Arithmetic& arithmetic : {Arithmetic{Storage::kF16, false}, Arithmetic{Storage::kBF16, false},
                                       Arithmetic{Storage::kF32, true}}) {
    for (const std::int64_t n : {1, 86}) {
      for (const Layer& layer : kLayers) {
        for (const Epilogue& epilogue : kFused) {
          CudnnConvSpec spec = spec_of(arithmetic, n, layer);
          spec.bias = epilogue.bias;
          spec.prelu = epilogue.prelu;
          spec.residual = epilogue.residual;
          spec.residual_first = epilogue.residual_first;
          spec.second_output = epilogue.second_output;
          CAPTURE(name_of(spec.storage));
          CAPTURE(n);
          CAPTURE(layer.size);
          CAPTURE(layer.c);
          CAPTURE(layer.k);
          CAPTURE(layer.kernel);
          CAPTURE(epilogue.name);
          const CudnnSurvey survey = survey_cudnn(kHopper, spec);
          CHECK_MESSAGE(survey.graph_is_sound, survey.why);
          CHECK_MESSAGE(accepted(survey) > 0, survey.why);
        }
      }
    }
  }
}

TEST_CASE("cudnn graphs: bare convolutions and both gradients have an engine whose plan can be built") {
  AIKD_NEEDS_SURVEY();
  for (const Arithmetic& arithmetic : {Arithmetic{Storage::kF32, false}, Arithmetic{Storage::kF32, true},
                                       Arithmetic{Storage::kF16, false}, Arithmetic{Storage::kBF16, false}}) {
    for (const std::int64_t n : {1, 64}) {
      for (const Layer& layer : kLayers) {
        for (const ConvDirection direction :
             {ConvDirection::kForward, ConvDirection::kDataGradient, ConvDirection::kFilterGradient}) {
          CudnnConvSpec spec = spec_of(arithmetic, n, layer);
          spec.direction = direction;
          CAPTURE(name_of(spec.storage));
          CAPTURE(n);
          CAPTURE(layer.size);
          CAPTURE(layer.c);
          CAPTURE(layer.k);
          CAPTURE(static_cast<int>(direction));
          const CudnnSurvey survey = survey_cudnn(kHopper, spec, 1);
          REQUIRE_MESSAGE(accepted(survey) > 0, survey.why);
          for (const CudnnOffer& offer : survey.offers) {
            if (!offer.refusal.empty()) continue;
            CHECK_MESSAGE(offer.built, offer.failure);
            break;  // the first is the one that would be taken
          }
        }
      }
    }
  }
}

TEST_CASE(
    "cudnn graphs: exact fp32 takes no engine that cuts the inputs or sums in another order each time") {
  AIKD_NEEDS_SURVEY();
  for (const ConvDirection direction :
       {ConvDirection::kForward, ConvDirection::kDataGradient, ConvDirection::kFilterGradient}) {
    CudnnConvSpec spec = spec_of({Storage::kF32, false}, 64, {14, 256, 256, 3, 1});
    spec.direction = direction;
    const auto count = [&](const char* note) {
      int taken = 0, refused = 0;
      for (const CudnnOffer& offer : survey_cudnn(kHopper, spec).offers) {
        if (offer.notes.find(note) != std::string::npos) ++(offer.refusal.empty() ? taken : refused);
      }
      return std::pair(taken, refused);
    };
    CAPTURE(static_cast<int>(direction));
    CHECK(count("tensor cores").first == 0);
    CHECK(count("tensor cores").second > 0);
    CHECK(count("not deterministic").first == 0);
    spec.tf32 = true;
    CHECK(count("tensor cores").first > 0);
    CHECK(count("not deterministic").first == 0);
    if (direction == ConvDirection::kForward) continue;
    // Both gradients have engines that add with atomics.
    CHECK(count("not deterministic").second > 0);
    spec.deterministic = false;
    CHECK(count("not deterministic").first > 0);
  }
}

TEST_CASE("cudnn graphs: ReLU has an engine in every arithmetic") {
  AIKD_NEEDS_SURVEY();
  for (const Arithmetic& arithmetic : {Arithmetic{Storage::kF32, false}, Arithmetic{Storage::kF32, true},
                                       Arithmetic{Storage::kF16, false}, Arithmetic{Storage::kBF16, false}}) {
    CudnnConvSpec spec = spec_of(arithmetic, 8, {28, 128, 128, 3, 1});
    spec.bias = spec.clamps = true;
    spec.hi = std::numeric_limits<float>::infinity();
    const CudnnSurvey survey = survey_cudnn(kHopper, spec);
    CAPTURE(name_of(spec.storage));
    CHECK(survey.graph_is_sound);
    CHECK_MESSAGE(accepted(survey) > 0, survey.why);
  }
}

TEST_CASE("cudnn graphs: what cannot be asked for is said") {
  AIKD_NEEDS_SURVEY();
  CudnnConvSpec spec = spec_of({}, 1, kLayers[2]);
  spec.prelu = spec.clamps = true;
  CHECK(survey_cudnn(kHopper, spec).why == "there is one activation, PReLU or clamp");
  spec = spec_of({}, 1, kLayers[2]);
  spec.direction = ConvDirection::kDataGradient;
  spec.bias = true;
  CHECK(survey_cudnn(kHopper, spec).why == "a gradient has no epilogue");
  spec = spec_of({}, 1, kLayers[2]);
  spec.dims.h = 0;
  CHECK(survey_cudnn(kHopper, spec).why == "an extent is less than 1");
  const CudnnSurvey garbled = survey_cudnn("{}", spec_of({}, 1, kLayers[2]));
  CHECK(garbled.absent);
  CHECK(garbled.why.rfind("the description of the device: ", 0) == 0);
}

}  // namespace aikd
