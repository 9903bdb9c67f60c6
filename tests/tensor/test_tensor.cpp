#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tensor/cuda_runtime.h"
#include "tensor/tensor.h"
#include "tests/support/test.h"

using aikd::DType;
using aikd::Error;
using aikd::Shape;
using aikd::Tensor;

namespace {

template <class F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("shape checks extents and product") {
  const Shape s{2, 3, 5};
  CHECK(s.numel() == 30);
  CHECK(s[0] == 2);
  CHECK(s[-1] == 5);
  CHECK(s.to_string() == "[2, 3, 5]");
  CHECK(Shape{}.numel() == 1);
  CHECK(Shape{4, 0, 7}.numel() == 0);
  CHECK(Shape{2, 3} == Shape{2, 3});
  CHECK_FALSE(Shape{2, 3} == Shape{2, 3, 1});
  CHECK(message_of([] { Shape{-1}; }).find("negative: -1") != std::string::npos);
  CHECK(message_of([] { Shape{1LL << 40, 1LL << 40}; }).find("overflows") != std::string::npos);
  CHECK(message_of([&] { (void)s[3]; }).find("Dimension 3 asked of a tensor of shape [2, 3, 5]") !=
        std::string::npos);
  CHECK(message_of([&] { (void)s[-4]; }).find("Dimension -4") != std::string::npos);
  CHECK(message_of([] { Shape{1, 1, 1, 1, 1, 1, 1, 1, 1}; }).find("at most 8 dimensions, got 9") !=
        std::string::npos);
}

TEST_CASE("copies of a tensor share memory and clones do not") {
  Tensor a = Tensor::zeros({2, 2});
  Tensor b = a;
  Tensor c = a.clone();
  a.mutable_data<float>()[3] = 7.0F;
  CHECK(b.data<float>()[3] == 7.0F);
  CHECK(c.data<float>()[3] == 0.0F);
  CHECK(a.reshape({4}).data<float>()[3] == 7.0F);
  CHECK(message_of([&] { (void)a.reshape({3}); }).find("[2, 2] cannot be viewed as [3]") !=
        std::string::npos);
}

TEST_CASE("memory is aligned to a cache line") {
  for (const std::int64_t n : {1, 3, 17, 1000}) {
    CHECK(reinterpret_cast<std::uintptr_t>(Tensor::empty({n}).raw()) % 64 == 0);
  }
  CHECK(Tensor::empty({0}).numel() == 0);
}

TEST_CASE("values are read only as what they are") {
  const Tensor t = Tensor::full({3}, 1.5F);
  CHECK(message_of([&] { (void)t.data<double>(); }).find("F32 was read as F64") != std::string::npos);
  CHECK(message_of([] { (void)Tensor().data<float>(); }).find("undefined tensor") != std::string::npos);
}

TEST_CASE("conversions between floating types keep or round values") {
  const std::array<double, 4> values{1.0, -0.333333333333333, 65504.0, 1e-8};
  const Tensor d = Tensor::from<double>(values, {4});
  const Tensor f = d.to(DType::kF32);
  CHECK(f.data<float>()[1] == static_cast<float>(values[1]));
  const Tensor h = f.to(DType::kF16).to(DType::kF32);
  CHECK(h.data<float>()[0] == 1.0F);
  CHECK(h.data<float>()[2] == 65504.0F);
  CHECK(h.data<float>()[3] == 0.0F);
  CHECK(f.to(DType::kBF16).to(DType::kF64).data<double>()[1] == doctest::Approx(-0.3333).epsilon(0.004));
  const std::array<std::int64_t, 1> n{5};
  CHECK(message_of([&] { (void)Tensor::from<std::int64_t>(n, {1}).to(DType::kF32); }).find("from I64") !=
        std::string::npos);
}

TEST_CASE("borrowed memory is read only and keeps its owner alive") {
  auto owner = std::make_shared<std::vector<float>>(std::vector<float>{1, 2, 3});
  const std::weak_ptr<std::vector<float>> watch = owner;
  Tensor t = Tensor::borrow(owner->data(), {3}, DType::kF32, owner);
  owner.reset();
  CHECK_FALSE(watch.expired());
  CHECK(t.data<float>()[2] == 3.0F);
  CHECK(message_of([&] { (void)t.mutable_data<float>(); }).find("mapped read-only") != std::string::npos);
  t = Tensor();
  CHECK(watch.expired());
}

TEST_CASE("an undefined tensor has no values on any device") {
  CHECK_FALSE(Tensor().to(aikd::Device::cuda(0)).defined());
  CHECK_FALSE(Tensor().clone().defined());
  const Tensor t = Tensor::full({2}, 1.0F);
  CHECK(t.to(aikd::Device::cpu()).raw() == t.raw());  // already there: the same handle
}

TEST_CASE("values are copied on a stream only between tensors that agree and can meet") {
  const aikd::cuda::Stream stream;  // refused before it is used
  Tensor to = Tensor::zeros({2, 3});
  const auto refusal = [&](const Tensor& from) {
    return message_of([&] { aikd::copy_values(from, to, stream); });
  };
  CHECK(refusal(Tensor::zeros({3, 2})) == "A tensor of F32 [3, 2] cannot be copied into one of F32 [2, 3].");
  CHECK(refusal(Tensor::zeros({2, 3}, DType::kI32)) ==
        "A tensor of I32 [2, 3] cannot be copied into one of F32 [2, 3].");
  CHECK(refusal(Tensor()).find("undefined tensor") != std::string::npos);
  CHECK(refusal(Tensor::zeros({2, 3})) == "A stream of cuda:0 cannot copy from cpu to cpu.");
}
