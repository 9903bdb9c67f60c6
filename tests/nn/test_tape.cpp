#include "nn/tape.h"

#include <cstring>

#include "tests/nn/tape_nets.h"

namespace {

using namespace aikd;
using namespace aikd::test;

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.bytes() == b.bytes() && std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}
double norm(const Tensor& t) {
  double sum = 0;
  for (const float v : t.values<float>()) sum += static_cast<double>(v) * static_cast<double>(v);
  return std::sqrt(sum);
}

// One forward and backward pass of a network with the parameters called `names` trained; gradients by name.
struct Pass {
  std::map<std::string, Tensor> gradients;
  Tensor embedding, score;
  std::size_t recorded = 0;
};
Pass pass(TapeNet& net, nn::DeviceOps& ops, const std::set<std::string>& names, bool batch_statistics,
          int backwards = 1) {
  nn::TrainedParameters trained;
  for (const std::string& name : names) trained.add(net.tensors.at(name));
  Pass result;
  for (int i = 0; i < backwards; ++i) {
    nn::TapeOps tape(ops, trained, {.batch_statistics = batch_statistics});
    const Results y = net.forward(tape, tape.constant(net.golden("x")));
    result.embedding = y.embedding.tensor;
    result.score = y.score.tensor;
    result.recorded = tape.recorded();
    tape.seed(y.embedding, net.golden("dembedding"));
    tape.seed(y.score, net.golden("dscore"));
    if (!names.empty()) tape.backward();
    CHECK(tape.recorded() == 0);
  }
  for (const std::string& name : names) result.gradients[name] = trained.gradient(net.tensors.at(name));
  return result;
}

// Everything PyTorch has to say about one case.
void check_case(const std::string& name, const std::string& which) {
  CAPTURE(name);
  CAPTURE(which);
  TapeNet net(name);
  const TapeNet before(name);
  Context context(Device::cpu(), 2);
  const auto ops = nn::make_cpu_ops(context);
  const Pass got = pass(net, *ops, net.trained_in(which), which != "eval");

  CHECK(relative_error(got.embedding.values<float>(), net.golden(which + ".embedding").values<float>()) <=
        1e-5);
  CHECK(relative_error(got.score.values<float>(), net.golden(which + ".score").values<float>()) <= 1e-5);
  double worst = 0;
  for (const auto& [parameter, gradient] : got.gradients) {
    CAPTURE(parameter);
    const Tensor& wanted = net.golden(which + ".grad." + parameter);
    REQUIRE(gradient.shape() == wanted.shape());
    if (norm(wanted) < 1e-9) {  // a shift that the next BatchNorm takes away again
      CHECK_FALSE(!(norm(gradient) <= 1e-5));
      continue;
    }
    const double error = relative_error(gradient.values<float>(), wanted.values<float>());
    worst = std::max(worst, error);
    CHECK_FALSE(!(error <= 1e-5));
  }
  MESSAGE(name, " ", which, ": ", got.gradients.size(), " gradients, worst relative error ", worst);
  for (const auto& [parameter, tensor] : net.tensors) {
    CAPTURE(parameter);
    if (!parameter.ends_with("running_mean") && !parameter.ends_with("running_var")) {
      CHECK(same_bits(tensor, before.tensors.at(parameter)));  // nothing but statistics has changed
      continue;
    }
    const Tensor& wanted = net.golden(which + ".after." + parameter);
    CHECK_FALSE(!(relative_error(tensor.values<float>(), wanted.values<float>()) <= 1e-6));
    // Statistics that PyTorch left alone are left alone.
    if (same_bits(wanted, before.tensors.at(parameter))) CHECK(same_bits(tensor, wanted));
  }
}

}  // namespace

TEST_CASE("tape: outputs, gradients by name and statistics are PyTorch's, statistics of the batch") {
  check_case("iresnet", "train");
  check_case("mobile", "train");
}

TEST_CASE("tape: the same in evaluation mode, where statistics stay as they are") {
  check_case("iresnet", "eval");
  check_case("mobile", "eval");
}

TEST_CASE("tape: the same for a network whose first part is frozen") {
  check_case("iresnet", "partial");
  check_case("mobile", "partial");
}

