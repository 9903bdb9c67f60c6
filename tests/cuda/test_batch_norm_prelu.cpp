// BatchNorm and PReLU in one kernel against the oracle.
#include "kernels/activation.h"
#include "kernels/batch_norm.h"
#include "tests/cuda/batch_norm_cases.h"

namespace {

using namespace aikd;
using namespace aikd::test;
using kernels::Storage;
namespace cuda = kernels::cuda;

}  // namespace

TEST_CASE("batch norm prelu oracle: gradients by central differences") {
  NormCase data(Storage::kF32, {9, 1}, true);
  oracle::Column x = data.column(data.x, 0);
  const oracle::Column dy = data.column(data.dy, 0);
  oracle::ChannelNorm n = data.norm(0);
  double slope = static_cast<double>(data.slope[0]);
  const auto loss = [&] {
    const auto s = oracle::statistics(9, 1, x.data());
    n.mean = s.mean[0];
    n.var = s.var[0];
    const oracle::Column z = oracle::normalise(x, n);
    double sum = 0;
    for (std::size_t i = 0; i < z.size(); ++i) sum += dy[i] * oracle::prelu(z[i], slope);
    return sum;
  };
  // The oracle's statistics here are those of x rounded to fp32: a relative 1e-7.
  const NormExpected e = data.backward(false, true);
  for (std::size_t i = 0; i < x.size(); ++i)
    CHECK(central_difference(x, i, loss) == doctest::Approx(e.value[i]).epsilon(1e-5));
  std::vector<double> parameters = {n.weight, n.bias, slope};
  const auto of_parameters = [&] {
    n.weight = parameters[0];
    n.bias = parameters[1];
    slope = parameters[2];
    return loss();
  };
  CHECK(central_difference(parameters, 0, of_parameters) == doctest::Approx(e.dweight[0]).epsilon(1e-5));
  CHECK(central_difference(parameters, 1, of_parameters) == doctest::Approx(e.dbias[0]).epsilon(1e-5));
  CHECK(central_difference(parameters, 2, of_parameters) == doctest::Approx(e.dslope[0]).epsilon(1e-5));
}

TEST_CASE("cuda batch norm prelu: forward and backward") {
  AIKD_NEEDS_DEVICE();
  for (const Storage storage : kStorages) {
    for (const Matrix& m : kGradientMatrices) {
      for (const bool affine : {true, false}) {
        CAPTURE(kernels::name_of(storage));
        CAPTURE(m.rows);
        CAPTURE(m.channels);
        CAPTURE(affine);
        const NormCase data(storage, m, affine);
        const NormExpected forward = data.forward(true), backward = data.backward(false, true);
        DeviceTeam team(cuda::batch_norm_prelu_backward_workspace_bytes(m.rows, m.channels));
        const NormOnDevice p(data);
        std::vector<float> first_y, first_dx;
        std::vector<std::vector<float>> first_sums;
        for (const int turn : {0, 1, 2}) {  // odd addresses; y = x and dx = dy
          const bool shifted = turn == 1;
          const Placed x(storage, data.x, shifted), dy(storage, data.dy, shifted),
              y(storage, data.x.size(), shifted), dx(storage, data.x.size(), shifted);
          const DeviceArray<float> dweight(data.mean.size()), dbias(data.mean.size()),
              dslope(data.mean.size());
          const Placed& to = turn == 2 ? dy : dx;
          cuda::batch_norm_prelu_backward(team.context(), storage, m.rows, m.channels, x.data(),
                                          p.mean.data(), p.var.data(), p.weight(), p.bias(), kEps,
                                          p.slope.data(), dy.data(), to.data(), dweight.data(), dbias.data(),
                                          dslope.data());
          const Placed& result = turn == 2 ? x : y;
          cuda::batch_norm_prelu_forward(team.context(), storage, m.rows, m.channels, p.mean.data(),
                                         p.var.data(), p.weight(), p.bias(), kEps, p.slope.data(), x.data(),
                                         result.data());
          const std::vector<std::vector<float>> sums = {dweight.download(), dbias.download(),
                                                        dslope.download()};
          if (turn == 0) {
            first_y = result.download();
            first_dx = to.download();
            first_sums = sums;
          }
          CHECK(same_bits(result.download(), first_y));
          CHECK(same_bits(to.download(), first_dx));
          for (std::size_t s = 0; s < sums.size(); ++s) CHECK(same_bits(sums[s], first_sums[s]));
          CHECK((x.intact() && dy.intact() && y.intact() && dx.intact() && team.guards_intact()));
          CHECK((dweight.guards_intact() && dbias.guards_intact() && dslope.guards_intact()));
        }
        CHECK(forward.wrong_value(storage, first_y) == "");
        CHECK(backward.wrong_value(storage, first_dx) == "");
        CHECK(backward.wrong_weight(first_sums[0]) == "");
        CHECK(backward.wrong_bias(first_sums[1]) == "");
        CHECK(backward.wrong_slope(first_sums[2]) == "");
        // Only dx, or only dslope.
        const Placed x(storage, data.x), dy(storage, data.dy), dx(storage, data.x.size());
        const DeviceArray<float> dslope(data.mean.size());
        cuda::batch_norm_prelu_backward(team.context(), storage, m.rows, m.channels, x.data(), p.mean.data(),
                                        p.var.data(), p.weight(), p.bias(), kEps, p.slope.data(), dy.data(),
                                        dx.data(), nullptr, nullptr, nullptr);
        CHECK(same_bits(dx.download(), first_dx));
        cuda::batch_norm_prelu_backward(team.context(), storage, m.rows, m.channels, x.data(), p.mean.data(),
                                        p.var.data(), p.weight(), p.bias(), kEps, p.slope.data(), dy.data(),
                                        nullptr, nullptr, nullptr, dslope.data());
        CHECK(same_bits(dslope.download(), first_sums[2]));
      }
    }
  }
}

