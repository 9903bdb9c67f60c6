// The emulator bites: each planted fault (planted.cu) is found and named; the sound twins pass under every
// schedule.
#include "simt/simt.h"

#include "simt/planted.h"
#include "tests/cuda/device_memory.h"

namespace {

using namespace aikd;
using namespace aikd::test;

// The sentence of the violation, or "" when there was none.
template <class Body>
std::string violation(Body&& body) {
  try {
    body();
  } catch (const simt::Violation& found) {
    return found.what();
  }
  return {};
}
bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::vector<float> counting(int n) {
  std::vector<float> values;
  for (int i = 0; i < n; ++i) values.push_back(static_cast<float>(i));
  return values;
}

#define NEEDS_INSTRUMENTATION() \
  if (!simt::checks_accesses()) AIKD_SKIP("this build does not instrument accesses")

}  // namespace

TEST_CASE("simt: a sound kernel gives its values under every schedule") {
  DeviceArray<float> x(counting(64)), y(64);
  DeviceTeam team;
  for (const unsigned schedule : {0U, 1U, 7U, 99U}) {
    simt::set_schedule(schedule);
    planted::reverse(team.context(), x.data(), y.data(), 64);
    const std::vector<float> got = y.download();
    for (int i = 0; i < 64; ++i) CHECK(got[static_cast<std::size_t>(i)] == static_cast<float>(63 - i));
  }
  simt::set_schedule(0);
}

TEST_CASE("simt: a missing barrier is a race, whatever the schedule") {
  NEEDS_INSTRUMENTATION();
  DeviceArray<float> x(counting(64)), y(64);
  DeviceTeam team;
  for (const unsigned schedule : {0U, 1U, 7U}) {
    simt::set_schedule(schedule);
    const std::string found =
        violation([&] { planted::reverse_missing_barrier(team.context(), x.data(), y.data(), 64); });
    CAPTURE(found);
    // Read before it is written, or read with no barrier in between: both name the fault.
    CHECK((has(found, "no barrier between") || has(found, "which nobody wrote")));
    CHECK(has(found, "of shared array 0"));
    CHECK(has(found, "reverse_kernel"));
  }
  simt::set_schedule(0);
  const std::string late = violation([&] { planted::reads_after_others_write(team.context(), y.data()); });
  CAPTURE(late);
  CHECK(has(late, "no barrier between"));
}

TEST_CASE("simt: a wrong index shows in the values, or as memory nobody was given") {
  DeviceArray<float> x(counting(64)), y(64);
  DeviceTeam team;
  planted::reverse_wrong_index(team.context(), x.data(), y.data(), 64);
  int wrong = 0;
  const std::vector<float> got = y.download();
  for (int i = 0; i < 64; ++i)
    if (!(got[static_cast<std::size_t>(i)] == static_cast<float>(63 - i))) ++wrong;
  CHECK(wrong > 0);
  NEEDS_INSTRUMENTATION();
  const std::string found =
      violation([&] { planted::reverse_beyond_shared(team.context(), x.data(), y.data(), 64); });
  CAPTURE(found);
  CHECK(has(found, "shared memory outside every array"));
}

TEST_CASE("simt: accesses outside an allocation") {
  NEEDS_INSTRUMENTATION();
  DeviceArray<float> x(counting(64)), y(64);
  DeviceTeam team;
  const std::string write =
      violation([&] { planted::copy_out_of_bounds(team.context(), x.data(), y.data(), 64); });
  CAPTURE(write);
  CHECK(has(write, "writes 4 bytes outside all memory it was given"));
  CHECK(y.guards_intact());  // found before it happened
  const std::string read =
      violation([&] { planted::copy_reads_out_of_bounds(team.context(), x.data(), y.data(), 64); });
  CAPTURE(read);
  CHECK(!read.empty());
  const std::vector<float> mine(4, 1.0F);
  const std::string host = violation([&] { planted::host_pointer(team.context(), mine.data(), y.data()); });
  CAPTURE(host);
  CHECK(has(host, "reads 4 bytes outside all memory it was given"));
}

