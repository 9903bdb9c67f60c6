#include <string>

#include "tensor/cuda_runtime.h"
#include "tensor/device.h"
#include "tensor/error.h"
#include "tests/support/test.h"

using aikd::Device;
using aikd::Error;
using aikd::ErrorKind;

TEST_CASE("devices are named cpu auto or cuda with a number") {
  CHECK(Device::parse("cpu") == Device::cpu());
  CHECK(Device::parse("auto").to_string() == "cpu");
  CHECK(Device::cuda(1).to_string() == "cuda:1");
  for (const char* bad : {"", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", "CPU"}) {
    bool refused = false;
    try {
      (void)Device::parse(bad);
    } catch (const Error& e) {
      refused = e.kind() == ErrorKind::kUsage &&
                std::string(e.what()).find("is not understood") != std::string::npos;
    }
    CHECK_MESSAGE(refused, "device '", bad, "'");
  }
}

TEST_CASE("asking for CUDA is refused as a device error in one sentence") {
  try {
    (void)Device::parse("cuda:0");
    FAIL("cuda:0 was accepted, but this version computes on the CPU only");
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::kDevice);
    CHECK(std::string(e.what()).find("'cuda:0'") != std::string::npos);
  }
}

TEST_CASE("the list of devices begins with the CPU and agrees with the CUDA runtime") {
  const auto devices = aikd::list_devices();
  REQUIRE_FALSE(devices.empty());
  CHECK(devices[0].device == Device::cpu());
  CHECK(devices[0].description.find("threads") != std::string::npos);
  std::string why;
  const auto cuda = aikd::cuda::devices(&why);
  CHECK(devices.size() == 1 + cuda.size());
  CHECK(cuda.empty() == !why.empty());
}