// In fp32 the value in between is the same number whether it is stored or not: the fused kernels equal the
// two in a row.
TEST_CASE("cuda batch norm prelu: in fp32 it is batch norm, then prelu") {
  AIKD_NEEDS_DEVICE();
  const Matrix m{300, 40};
  const NormCase data(Storage::kF32, m, true);
  const NormOnDevice p(data);
  DeviceTeam team(std::max(cuda::batch_norm_prelu_backward_workspace_bytes(m.rows, m.channels),
                           cuda::prelu_backward_workspace_bytes(m.rows, m.channels)));
  const Placed x(Storage::kF32, data.x), dy(Storage::kF32, data.dy), z(Storage::kF32, data.x.size()),
      y(Storage::kF32, data.x.size()), fused(Storage::kF32, data.x.size());
  cuda::batch_norm_train_forward(team.context(), Storage::kF32, m.rows, m.channels, p.mean.data(),
                                 p.var.data(), p.weight(), p.bias(), kEps, x.data(), z.data());
  cuda::prelu(team.context(), Storage::kF32, m.rows, m.channels, z.data(), p.slope.data(), y.data());
  cuda::batch_norm_prelu_forward(team.context(), Storage::kF32, m.rows, m.channels, p.mean.data(),
                                 p.var.data(), p.weight(), p.bias(), kEps, p.slope.data(), x.data(),
                                 fused.data());
  CHECK(same_bits(fused.download(), y.download()));

  const DeviceArray<float> dslope(40), dweight(40), dbias(40), fused_dslope(40), fused_dweight(40),
      fused_dbias(40);
  cuda::batch_norm_prelu_backward(team.context(), Storage::kF32, m.rows, m.channels, x.data(), p.mean.data(),
                                  p.var.data(), p.weight(), p.bias(), kEps, p.slope.data(), dy.data(),
                                  fused.data(), fused_dweight.data(), fused_dbias.data(),
                                  fused_dslope.data());
  cuda::prelu_backward(team.context(), Storage::kF32, m.rows, m.channels, z.data(), p.slope.data(), dy.data(),
                       dy.data(), dslope.data());
  cuda::batch_norm_train_backward(team.context(), Storage::kF32, m.rows, m.channels, x.data(), p.mean.data(),
                                  p.var.data(), p.weight(), kEps, dy.data(), y.data(), dweight.data(),
                                  dbias.data());
  CHECK(same_bits(fused.download(), y.download()));
  CHECK(same_bits(fused_dslope.download(), dslope.download()));
  CHECK(same_bits(fused_dweight.download(), dweight.download()));
  CHECK(same_bits(fused_dbias.download(), dbias.download()));
}