TEST_CASE("simt: divergent barriers") {
  DeviceArray<float> y(64);
  DeviceTeam team;
  const std::string elsewhere = violation([&] { planted::divergent_barrier(team.context(), y.data()); });
  CAPTURE(elsewhere);
  CHECK(has(elsewhere, "divergent barrier"));
  const std::string left = violation([&] { planted::barrier_after_return(team.context(), y.data()); });
  CAPTURE(left);
  CHECK(has(left, "32 threads have left the kernel"));
  const std::string shuffle = violation([&] { planted::divergent_shuffle(team.context(), y.data()); });
  CAPTURE(shuffle);
  CHECK(has(shuffle, "divergent warp"));
}

TEST_CASE("simt: blocks of one launch are never ordered, atomics are sound") {
  DeviceArray<float> y(std::vector<float>(4, 0.0F));
  DeviceTeam team;
  planted::blocks_add(team.context(), y.data());
  CHECK(y.download()[0] == 3.0F);
  NEEDS_INSTRUMENTATION();
  const std::string found = violation([&] { planted::blocks_race(team.context(), y.data()); });
  CAPTURE(found);
  CHECK(has(found, "races on byte 0"));
}

TEST_CASE("simt: within a warp, __syncwarp orders") {
  DeviceArray<float> y(64);
  DeviceTeam team;
  planted::warp_exchange(team.context(), y.data(), true);
  CHECK(y.download()[10] == 11.0F);
  NEEDS_INSTRUMENTATION();
  const std::string found = violation([&] { planted::warp_exchange(team.context(), y.data(), false); });
  CAPTURE(found);
  CHECK(!found.empty());
}

TEST_CASE("simt: memory nobody wrote, and addresses that do not fit the access") {
  NEEDS_INSTRUMENTATION();
  DeviceArray<float> x(counting(64)), y(64), fresh(64);
  DeviceTeam team;
  const std::string shared = violation([&] { planted::shared_never_written(team.context(), y.data()); });
  CAPTURE(shared);
  CHECK(has(shared, "reads byte 252 of shared array 0, which nobody wrote"));
  const std::string global = violation([&] { planted::reverse(team.context(), fresh.data(), y.data(), 64); });
  CAPTURE(global);
  CHECK(has(global, "reads byte 0 of an allocation of 256, which nobody wrote"));
  const std::string vector =
      violation([&] { planted::misaligned_vector(team.context(), x.data(), y.data()); });
  CAPTURE(vector);
  CHECK(has(vector, "not a multiple of 16"));
}

TEST_CASE("simt: asynchronous copies arrive when waited for") {
  DeviceArray<float> x(counting(64)), y(64);
  DeviceTeam team;
  planted::forgets_to_wait(team.context(), x.data(), y.data(), true);
  CHECK(y.download() == counting(64));
  NEEDS_INSTRUMENTATION();
  const std::string found =
      violation([&] { planted::forgets_to_wait(team.context(), x.data(), y.data(), false); });
  CAPTURE(found);
  CHECK(!found.empty());
}

TEST_CASE("simt: launches that no card takes") {
  DeviceArray<float> y(64);
  DeviceTeam team;
  CHECK(has(violation([&] { planted::too_much_shared(team.context(), y.data()); }),
            "shared memory; sm_90 has"));
  CHECK(has(violation([&] { planted::odd_block(team.context(), y.data()); }), "not a whole number of warps"));
}

TEST_CASE("simt: shuffles, votes and partial masks") {
  DeviceArray<float> x(counting(64)), y(64);
  DeviceTeam team;
  planted::warp_sum(team.context(), x.data(), y.data());
  const std::vector<float> got = y.download();
  CHECK(got[3] == 496.0F + 2.0F + 3.0F);
  CHECK(got[20] == 496.0F);
  CHECK(got[40] == 1520.0F);
}

TEST_CASE("simt: half precision of the emulator rounds as tensor/dtype does") {
  int wrong = 0;
  for (const kernels::Storage storage : {kernels::Storage::kF16, kernels::Storage::kBF16}) {
    std::vector<float> values = random_normal(2000, 3);
    for (const float special :
         {0.0F, -0.0F, 65504.0F, 65519.9F, 65520.0F, 1e-8F, 6e-8F, 6.1e-5F, -3e-6F, 1e30F})
      values.push_back(special);
    DeviceFloats kept(storage, values);
    const std::vector<float> got = kept.download();
    for (std::size_t i = 0; i < values.size(); ++i)
      if (!(got[i] == rounded(storage, values[i]))) ++wrong;
  }
  CHECK(wrong == 0);
}