TEST_CASE("tape: what nobody needs is neither recorded nor computed") {
  TapeNet net("iresnet");
  Context context(Device::cpu(), 1);
  using Calls = std::map<std::string, int>;
  const Calls forward{{"conv2d", 6}, {"batch_norm", 10}, {"prelu", 3},
                      {"add", 2},    {"linear", 3},      {"gelu", 1}};
  const auto calls_of = [&](const std::set<std::string>& names, std::size_t recorded) {
    CountingOps ops(context);
    CHECK(pass(net, ops, names, true).recorded == recorded);
    for (const auto& [op, count] : forward) {
      CAPTURE(op);
      CHECK(ops.calls[op] >= count);
      if ((ops.calls[op] -= count) == 0) ops.calls.erase(op);
    }
    return ops.calls;
  };
  CHECK(calls_of({}, 0) == Calls{});
  // The head alone: its first layer's input needs nothing.
  CHECK(calls_of({"l1.weight", "l1.bias", "l2.weight", "l2.bias"}, 3) == Calls{{"linear_weight_gradient", 2},
                                                                               {"linear_data_gradient", 1},
                                                                               {"column_sums", 2},
                                                                               {"gelu_gradient", 1}});
  // One filter: no gradient flows on behind it; the BatchNorms after it use the batch.
  CHECK(calls_of({"block2.conv2.weight"}, 10) == Calls{{"conv2d_filter_gradient", 1},
                                                       {"batch_statistics", 3},
                                                       {"update_running", 3},
                                                       {"batch_norm_gradient", 3},
                                                       {"linear_data_gradient", 3},
                                                       {"gelu_gradient", 1},
                                                       {"add", 1}});
  // The trained part of the golden. `add`: the embedding's two gradients.
  CHECK(calls_of(net.trained_in("partial"), 14) == Calls{{"conv2d_filter_gradient", 2},
                                                         {"conv2d_data_gradient", 2},
                                                         {"batch_statistics", 5},
                                                         {"update_running", 5},
                                                         {"batch_norm_gradient", 5},
                                                         {"prelu_gradient", 1},
                                                         {"linear_data_gradient", 3},
                                                         {"linear_weight_gradient", 3},
                                                         {"column_sums", 3},
                                                         {"gelu_gradient", 1},
                                                         {"add", 1}});
}

TEST_CASE("tape: gradients repeat bit for bit, whatever the threads, and a frozen part changes none") {
  for (const std::string name : {"iresnet", "mobile"}) {
    CAPTURE(name);
    TapeNet net(name);
    std::map<std::string, Tensor> first;
    for (const int threads : {1, 1, 3}) {
      Context context(Device::cpu(), threads);
      const auto ops = nn::make_cpu_ops(context);
      const Pass now = pass(net, *ops, net.trained_in("eval"), false);
      if (first.empty()) first = now.gradients;
      for (const auto& [parameter, gradient] : now.gradients) CHECK(same_bits(gradient, first.at(parameter)));
      for (const auto& [parameter, gradient] : pass(net, *ops, net.trained_in("partial"), false).gradients)
        CHECK(same_bits(gradient, first.at(parameter)));
    }
  }
}

TEST_CASE("tape: gradients of a second backward are added") {
  TapeNet net("mobile");
  Context context(Device::cpu(), 2);
  const auto ops = nn::make_cpu_ops(context);
  const auto names = net.trained_in("train");
  const Pass once = pass(net, *ops, names, true), twice = pass(net, *ops, names, true, 2);
  for (const std::string& name : names) {
    CAPTURE(name);
    Tensor doubled = once.gradients.at(name).clone();
    for (float& v : doubled.mutable_values<float>()) v *= 2.0F;
    CHECK(same_bits(twice.gradients.at(name), doubled));
  }
  nn::TrainedParameters trained;
  const Tensor& weight = net.tensors.at("head.weight");
  trained.add(weight);
  CHECK_FALSE(trained.gradient(weight).defined());
  nn::TapeOps tape(*ops, trained);
  const auto backward = [&] {
    const Results y = net.forward(tape, tape.constant(net.golden("x")));
    tape.seed(y.score, net.golden("dscore"));
    tape.backward();
  };
  backward();
  const Tensor kept = trained.gradient(weight).clone();
  trained.clear_gradients();
  CHECK_FALSE(trained.gradient(weight).defined());
  backward();  // the same tape again
  CHECK(same_bits(trained.gradient(weight), kept));
}

