#include "kernels/isa.h"

#include "kernels/cpu/targets.h"
//
#include <hwy/highway.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <mutex>

namespace aikd::kernels {
namespace {

struct Isa {
  const char* name;
  std::int64_t target;
};
// Lowest first: forcing one allows it and all before it.
constexpr std::array<Isa, 5> kIsas{{{"scalar", HWY_EMU128 | HWY_SCALAR},
                                    {"neon", HWY_NEON},
                                    {"sse4", HWY_SSE4},
                                    {"avx2", HWY_AVX2},
                                    {"avx512", HWY_AVX3}}};

std::int64_t detected() {
  static const std::int64_t targets = hwy::SupportedTargets();
  return targets;
}

bool runnable(const Isa& isa) {
  return (HWY_TARGETS & isa.target) != 0 && (detected() & isa.target) != 0;
}

bool use(std::string_view name) {
  std::int64_t allowed = 0;
  for (const Isa& isa : kIsas) {
    if (runnable(isa)) allowed |= isa.target;
    if (isa.name == name && runnable(isa)) {
      hwy::SetSupportedTargetsForTest(allowed);
      hwy::GetChosenTarget().Update(hwy::SupportedTargets());
      return true;
    }
  }
  return false;
}

std::string best() {
  const char* name = "scalar";
  for (const Isa& isa : kIsas) {
    if (runnable(isa)) name = isa.name;
  }
  return name;
}

struct State {
  std::string name = best();
  std::string problem;
};
State& state() {
  static State instance;
  return instance;
}

std::string joined_isas() {
  std::string text;
  for (const std::string& name : available_isas()) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const Isa& isa : kIsas) {
    if (runnable(isa)) names.emplace_back(isa.name);
  }
  return names;
}

bool force_isa(std::string_view name) {
  select_isa_once();
  const std::string wanted = name.empty() ? best() : std::string(name);
  if (!use(wanted)) return false;
  state().name = wanted;
  return true;
}

void select_isa_once() {
  static std::once_flag once;
  std::call_once(once, [] {
    const char* asked = std::getenv("AIKD_ISA");
    std::string wanted = asked == nullptr ? "" : asked;
    if (!wanted.empty() && use(wanted)) {
      state().name = wanted;
      return;
    }
    if (!wanted.empty()) {
      state().problem = "AIKD_ISA asks for the instruction set '" + wanted +
                        "', which this build or this processor does not have; it has " + joined_isas() + ".";
    }
    use(best());
  });
}

std::string isa_name() {
  select_isa_once();
  return state().name;
}

std::string isa_problem() {
  select_isa_once();
  return state().problem;
}

}  // namespace aikd::kernels
