// What a plan of cuDNN does beside its arithmetic: exact integers, NaN, timing, limits, sentences of failure,
// and how the libraries are found.
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/cuda/gpu/cudnn_fixture.h"

namespace aikd {

using namespace test::cudnn;  // NOLINT(google-build-using-namespace)
using test::DeviceFloats;

namespace {

// Sets a variable of the environment for the time of a test.
class Environment {
 public:
  Environment(const char* name, const std::string& value) : name_(name) {
    if (const char* const old = std::getenv(name)) {
      had_ = true;
      old_ = old;
    }
    setenv(name, value.c_str(), 1);
  }
  ~Environment() { had_ ? setenv(name_, old_.c_str(), 1) : unsetenv(name_); }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  const char* name_;
  bool had_ = false;
  std::string old_;
};

// The path of some shared library that this process has loaded; empty: none.
std::string mapped_library() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const std::size_t path = line.find('/');
    if (path != std::string::npos && line.find("libstdc++.so", path) != std::string::npos)
      return line.substr(path);
  }
  return {};
}

std::string failure_of(const CudnnConv& plan, const Context& ctx, const CudnnConvPointers& pointers) {
  try {
    plan.run(ctx, pointers);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "it ran";
}

}  // namespace

TEST_CASE("cudnn: small integers are exact in every direction") {
  AIKD_NEEDS_DEVICE();
  test::DeviceTeam team(kWorkspace);
  AIKD_NEEDS_CUDNN(team.context());
  // -1, 0, 1: the sums are at most 16 * 9 = 144 (forward, data gradient) or 2 * 49 = 98 (filter gradient),
  // which bf16 holds. Winograd's 4x4 tile divides by 4 at most: exact too.
  const ConvSize size{.n = 2, .h = 7, .w = 7, .c = 16, .k = 16, .r = 3, .s = 3, .stride = 1, .pad = 1};
  for (const Arithmetic& a : kArithmetics) {
    const Operands o(size, a.storage, test::random_integers(inputs_of(size), 1, 1),
                     test::random_integers(weights_of(size), 1, 2),
                     test::random_integers(outputs_of(size), 1, 3));
    for (const ConvDirection direction :
         {ConvDirection::kForward, ConvDirection::kDataGradient, ConvDirection::kFilterGradient}) {
      CudnnConvSpec spec = spec_of(size, a);
      spec.direction = direction;
      CAPTURE(name_of(a.storage));
      CAPTURE(a.tf32);
      CAPTURE(static_cast<int>(direction));
      const CudnnConvChoice choice = make_cudnn_conv(*team.context().libraries, spec, false, kWorkspace);
      REQUIRE_MESSAGE(choice.plan != nullptr, choice.why);
      const Sums expected = direction == ConvDirection::kForward
                                ? oracle::conv2d<float>(size, o.x.data(), o.weight.data(), nullptr)
                            : direction == ConvDirection::kDataGradient ? data_gradient(size, o.dy, o.weight)
                                                                        : filter_gradient(size, o.x, o.dy);
      const DeviceFloats y(a.storage, expected.value.size());
      CudnnConvPointers p;
      p.x = o.device_x.data();
      p.weight = o.device_weight.data();
      p.dy = o.device_dy.data();
      p.y = y.data();
      choice.plan->run(team.context(), p);
      CHECK(count_wrong(y.download(), expected.value, std::vector<double>(expected.value.size(), 0.0)) == 0);
    }
  }
}

TEST_CASE("cudnn: PReLU at zero, and NaN stays NaN") {
  AIKD_NEEDS_DEVICE();
  test::DeviceTeam team(kWorkspace);
  AIKD_NEEDS_CUDNN(team.context());
  // A 1x1 convolution with the unit matrix: y = prelu(x).
  const ConvSize size{.n = 1, .h = 8, .w = 8, .c = 16, .k = 16};
  std::vector<float> x = test::random_integers(inputs_of(size), 3, 1), unit(16 * 16, 0.0F), slope;
  for (std::size_t i = 0; i < 16; ++i) unit[i * 16 + i] = 1;
  for (std::size_t i = 0; i < 16; ++i) slope.push_back(0.25F * static_cast<float>(i));
  for (std::size_t c = 0; c < 16; ++c) x[5 * 16 + c] = std::numeric_limits<float>::quiet_NaN();
  for (std::size_t c = 0; c < 16; ++c) x[6 * 16 + c] = c % 2 == 0 ? 0.0F : -0.0F;
  for (const Arithmetic& a : kArithmetics) {
    CudnnConvSpec spec = spec_of(size, a);
    spec.prelu = true;
    const CudnnConvChoice choice = make_cudnn_conv(*team.context().libraries, spec, false, kWorkspace);
    if (choice.plan == nullptr) continue;  // exact fp32
    const Operands o(size, a.storage, x, unit);
    const test::DeviceArray<float> device_slope(slope);
    const DeviceFloats y(a.storage, o.outputs);
    CudnnConvPointers p;
    p.x = o.device_x.data();
    p.weight = o.device_weight.data();
    p.slope = device_slope.data();
    p.y = y.data();
    choice.plan->run(team.context(), p);
    const std::vector<float> got = y.download();
    int wrong = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
      const double expected = oracle::prelu(double{x[i]}, double{slope[i % 16]});
      wrong += std::isnan(expected) ? !std::isnan(got[i]) : double{got[i]} != expected;
    }
    CAPTURE(name_of(a.storage));
    CHECK(wrong == 0);
  }
}