TEST_CASE("tape: a value seeded twice gets the sum, and a value used by nothing seeded gets none") {
  Context context(Device::cpu(), 1);
  const auto ops = nn::make_cpu_ops(context);
  Parameters p;
  const Tensor weight = p.normal({3, 4}), unused = p.normal({2, 4}), x = p.normal({5, 4}),
               dy = p.normal({5, 3});
  nn::TrainedParameters trained;
  trained.add(weight);
  trained.add(unused);
  nn::TapeOps tape(*ops, trained);
  const Value y = tape.linear(tape.constant(x), weight, {});
  tape.linear(tape.constant(x), unused, {});
  CHECK(tape.recorded() == 2);
  tape.seed(y, dy);
  tape.seed(y, dy);
  tape.seed(tape.constant(x), x);  // depends on nothing trained
  tape.backward();
  CHECK_FALSE(trained.gradient(unused).defined());
  Tensor wanted = ops->linear_weight_gradient(dy, x);
  for (float& v : wanted.mutable_values<float>()) v *= 2.0F;
  CHECK(same_bits(trained.gradient(weight), wanted));
}

TEST_CASE("tape: values that share a gradient do not share what is added to it later") {
  Context context(Device::cpu(), 1);
  const auto ops = nn::make_cpu_ops(context);
  Parameters p;
  const Tensor left = p.normal({3, 4}), right = p.normal({3, 4}), x = p.normal({5, 4}), dy = p.normal({5, 3});
  nn::TrainedParameters trained;
  trained.add(left);
  trained.add(right);
  nn::TapeOps tape(*ops, trained);
  const Value a = tape.linear(tape.constant(x), left, {}), b = tape.linear(tape.constant(x), right, {});
  const Value sum = tape.add(a, b);
  tape.seed(tape.add(sum, a), dy);  // 2 a + b
  tape.seed(sum, dy);               // + a + b
  tape.backward();
  const auto wanted = [&](float scale) {
    Tensor scaled = dy.clone();
    for (float& v : scaled.mutable_values<float>()) v *= scale;
    return ops->linear_weight_gradient(scaled, x);
  };
  CHECK(relative_error(trained.gradient(left).values<float>(), wanted(3.0F).values<float>()) <= 1e-6);
  CHECK(relative_error(trained.gradient(right).values<float>(), wanted(2.0F).values<float>()) <= 1e-6);
}

TEST_CASE("tape: wrong uses each have their sentence") {
  Context context(Device::cpu(), 1);
  const auto ops = nn::make_cpu_ops(context);
  CHECK(ops->device() == Device::cpu());
  CHECK(ops->storage() == DType::kF32);
  Parameters p;
  const Tensor weight = p.normal({3, 4});
  nn::TrainedParameters trained;
  CHECK(error_of([&] { trained.add({}); }) == "A parameter to be trained has no memory.");
  CHECK(error_of([&] { (void)trained.gradient(weight); }) ==
        "The gradient of a tensor that is not trained was asked for.");
  trained.add(weight);
  nn::TapeOps tape(*ops, trained);
  const std::string unseeded =
      "TapeOps::backward: no gradient was given (seed) to a value that depends on something trained.";
  CHECK(error_of([&] { tape.backward(); }) == unseeded);
  const Value x = tape.constant(p.normal({2, 4})), y = tape.linear(x, weight, {});
  tape.seed(x, x.tensor);
  CHECK(error_of([&] { tape.backward(); }) == unseeded);
  CHECK(error_of([&] {
          tape.seed(y, p.normal({2, 4}));
        }) == "TapeOps::seed: a gradient of F32 [2, 4] was given for a value of F32 [2, 3].");
  CHECK(error_of([&] {
          tape.seed(y, ops->cast(p.normal({2, 3}), DType::kF16));
        }) == "TapeOps::seed: a gradient of F16 [2, 3] was given for a value of F32 [2, 3].");
  tape.seed(y, p.normal({2, 3}));
  tape.backward();
  CHECK(error_of([&] {
          tape.seed(y, p.normal({2, 3}));
        }) == "TapeOps::seed: the value was recorded before the last backward().");
  // The shape rules are those of every Ops.
  CHECK(error_of([&] { tape.add(x, y); }) ==
        "add: both operands must have the same shape, got [2, 4] and [2, 3].");
  // One value per channel has no variance.
  nn::BatchNormTensors bn = p.batch_norm(4);
  trained.add(*bn.bias);
  const Tensor mean = bn.running_mean->clone(), one = p.normal({1, 4}), pixel = p.normal({1, 1, 1, 4});
  const std::string single =
      "A BatchNorm cannot be trained on a single value per channel: the batch must hold at least 2 images.";
  CHECK(error_of([&] { tape.batch_norm(tape.constant(one), bn); }) == single);
  CHECK(error_of([&] { tape.batch_norm(tape.constant(pixel), bn); }) == single);
  CHECK(same_bits(*bn.running_mean, mean));
  nn::TapeOps running(*ops, trained, {.batch_statistics = false});
  CHECK(running.batch_norm(running.constant(one), bn).tensor.numel() == 4);
}
