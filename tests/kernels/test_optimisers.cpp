#include "kernels/optimiser.h"

#include <algorithm>
#include <functional>

#include "tests/kernels/kernel_test.h"

namespace {

using namespace aikd;
using namespace aikd::test;
namespace cpu = kernels::cpu;
using Values = std::vector<double>;

constexpr float kInf = std::numeric_limits<float>::infinity();

Values wide(const std::vector<float>& x) {
  return {x.begin(), x.end()};
}

// How many of `got` are not within relative `tolerance` (of the largest) of `wanted`.
int wrong(const std::vector<float>& got, const Values& wanted, double tolerance) {
  double scale = 0;
  for (const double v : wanted) scale = std::max(scale, std::fabs(v));
  int count = got.size() == wanted.size() ? 0 : 1;
  for (std::size_t i = 0; i < wanted.size(); ++i)
    if (!(std::fabs(static_cast<double>(got[i]) - wanted[i]) <= tolerance * scale)) ++count;
  return count;
}

const std::vector<std::int64_t> kCounts = {1, 13, 0, 15, 17, 49, 12544, 2 * kernels::kOptimiserChunk + 5};

// Tensors of all sizes, group = index % 2, with everything an optimiser may use.
struct Model {
  explicit Model(bool zeros) {
    for (const std::int64_t count : kCounts) {
      const auto size = static_cast<std::size_t>(count);
      const std::uint64_t seed = 10 * p.size();
      const std::size_t shift = p.size() % 3;
      p.emplace_back(size, shift, random_floats(count, seed));
      g.emplace_back(size, 1, random_floats(count, seed + 1));
      average.emplace_back(size, 0, random_floats(count, seed + 2));
      first.emplace_back(size, 2);  // NaN
      second.emplace_back(size, 0);
      if (zeros) {
        std::fill_n(first.back().data(), size, 0.0F);
        std::fill_n(second.back().data(), size, 0.0F);
      }
    }
    for (std::size_t i = 0; i < p.size(); ++i) {
      cpu::TensorSlice slice;
      slice.parameter = p[i].data();
      slice.gradient = g[i].data();
      slice.first = first[i].data();
      slice.second = second[i].data();
      slice.average = average[i].data();
      slice.count = kCounts[i];
      slice.group = static_cast<std::int32_t>(i % 2);
      slices.push_back(slice);
    }
    const auto tensors = static_cast<std::int64_t>(slices.size());
    chunks.resize(static_cast<std::size_t>(kernels::tensor_chunk_count(slices.data(), tensors)));
    kernels::make_tensor_chunks(slices.data(), tensors, chunks.data());
  }
  cpu::TensorList list() const {
    return {slices.data(), chunks.data(), static_cast<std::int64_t>(chunks.size())};
  }
  void new_gradients(std::uint64_t seed) {
    for (std::size_t i = 0; i < g.size(); ++i)
      std::ranges::copy(random_floats(kCounts[i], seed + i), g[i].data());
  }
  bool intact() const {
    bool ok = true;
    for (const auto* all : {&p, &g, &average, &first, &second})
      for (const Guarded& buffer : *all) ok = ok && buffer.guards_intact();
    return ok;
  }
  std::vector<Guarded> p, g, average, first, second;
  std::vector<cpu::TensorSlice> slices;
  std::vector<kernels::TensorChunk> chunks;
};

std::vector<float> all_of(const std::vector<Guarded>& buffers) {
  std::vector<float> all;
  for (const Guarded& buffer : buffers) {
    const auto values = buffer.values();
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}
// Group of each of all_of's values.
std::vector<std::size_t> groups_of_all() {
  std::vector<std::size_t> groups;
  for (std::size_t i = 0; i < kCounts.size(); ++i)
    groups.insert(groups.end(), static_cast<std::size_t>(kCounts[i]), i % 2);
  return groups;
}

// Three steps with `step` and, on the same numbers in double, `rule(group, step, g, p, m, v)`; every
// instruction set, one and three threads with the same bits.
using Step = std::function<void(const kernels::Context&, const cpu::TensorList&, std::int32_t*)>;
using Rule = std::function<void(std::size_t, int, double, double&, double&, double&)>;
void check_steps(bool zeros, const Step& step, const Rule& rule) {
  for_each_isa([&] {
    std::vector<float> bits;
    for (const int threads : {1, 3}) {
      Model model(zeros);
      Team team(threads);
      Values p = wide(all_of(model.p)), m(p.size(), 0.0), v(p.size(), 0.0);
      const std::vector<std::size_t> groups = groups_of_all();
      std::int32_t steps = 0;
      for (int t = 1; t <= 3; ++t) {
        model.new_gradients(static_cast<std::uint64_t>(100 * t));
        const Values g = wide(all_of(model.g));
        step(team.context(), model.list(), &steps);
        CHECK(steps == t);
        for (std::size_t i = 0; i < p.size(); ++i) rule(groups[i], t, g[i], p[i], m[i], v[i]);
        CHECK(wrong(all_of(model.p), p, 2e-7) == 0);
      }
      CHECK(model.intact());
      if (threads == 1) bits = all_of(model.p);
      CHECK(same_bits(bits, all_of(model.p)));
    }
  });
}

}  // namespace

TEST_CASE("optimiser kernels: SGD in all its variants equals the definition") {
  for (const int variant : {0, 1, 2}) {
    kernels::SgdOptions options;
    options.groups[0] = {.learning_rate = 0.1, .momentum = 0.9, .weight_decay = 5e-4};
    options.groups[1] = {.learning_rate = 0.03,
                         .momentum = variant == 0 ? 0.0 : 0.4,
                         .dampening = variant == 1 ? 0.25 : 0.0,
                         .nesterov = variant == 2};
    check_steps(
        false,
        [&](const kernels::Context& ctx, const cpu::TensorList& list, std::int32_t* steps) {
          cpu::sgd_momentum(ctx, list, options, {.inverse_scale = 0.5F, .steps = steps});
        },
        [&](std::size_t group, int t, double g, double& p, double& m, double&) {
          const kernels::SgdGroup& o = options.groups[group];
          double d = 0.5 * g + o.weight_decay * p;
          if (o.momentum != 0) {
            m = t == 1 ? d : o.momentum * m + (1 - o.dampening) * d;
            d = o.nesterov ? d + o.momentum * m : m;
          }
          p -= o.learning_rate * d;
        });
  }
}

TEST_CASE("optimiser kernels: Adam equals the definition") {
  kernels::AdamOptions options;
  options.groups[0] = {.learning_rate = 0.1, .weight_decay = 1e-2};
  options.groups[1] = {.learning_rate = 0.03, .beta1 = 0.5, .beta2 = 0.9, .eps = 1e-3};
  const float norm = 20.0F;
  check_steps(
      true,
      [&](const kernels::Context& ctx, const cpu::TensorList& list, std::int32_t* steps) {
        cpu::adam(ctx, list, options, {.norm = &norm, .max_norm = 5.0F, .steps = steps});
      },
      [&](std::size_t group, int t, double g, double& p, double& m, double& v) {
        const kernels::AdamGroup& o = options.groups[group];
        g = g * 5.0 / (20.0 + 1e-6) + o.weight_decay * p;
        m = o.beta1 * m + (1 - o.beta1) * g;
        v = o.beta2 * v + (1 - o.beta2) * g * g;
        p -= o.learning_rate * (m / (1 - std::pow(o.beta1, t))) /
             (std::sqrt(v / (1 - std::pow(o.beta2, t))) + o.eps);
      });
}

TEST_CASE("optimiser kernels: the norm is that of all tensors, and says when something is not finite") {
  for_each_isa([] {
    Model model(true);
    double squares = 0;
    for (const double g : wide(all_of(model.g))) squares += g * g;
    const cpu::TensorList list = model.list();
    float first = 0;
    for (const int threads : {1, 3}) {
      Team team(threads, cpu::gradient_norm_workspace_bytes(list.chunk_count));
      float norm = kNaN;
      std::int32_t non_finite = 7;
      cpu::global_gradient_norm(team.context(), list, 0.125F, &norm, &non_finite);
      CHECK(team.guards_intact());
      CHECK_FALSE(
          !(std::fabs(static_cast<double>(norm) - 0.125 * std::sqrt(squares)) <= 1e-7 * std::sqrt(squares)));
      CHECK(non_finite == 0);
      if (threads == 1) first = norm;
      CHECK(same_bits({first}, {norm}));
      // Squares beyond the range of float; one value that is not finite, anywhere.
      Model large(true);
      for (Guarded& g : large.g)
        for (std::size_t i = 0; i < g.size(); ++i) g.data()[i] *= 1e30F;
      cpu::global_gradient_norm(team.context(), large.list(), 1.0F, &norm, &non_finite);
      CHECK_FALSE(
          !(std::fabs(static_cast<double>(norm) - 1e30 * std::sqrt(squares)) <= 1e24 * std::sqrt(squares)));
      CHECK(non_finite == 0);
      for (const float bad : {kInf, -kInf, kNaN}) {
        for (const std::size_t at : {std::size_t{0}, std::size_t{16384}, std::size_t{2 * 16384 + 4}}) {
          Model broken(true);
          broken.g.back().data()[at] = bad;
          cpu::global_gradient_norm(team.context(), broken.list(), 1.0F, &norm, &non_finite);
          CHECK(non_finite == 1);
        }
      }
    }
    float none = kNaN;
    std::int32_t flag = 7;
    cpu::global_gradient_norm({}, {}, 1.0F, &none, &flag);
    CHECK((none == 0.0F && flag == 0));
  });
}

TEST_CASE("optimiser kernels: a step that is skipped changes nothing, an absent clip nothing either") {
  Model model(true), plain(true);
  Team team(2);
  std::int32_t steps = 4, bad = 1, good = 0;
  const auto before = all_of(model.p), momenta = all_of(model.first);
  kernels::SgdOptions sgd;
  sgd.groups[0] = sgd.groups[1] = {.learning_rate = 0.1, .momentum = 0.9};
  kernels::AdamOptions adam;
  adam.groups[0] = adam.groups[1] = {.learning_rate = 0.1};
  cpu::sgd_momentum(team.context(), model.list(), sgd, {.non_finite = &bad, .steps = &steps});
  cpu::adam(team.context(), model.list(), adam, {.non_finite = &bad, .steps = &steps});
  CHECK(steps == 4);
  CHECK((same_bits(before, all_of(model.p)) && same_bits(momenta, all_of(model.first))));
  const float norm = 3.0F;  // below the largest
  cpu::sgd_momentum(team.context(), model.list(), sgd,
                    {.norm = &norm, .max_norm = 5.0F, .non_finite = &good, .steps = &steps});
  std::int32_t other = 4;
  cpu::sgd_momentum(team.context(), plain.list(), sgd, {.steps = &other});
  CHECK((steps == 5 && other == 5));
  CHECK(same_bits(all_of(plain.p), all_of(model.p)));
}

TEST_CASE("optimiser kernels: the moving average equals the definition") {
  for_each_isa([] {
    for (const double decay : {0.0, 0.1, 0.5, 0.999}) {
      CAPTURE(decay);
      std::vector<float> bits;
      for (const int threads : {1, 3}) {
        Model model(true);
        Team team(threads);
        Values wanted;
        const Values p = wide(all_of(model.p)), average = wide(all_of(model.average));
        for (std::size_t i = 0; i < p.size(); ++i) wanted.push_back(decay * average[i] + (1 - decay) * p[i]);
        cpu::ema(team.context(), model.list(), decay, false);
        CHECK(model.intact());
        CHECK(wrong(all_of(model.average), wanted, 1e-7) == 0);
        if (threads == 1) bits = all_of(model.average);
        CHECK(same_bits(bits, all_of(model.average)));
        cpu::ema(team.context(), model.list(), decay, true);
        CHECK(same_bits(all_of(model.average), all_of(model.p)));
        cpu::ema(team.context(), model.list(), decay, false);
        CHECK(same_bits(all_of(model.average), all_of(model.p)));
      }
    }
  });
}
