// --device and --precision: what is taken is said, what is not there is refused by name.
#include "tests/cli/score_fixture.h"

#include "tensor/cuda_runtime.h"

namespace {

using namespace aikd::test;

}  // namespace

TEST_CASE("score: a CUDA device that is not there is refused, exit code 3") {
  const FaceFolder faces(1);
  const RunResult r = faces.score(". --device cuda:99");
  CAPTURE(r.err);
  CHECK(r.exit_code == 3);
  CHECK(has(r.err, "The device 'cuda:99' was asked for, but"));
  CHECK(r.out.empty());
  CHECK(faces.score(". --device gpu").exit_code == 2);
}

TEST_CASE("score: --device auto says what it took, and why it is not a card") {
  const FaceFolder faces(1);
  std::string why;
  if (!aikd::cuda::devices(&why).empty()) AIKD_SKIP("there is a CUDA device here");
  const RunResult r = faces.raw("-m " + quote(score_model()) + " . --device auto");
  CAPTURE(r.err);
  CHECK(r.exit_code == 0);
  CHECK(has(r.err, "device cpu (no CUDA device: " + why + ")"));
  const RunResult asked = faces.raw("-m " + quote(score_model()) + " . --device cpu");
  CHECK(has(asked.err, "device cpu ("));
  CHECK_FALSE(has(asked.err, "no CUDA device"));
}

TEST_CASE("score: a precision the CPU does not have, and one nobody has") {
  const FaceFolder faces(1);
  for (const std::string precision : {"tf32", "fp16", "bf16"}) {
    const RunResult r = faces.score(". --device cpu --precision " + precision);
    CAPTURE(r.err);
    CHECK(r.exit_code == 2);
    CHECK(has(r.err, "The precision " + precision + " was asked for, but on the CPU"));
  }
  const RunResult r = faces.score(". --precision fp8");
  CHECK(r.exit_code == 2);
  CHECK(has(r.err, "The precision 'fp8' is not known; expected fp32, tf32, fp16 or bf16."));
}
