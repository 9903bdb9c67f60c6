#include <string>
#include <vector>

#include "tensor/cuda_runtime.h"
#include "tensor/device.h"
#include "tensor/error.h"
#include "tests/support/test.h"

namespace {

using aikd::Device;
using aikd::Error;
using aikd::ErrorKind;
using Found = std::vector<aikd::cuda::DeviceProperties>;

aikd::cuda::DeviceProperties card(int index, const char* name, int major, int minor) {
  return {.index = index,
          .name = name,
          .major = major,
          .minor = minor,
          .memory_gib = 139.81,
          .multiprocessors = 132,
          .l2_bytes = std::size_t{50} << 20};
}

template <class F>
std::string message_of(ErrorKind kind, F&& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.kind() == kind ? e.what() : std::string("another kind: ") + e.what();
  }
  return "no error";
}

std::string refusal(const char* asked, const Found& found, const char* why_none = "") {
  return message_of(ErrorKind::kDevice, [&] { (void)aikd::choose_device(asked, found, why_none); });
}

}  // namespace

TEST_CASE("devices are named cpu auto or cuda with a number") {
  CHECK(Device::parse("cpu") == Device::cpu());
  CHECK(Device::cuda(1).to_string() == "cuda:1");
  for (const char* bad : {"", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", "cuda:+1", "cuda: 1", "cuda1",
                          "CPU", "cuda:99999999999", "autos"}) {
    CHECK_MESSAGE(message_of(ErrorKind::kUsage, [&] { (void)Device::parse(bad); })
                          .find("is not understood; give cpu, auto, cuda or cuda:N.") != std::string::npos,
                  "device '", bad, "'");
  }
}

TEST_CASE("auto takes the first CUDA device that can be used, else the CPU") {
  const auto old_card = card(0, "Old", 7, 0), turing = card(1, "T4", 7, 5), hopper = card(2, "H200", 9, 0);
  CHECK(aikd::choose_device("auto", {}, "none") == Device::cpu());
  CHECK(aikd::choose_device("auto", {old_card}, "") == Device::cpu());
  CHECK(aikd::choose_device("auto", {old_card, turing, hopper}, "") == Device::cuda(1));
  CHECK(aikd::choose_device("cuda", {old_card, turing, hopper}, "") == Device::cuda(1));
  CHECK(aikd::choose_device("cuda:2", {old_card, turing, hopper}, "") == Device::cuda(2));
  CHECK(aikd::choose_device("cpu", {turing}, "") == Device::cpu());
}

TEST_CASE("a CUDA device that cannot be had is refused with the reason") {
  const auto old_card = card(0, "Old", 6, 1), hopper = card(0, "H200", 9, 0), second = card(1, "H200", 9, 0);
  CHECK(refusal("cuda", {}, "no NVIDIA driver is installed") ==
        "The device 'cuda' was asked for, but there is no CUDA device: no NVIDIA driver is installed.");
  CHECK(refusal("cuda:0", {}, "the driver shows no device") ==
        "The device 'cuda:0' was asked for, but there is no CUDA device: the driver shows no device.");
  CHECK(refusal("cuda:7", {hopper, second}) ==
        "The device 'cuda:7' was asked for, but there are 2 CUDA devices, the last of them cuda:1.");
  CHECK(refusal("cuda:1", {hopper}) ==
        "The device 'cuda:1' was asked for, but there is 1 CUDA device, cuda:0.");
  CHECK(refusal("cuda:0", {old_card, second}) ==
        "The device 'cuda:0' cannot be used: Old has compute capability 6.1, this program needs 7.5.");
  CHECK(refusal("cuda", {old_card}) ==
        "The device 'cuda' was asked for, but there is no CUDA device that can be used: Old has compute "
        "capability "
        "6.1, this program needs 7.5.");
}

TEST_CASE("the choice of a device is described") {
  const auto old_card = card(0, "Old", 7, 2), hopper = card(1, "NVIDIA H200", 9, 0);
  const Found both{old_card, hopper};
  CHECK(aikd::describe_choice("auto", Device::cuda(1), both, "") ==
        "device cuda:1 (NVIDIA H200, sm_90, 139.8 GiB)");
  CHECK(aikd::describe_choice("auto", Device::cpu(), {}, "this program was built without CUDA") ==
        "device cpu (no CUDA device: this program was built without CUDA)");
  CHECK(
      aikd::describe_choice("auto", Device::cpu(), {old_card}, "") ==
      "device cpu (no CUDA device that can be used: Old has compute capability 7.2, this program needs 7.5)");
  const std::string cpu = aikd::list_devices().at(0).description;
  CHECK(aikd::describe_choice("cpu", Device::cpu(), both, "") == "device cpu (" + cpu + ")");
}

TEST_CASE("what is there on this machine is taken or refused in one sentence") {
  std::string why;
  const Found found = aikd::cuda::devices(&why);
  const Device automatic = Device::parse("auto");
  CHECK(automatic == aikd::choose_device("auto", found, why));
  const std::string described = aikd::describe_choice("auto", automatic);
  CHECK(described.starts_with("device " + automatic.to_string() + " ("));
  if (found.empty()) {
    CHECK(automatic == Device::cpu());
    CHECK(described == "device cpu (no CUDA device: " + why + ")");
    CHECK(message_of(ErrorKind::kDevice, [] { (void)Device::parse("cuda:0"); }) ==
          "The device 'cuda:0' was asked for, but there is no CUDA device: " + why + ".");
  }
  CHECK(message_of(ErrorKind::kDevice, [] {
          (void)Device::parse("cuda:1000");
        }).find("'cuda:1000' was asked for") != std::string::npos);
}

TEST_CASE("the list of devices begins with the CPU and agrees with the CUDA runtime") {
  const auto devices = aikd::list_devices();
  REQUIRE_FALSE(devices.empty());
  CHECK(devices[0].device == Device::cpu());
  CHECK(devices[0].description.find("thread") != std::string::npos);
  std::string why;
  const auto cuda = aikd::cuda::devices(&why);
  CHECK(devices.size() == 1 + cuda.size());
  CHECK(cuda.empty() == !why.empty());
  for (std::size_t i = 0; i < cuda.size(); ++i) {
    CHECK(devices[i + 1].device == Device::cuda(cuda[i].index));
    CHECK(devices[i + 1].description.find(cuda[i].name) == 0);
  }
}
