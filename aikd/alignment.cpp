#include "aikd/alignment.h"

#include <Eigen/Core>
#include <Eigen/LU>
#include <Eigen/SVD>
#include <cmath>

#include "tensor/error.h"

namespace aikd {
namespace {

using Matrix2 = Eigen::Matrix2d;
using Vector2 = Eigen::Vector2d;
using Points = Eigen::Matrix<double, 5, 2>;

Points to_matrix(const Landmarks& landmarks) {
  Points points;
  for (std::size_t i = 0; i < landmarks.size(); ++i) {
    points(static_cast<Eigen::Index>(i), 0) = landmarks[i].x;
    points(static_cast<Eigen::Index>(i), 1) = landmarks[i].y;
  }
  return points;
}

void require_finite(const Landmarks& landmarks, const char* which) {
  for (std::size_t i = 0; i < landmarks.size(); ++i)
    require(std::isfinite(landmarks[i].x) && std::isfinite(landmarks[i].y), ErrorKind::kInput, "Landmark ",
            i + 1, " of 5 of the ", which, " points is (", landmarks[i].x, ", ", landmarks[i].y,
            "); both coordinates must be finite.");
}

}  // namespace

Affine umeyama(const Landmarks& source, const Landmarks& target) {
  require_finite(source, "source");
  require_finite(target, "target");
  const Points x = to_matrix(source), y = to_matrix(target);
  const Vector2 mean_x = x.colwise().mean(), mean_y = y.colwise().mean();
  const Points dx = x.rowwise() - mean_x.transpose(), dy = y.rowwise() - mean_y.transpose();

  // eq. 36: sigma_x^2, the mean squared distance from the mean; eq. 38: the covariance.
  const double variance = dx.squaredNorm() / 5.0;
  const Matrix2 covariance = dy.transpose() * dx / 5.0;
  const Eigen::JacobiSVD<Matrix2> svd(covariance, Eigen::ComputeFullU | Eigen::ComputeFullV);
  const Vector2 singular = svd.singularValues();
  // Points that coincide differ from their mean by rounding only: compare with the size of the coordinates.
  constexpr double kTiny = 1e-12;
  const double spread = std::sqrt(variance);
  require(spread > kTiny * (1.0 + mean_x.norm()), ErrorKind::kInput, "The five landmarks coincide at (",
          mean_x(0), ", ", mean_x(1), "), so no face position follows from them.");
  // Also zero when the source's points are spread but uncorrelated with the target's: no rotation is better
  // than another.
  require(singular(0) > kTiny * spread * std::sqrt(dy.squaredNorm() / 5.0), ErrorKind::kInput,
          "The five landmarks do not resemble a face: no rotation brings them nearer to the reference points "
          "than any "
          "other.");

  // eq. 39 and 43: S = diag(1, -1) where the best orthogonal matrix would be a reflection. For a covariance
  // of rank 1 (points on a line) its determinant says nothing, and that of U V^T decides.
  Vector2 sign(1.0, 1.0);
  const double orientation = svd.matrixU().determinant() * svd.matrixV().determinant();
  const bool rank1 = singular(1) <= singular(0) * 2.0 * std::numeric_limits<double>::epsilon();
  if (rank1 ? orientation < 0 : covariance.determinant() < 0) sign(1) = -1.0;
  const Matrix2 rotation = svd.matrixU() * sign.asDiagonal() * svd.matrixV().transpose();  // eq. 40
  const double scale = singular.dot(sign) / variance;                                      // eq. 42
  const Matrix2 linear = scale * rotation;
  const Vector2 offset = mean_y - linear * mean_x;  // eq. 41
  return {linear(0, 0), linear(0, 1), offset(0), linear(1, 0), linear(1, 1), offset(1)};
}

}  // namespace aikd
