#include "kernels/loss.h"

#include <algorithm>

#include "io/safetensors.h"
#include "tests/kernels/kernel_test.h"

namespace {

using namespace aikd;
using namespace aikd::test;
namespace cpu = kernels::cpu;
using Values = std::vector<double>;

Values wide(const std::vector<float>& x) {
  return {x.begin(), x.end()};
}

// Mean over rows of 1 - cos, from the definition.
double cosine_loss(std::int64_t rows, const Values& a, const Values& b) {
  const std::size_t columns = a.size() / static_cast<std::size_t>(rows);
  double loss = 0;
  for (std::size_t i = 0; i < a.size(); i += columns) {
    double dot = 0, aa = 1e-12, bb = 1e-12;
    for (std::size_t j = i; j < i + columns; ++j) {
      dot += a[j] * b[j];
      aa += a[j] * a[j];
      bb += b[j] * b[j];
    }
    loss += (1 - dot / std::sqrt(aa * bb)) / static_cast<double>(rows);
  }
  return loss;
}
double smooth_l1(double d, double beta) {
  return std::fabs(d) < beta ? d * d / (2 * beta) : std::fabs(d) - beta / 2;
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

struct CosineResult {
  std::vector<float> per_row, loss, db;
};
CosineResult cosine(int threads, std::int64_t rows, std::int64_t columns, const std::vector<float>& a,
                    const std::vector<float>& b, float upstream) {
  Team team(threads, cpu::cosine_embedding_loss_workspace_bytes(rows));
  const Guarded ga(a.size(), 1, a), gb(b.size(), 3, b);
  Guarded per_row(static_cast<std::size_t>(rows), 1), loss(1), db(b.size(), 2);
  cpu::cosine_embedding_loss(team.context(), rows, columns, ga.data(), gb.data(), per_row.data(),
                             loss.data());
  cpu::cosine_embedding_loss_backward(team.context(), rows, columns, ga.data(), gb.data(), upstream,
                                      db.data());
  CHECK((per_row.guards_intact() && loss.guards_intact() && db.guards_intact() && team.guards_intact()));
  return {per_row.values(), loss.values(), db.values()};
}

struct MeanResult {
  float loss = 0;
  std::vector<float> dx;
};
MeanResult mean_loss(int threads, const std::vector<float>& x, const std::vector<float>& target, float beta,
                     bool l1, float upstream) {
  const auto count = static_cast<std::int64_t>(x.size());
  Team team(threads, cpu::mean_loss_workspace_bytes(count));
  const Guarded gx(x.size(), 1, x), gt(x.size(), 2, target);
  Guarded loss(1), dx(x.size(), 3);
  if (l1) {
    cpu::l1_loss(team.context(), count, gx.data(), gt.data(), loss.data());
    cpu::l1_loss_backward(team.context(), count, gx.data(), gt.data(), upstream, dx.data());
  } else {
    cpu::smooth_l1_loss(team.context(), count, beta, gx.data(), gt.data(), loss.data());
    cpu::smooth_l1_loss_backward(team.context(), count, beta, gx.data(), gt.data(), upstream, dx.data());
  }
  CHECK((loss.guards_intact() && dx.guards_intact() && team.guards_intact()));
  return {loss[0], dx.values()};
}

}  // namespace

TEST_CASE("losses: values and gradients are PyTorch's") {
  const io::SafetensorsFile golden = io::read_safetensors(golden_dir() / "tape" / "optimisers.safetensors");
  const auto get = [&](const std::string& name) {
    const Tensor* t = golden.find("loss." + name);
    REQUIRE_MESSAGE(t != nullptr, name);
    return std::vector<float>(t->values<float>().begin(), t->values<float>().end());
  };
  const CosineResult c = cosine(1, 6, 37, get("a"), get("b"), 1.0F);
  CHECK(wrong(c.loss, wide(get("cosine")), 1e-7) == 0);
  // The row of zeros has a gradient of a / (sqrt(A) 1e-6), a million times the others.
  const std::vector<float> wanted = get("cosine.grad");
  for (std::size_t row = 0; row < 6; ++row) {
    const auto part = [&](const std::vector<float>& v) {
      const auto begin = v.begin() + static_cast<std::ptrdiff_t>(row * 37);
      return std::vector<float>(begin, begin + 37);
    };
    if (row == 1 || row == 3) {  // parallel: nothing but the epsilon is left
      for (const float v : part(c.db)) CHECK_FALSE(!(std::fabs(v) <= 1e-12F));
    } else {
      CHECK(wrong(part(c.db), wide(part(wanted)), 2e-7) == 0);
    }
  }
  for (const bool l1 : {true, false}) {
    const std::string name = l1 ? "l1" : "smooth_l1";
    const MeanResult m = mean_loss(2, get("x"), get("target"), 0.5F, l1, 1.0F);
    CHECK(wrong({m.loss}, wide(get(name)), 2e-7) == 0);
    CHECK(wrong(m.dx, wide(get(name + ".grad")), 3e-7) == 0);
    CHECK(m.dx[5] == 0.0F);  // x = target
  }
}

TEST_CASE("losses: cosine equals its definition, its gradient the central difference") {
  for (const auto& [rows, columns] :
       std::vector<std::pair<std::int64_t, std::int64_t>>{{1, 1}, {3, 13}, {17, 15}, {2, 512}, {49, 17}}) {
    CAPTURE(rows);
    CAPTURE(columns);
    const auto a = random_floats(rows * columns, 1), b = random_floats(rows * columns, 2);
    const CosineResult got = cosine(1, rows, columns, a, b, -2.5F);
    CHECK(wrong(got.loss, {cosine_loss(rows, wide(a), wide(b))}, 1e-7) == 0);
    Values slopes, moved = wide(b);
    for (double& v : moved) {
      const double at = v;
      v = at + 1e-5;
      const double up = cosine_loss(rows, wide(a), moved);
      v = at - 1e-5;
      slopes.push_back(-2.5 * (up - cosine_loss(rows, wide(a), moved)) / 2e-5);
      v = at;
    }
    if (columns > 1) {
      CHECK(wrong(got.db, slopes, 1e-6) == 0);
    } else {  // cos is 1 or -1 whatever b
      CHECK_FALSE(!(std::fabs(got.db[0]) <= 1e-8F));
    }
    const CosineResult again = cosine(3, rows, columns, a, b, -2.5F);
    CHECK((same_bits(got.loss, again.loss) && same_bits(got.per_row, again.per_row) &&
           same_bits(got.db, again.db)));
  }
  CHECK(std::isnan(cosine(1, 0, 5, {}, {}, 1.0F).loss[0]));
}

TEST_CASE("losses: 1 - cos of nearly parallel vectors keeps its digits") {
  std::vector<float> a(512, 1.0F), b(512, 1.0F);
  b[7] = 1.0F + 1e-3F;
  const CosineResult got = cosine(1, 1, 512, a, b, 1.0F);
  CHECK(wrong(got.per_row, {cosine_loss(1, wide(a), wide(b))}, 1e-6) == 0);
  CHECK(got.per_row[0] > 0.0F);
}

TEST_CASE("losses: L1 and smooth L1 equal their definitions") {
  for (const std::int64_t count : {1, 13, 15, 17, 49, 12544, 40000}) {
    CAPTURE(count);
    const auto x = random_floats(count, 3), target = random_floats(count, 4);
    for (const float beta : {0.0F, 0.5F, 3.0F}) {
      const bool l1 = beta == 0.0F;
      double loss = 0;
      Values slopes;
      for (std::size_t i = 0; i < x.size(); ++i) {
        const double d = static_cast<double>(x[i]) - static_cast<double>(target[i]),
                     b = static_cast<double>(beta);
        loss += smooth_l1(d, b) / static_cast<double>(count);
        slopes.push_back(3.0 / static_cast<double>(count) *
                         (smooth_l1(d + 1e-7, b) - smooth_l1(d - 1e-7, b)) / 2e-7);
      }
      for (const int threads : {1, 3}) {
        const MeanResult got = mean_loss(threads, x, target, beta, l1, 3.0F);
        CHECK(wrong({got.loss}, {loss}, 2e-7) == 0);
        CHECK(wrong(got.dx, slopes, 1e-6) == 0);
        const MeanResult same = mean_loss(1, x, target, beta, false, 3.0F);
        CHECK((same_bits({got.loss}, {same.loss}) && same_bits(got.dx, same.dx)));
      }
    }
  }
  CHECK(std::isnan(mean_loss(1, {}, {}, 0.5F, false, 1.0F).loss));
  const MeanResult special =
      mean_loss(1, {1.0F, kNaN, 0.0F, 2.0F}, {1.0F, 0.0F, -0.0F, 1.5F}, 0.5F, false, 4.0F);
  CHECK(special.dx[0] == 0.0F);
  CHECK(std::isnan(special.dx[1]));
  CHECK(special.dx[2] == 0.0F);
  CHECK(special.dx[3] == 1.0F);  // d = beta: both formulas
  CHECK(std::isnan(special.loss));
}