TEST_CASE("cudnn: a timed choice gives the same numbers to rounding, and says what it timed") {
  AIKD_NEEDS_DEVICE();
  test::DeviceTeam team(kWorkspace);
  AIKD_NEEDS_CUDNN(team.context());
  const ConvSize& size = kSizes[0];
  for (const Arithmetic& a : kArithmetics) {
    const Operands o(size, a.storage, test::random_normal(inputs_of(size), 1),
                     test::random_normal(weights_of(size), 2));
    const Context ctx = team.context();
    const CudnnConvChoice choice =
        make_cudnn_conv(*ctx.libraries, spec_of(size, a), true, kWorkspace, ctx.stream);
    REQUIRE_MESSAGE(choice.plan != nullptr, choice.why);
    CHECK(choice.plan->engine().find(", fastest of ") != std::string::npos);
    CHECK(choice.plan->workspace_bytes() <= kWorkspace);
    const DeviceFloats y(a.storage, o.outputs);
    CudnnConvPointers p;
    p.x = o.device_x.data();
    p.weight = o.device_weight.data();
    p.y = y.data();
    choice.plan->run(team.context(), p);
    CHECK(count_wrong(y.download(), oracle::conv2d<float>(size, o.x.data(), o.weight.data(), nullptr), a) ==
          0);
    CHECK(y.guards_intact());
  }
}

TEST_CASE("cudnn: what a run lacks is said, and nothing is launched") {
  AIKD_NEEDS_DEVICE();
  test::DeviceTeam team(kWorkspace);
  AIKD_NEEDS_CUDNN(team.context());
  const ConvSize& size = kSizes[0];
  const Arithmetic a = kArithmetics[2];
  const Operands o(size, a.storage, test::random_normal(inputs_of(size), 1),
                   test::random_normal(weights_of(size), 2));
  const CudnnConvChoice choice =
      make_cudnn_conv(*team.context().libraries, spec_of(size, a), false, kWorkspace);
  REQUIRE_MESSAGE(choice.plan != nullptr, choice.why);
  const DeviceFloats y(a.storage, o.outputs);
  CudnnConvPointers p;
  p.x = o.device_x.data();
  p.y = y.data();
  CHECK(failure_of(*choice.plan, team.context(), p) == "cudnn_conv: no memory was given for weight");
  p.weight = static_cast<const unsigned char*>(o.device_weight.data()) + 2;
  CHECK(failure_of(*choice.plan, team.context(), p) == "cudnn_conv: weight is not aligned to 16 bytes");
  p.weight = o.device_weight.data();
  if (choice.plan->workspace_bytes() > 0) {
    Context poor = team.context();
    poor.workspace_bytes = choice.plan->workspace_bytes() - 1;
    CHECK(failure_of(*choice.plan, poor, p).rfind("cudnn_conv: the workspace has ", 0) == 0);
  }
  for (const float value : y.download()) REQUIRE(std::isnan(value));
  CHECK(failure_of(*choice.plan, team.context(), p) == "it ran");

  const CudnnConvChoice lean = make_cudnn_conv(*team.context().libraries, spec_of(size, a), false, 0);
  CHECK((lean.plan == nullptr ? !lean.why.empty() : lean.plan->workspace_bytes() == 0));
}

TEST_CASE("libraries: what is absent says why, and every caller is told") {
  const std::unique_ptr<Libraries> libraries = load_libraries();
  REQUIRE(libraries != nullptr);
  for (const std::string& description : {libraries->cudnn_description(), libraries->cublas_lt_description()})
    CHECK(description.size() > 10);
  CHECK((libraries->cudnn() == nullptr) == (libraries->cudnn_description().rfind("cuDNN absent: ", 0) == 0));
  CHECK((libraries->cublas_lt() == nullptr) ==
        (libraries->cublas_lt_description().rfind("cuBLASLt absent: ", 0) == 0));
  CHECK((libraries->cudnn() == nullptr) == (libraries->cudnn_state() == nullptr));
  if (libraries->cudnn() != nullptr) return;
  const CudnnConvChoice choice = make_cudnn_conv(*libraries, spec_of(kSizes[0], kArithmetics[0]));
  CHECK(choice.plan == nullptr);
  CHECK(choice.why == libraries->cudnn_description());
}

TEST_CASE("libraries: AIKD_CUDA_LIBRARIES comes first, and what is wrong with a file there is said") {
  const test::TempDir folder;
  const Environment nowhere("AIKD_CUDA_LIBRARIES", "/there/is/no/such/folder");
  const std::string found = load_libraries()->cudnn_description();
  if (found.find("built without") != std::string::npos) AIKD_SKIP(found);
  const Environment variable("AIKD_CUDA_LIBRARIES", "/there/is/no/such/folder:" + folder.path().string());
  const std::vector<const char*> names = {"libcudnn.so.9", "libcublasLt.so.12", "libcublasLt.so.13"};

  // Files that are no libraries: the loader goes on to the true ones; where there are none, the sentence
  // quotes it.
  for (const char* const name : names) test::write_text(folder / name, "this is no library");
  const std::string broken = load_libraries()->cudnn_description();
  CHECK((broken == found ||
         broken.find("libcudnn.so.9 does not load: " + folder.path().string()) != std::string::npos));

  // Another library under their names: it is what is found, before the true ones.
  const std::string other = mapped_library();
  if (other.empty()) AIKD_SKIP("no shared C++ library is loaded here");
  for (const char* const name : names) {
    std::filesystem::remove(folder / name);
    std::filesystem::create_symlink(other, folder / name);
  }
  const std::unique_ptr<Libraries> wrong = load_libraries();
  CHECK(wrong->cudnn() == nullptr);
  CHECK(wrong->cublas_lt() == nullptr);
  CHECK(wrong->cudnn_description().find(" has no function cudnnGetVersion") != std::string::npos);
  CHECK(wrong->cublas_lt_description().find(" has no function cublasLtGetVersion") != std::string::npos);
}

}  // namespace aikd
