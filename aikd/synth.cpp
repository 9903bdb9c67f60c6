#include "aikd/synth.h"

#include <array>
#include <cstddef>
#include <vector>

#include "aikd/synth_degrade.h"
#include "aikd/synth_paint.h"
#include "aikd/synth_person.h"
#include "aikd/synth_raster.h"
#include "tensor/error.h"

namespace aikd {
namespace synth {
namespace {

constexpr int kSamples = 3;            // per pixel and axis
constexpr double kCameraDistance = 7;  // head units from the middle of the head
constexpr Vec3 kPivot{0, 0.6, -0.2};   // the head turns about the neck

struct Rotation {
  double cy, sy, cp, sp, cr, sr;
  Rotation(double yaw, double pitch, double roll)
      : cy(cosine(yaw)),
        sy(sine(yaw)),
        cp(cosine(pitch)),
        sp(sine(pitch)),
        cr(cosine(roll)),
        sr(sine(roll)) {}
  Vec3 turn(Vec3 v) const {  // yaw about y, pitch about x, roll about z
    const Vec3 a{v.x * cy + v.z * sy, v.y, v.z * cy - v.x * sy};
    const Vec3 b{a.x, a.y * cp + a.z * sp, a.z * cp - a.y * sp};
    return {b.x * cr - b.y * sr, b.x * sr + b.y * cr, b.z};
  }
  Vec3 about_pivot(Vec3 v) const { return turn(v - kPivot) + kPivot; }
};

// From the plane of the camera (head units, perspective divided out) to pixels: a similarity and, for aligned
// faces, smooth local moves that bring each landmark exactly to its place.
struct Placement {
  double a = 1, b = 0, tx = 0, ty = 0;  // x' = a x - b y + tx, y' = b x + a y + ty
  std::array<Point, 5> anchors{}, moves{};
  double radius = 0;  // of the moves, in pixels; 0: none

  Point similar(Point p) const { return {a * p.x - b * p.y + tx, b * p.x + a * p.y + ty}; }
  // Wendland's function (1 - r)^4 (4 r + 1): smooth, positive definite, zero beyond the radius.
  double kernel(Point p, Point q) const {
    const double dx = p.x - q.x, dy = p.y - q.y, r = std::sqrt(dx * dx + dy * dy) / radius;
    if (r >= 1.0) return 0.0;
    const double t = (1.0 - r) * (1.0 - r);
    return t * t * (4.0 * r + 1.0);
  }
  Point place(Point plane) const {
    const Point p = similar(plane);
    if (radius <= 0) return p;
    Point out = p;
    for (std::size_t i = 0; i < anchors.size(); ++i) {
      const double k = kernel(p, anchors[i]);
      out.x += k * moves[i].x;
      out.y += k * moves[i].y;
    }
    return out;
  }
  double scale() const { return std::sqrt(a * a + b * b); }
};

Point project(Vec3 v) {
  const double k = kCameraDistance / (kCameraDistance - v.z);
  return {v.x * k, v.y * k};
}

// Solves the 5 x 5 system of the kernel for the moves (Gaussian elimination; the matrix is positive
// definite).
void solve_moves(Placement& placement, const std::array<Point, 5>& residual) {
  std::array<std::array<double, 7>, 5> m{};
  for (std::size_t i = 0; i < 5; ++i) {
    for (std::size_t j = 0; j < 5; ++j)
      m[i][j] = placement.kernel(placement.anchors[i], placement.anchors[j]);
    m[i][5] = residual[i].x;
    m[i][6] = residual[i].y;
  }
  for (std::size_t i = 0; i < 5; ++i) {
    for (std::size_t k = i + 1; k < 5; ++k) {
      const double f = m[k][i] / m[i][i];
      for (std::size_t j = i; j < 7; ++j) m[k][j] -= f * m[i][j];
    }
  }
  for (std::size_t i = 5; i-- > 0;) {
    for (std::size_t c = 5; c < 7; ++c) {
      double sum = m[i][c];
      for (std::size_t j = i + 1; j < 5; ++j)
        sum -= m[i][j] * (c == 5 ? placement.moves[j].x : placement.moves[j].y);
      (c == 5 ? placement.moves[i].x : placement.moves[i].y) = sum / m[i][i];
    }
  }
}

// The least-squares similarity in closed form (in the plane Umeyama's solution is one complex regression;
// without a library it is the same on every machine), then the moves.
Placement place_aligned(const std::array<Point, 5>& plane, const SynthOptions& options) {
  const double size = std::min(options.width, options.height), s = size / 112.0;
  std::array<Point, 5> target{};
  Point mean_p, mean_t;
  for (std::size_t i = 0; i < 5; ++i) {
    target[i] = {kReferenceLandmarks[i].x * s + 0.5 * (options.width - size),
                 kReferenceLandmarks[i].y * s + 0.5 * (options.height - size)};
    mean_p = {mean_p.x + plane[i].x / 5, mean_p.y + plane[i].y / 5};
    mean_t = {mean_t.x + target[i].x / 5, mean_t.y + target[i].y / 5};
  }
  double norm = 0, re = 0, im = 0;
  for (std::size_t i = 0; i < 5; ++i) {
    const double px = plane[i].x - mean_p.x, py = plane[i].y - mean_p.y;
    const double qx = target[i].x - mean_t.x, qy = target[i].y - mean_t.y;
    norm += px * px + py * py;
    re += px * qx + py * qy;
    im += px * qy - py * qx;
  }
  Placement out;
  out.a = re / norm;
  out.b = im / norm;
  out.tx = mean_t.x - out.a * mean_p.x + out.b * mean_p.y;
  out.ty = mean_t.y - out.b * mean_p.x - out.a * mean_p.y;
  const double exact = (1.0 - options.degradation.pose) * (1.0 - options.degradation.pose);
  out.radius = 62.0 * s;
  std::array<Point, 5> residual{};
  for (std::size_t i = 0; i < 5; ++i) {
    out.anchors[i] = out.similar(plane[i]);
    residual[i] = {exact * (target[i].x - out.anchors[i].x), exact * (target[i].y - out.anchors[i].y)};
  }
  solve_moves(out, residual);
  return out;
}

Placement place_free(const Photograph& photo, Vec3 centre, const SynthOptions& options) {
  Placement out;
  const double size = std::min(options.width, options.height);
  out.a = photo.face_scale * size / 0.66;
  const Point middle = project(centre);
  out.tx = photo.centre_x * options.width - 0.5 - out.a * middle.x;
  out.ty = (photo.centre_y - 0.5) * size + 0.5 * options.height - 0.5 - out.a * middle.y;
  return out;
}

// Depth as the light sees it, for shadows.
class ShadowMap {
 public:
  ShadowMap(const std::vector<Surface>& surfaces, Vec3 light) : buffer_(kSize, kSize), light_(light) {
    right_ = normalized(cross(std::abs(light.y) > 0.9 ? Vec3{1, 0, 0} : Vec3{0, 1, 0}, light));
    down_ = cross(light, right_);
    std::vector<Projected> projected;
    int id = 0;
    for (const Surface& surface : surfaces) {
      projected.clear();
      for (const Vertex& v : surface.vertices) projected.push_back(see(v.position));
      rasterise(surface, id++, projected, buffer_, [](const Surface& s, const Fragment& f) {
        return s.material != Material::kHair || interpolate(s, f).w > 0;
      });
    }
  }
  // The share of the light that arrives: the mean over 3 x 3 cells.
  double lit(Vec3 position) const {
    const Projected p = see(position);
    const double fx = std::floor(p.x), fy = std::floor(p.y), tx = p.x - fx, ty = p.y - fy;
    if (!(fx >= 1 && fy >= 1 && fx < kSize - 3 && fy < kSize - 3)) return 1.0;
    const int ix = static_cast<int>(fx), iy = static_cast<int>(fy);
    double sum = 0;
    for (int dy = -1; dy <= 2; ++dy) {
      for (int dx = -1; dx <= 2; ++dx) {
        const double wx = dx == -1 ? 1 - tx : (dx == 2 ? tx : 1.0),
                     wy = dy == -1 ? 1 - ty : (dy == 2 ? ty : 1.0);
        const double cover = buffer_.at(ix + dx, iy + dy).depth - p.z;
        sum += wx * wy * (1.0 - smoothstep(0.03, 0.1, cover));
      }
    }
    return sum / 9.0;
  }

 private:
  static constexpr int kSize = 144;
  Projected see(Vec3 v) const {
    const Vec3 q = v - Vec3{0, 0.3, 0};
    constexpr double kCells = kSize / 4.2;
    return {dot(q, right_) * kCells + kSize * 0.5, dot(q, down_) * kCells + kSize * 0.5, dot(q, light_)};
  }
  FragmentBuffer buffer_;
  Vec3 light_, right_, down_;
};

double power16(double x) {
  x *= x;
  x *= x;
  x *= x;
  return x * x;
}

// Soft light from one side, bleeding red round the edge of shadow on skin, light from all around, and two
// lobes of reflection. `lit`: the share of the key light that is not in shadow.
Vec3 shade(const Paint& paint, const Photograph& photo, Vec3 normal, double lit) {
  const Vec3 view{0, 0, 1};
  const double facing = dot(normal, photo.light);
  const auto wrapped = [&](double wrap) { return std::max(0.0, (facing + wrap) / (1.0 + wrap)); };
  const double t = paint.translucent;
  const Vec3 diffuse{wrapped(0.08 + 0.26 * t), wrapped(0.08 + 0.12 * t), wrapped(0.08 + 0.08 * t)};
  const Vec3 soft = mix(Vec3{1, 1, 1} * lit, Vec3{std::sqrt(lit), lit, lit}, 0.6 * t);
  Vec3 light = photo.light_colour * diffuse * soft * photo.key;
  const double sky = 0.78 - 0.22 * normal.y + 0.25 * std::max(0.0, normal.z);
  light = light + photo.ambient_colour * (photo.ambient * sky * paint.open);
  light = light * mix(1.0, paint.open, 0.55);
  const double h = power16(std::max(0.0, dot(normal, normalized(photo.light + view))));
  const double shine = 0.065 * paint.shine * h * paint.open + 0.55 * paint.gloss * h * h * h;
  return paint.albedo * light + photo.light_colour * (photo.key * shine * lit) + paint.glow * photo.key;
}

std::uint8_t to_byte(double linear) {
  const double c = linear / (1.0 + 0.12 * linear) * 1.12;  // a soft shoulder
  return static_cast<std::uint8_t>(std::floor(255.0 * std::sqrt(clamp01(c)) + 0.5));
}

struct Scene {
  Person person;
  Photograph photo;
  Mouth mouth;
  std::vector<Surface> surfaces;
  std::array<Vec3, 5> rest;       // landmarks before the head was turned
  std::array<Vec3, 5> landmarks;  // and after
};

Scene build_scene(const SynthOptions& options) {
  Scene s;
  s.person = make_person(options.identity);
  s.photo = make_photograph(options.identity, options.variation, options.degradation);
  s.mouth = mouth_of(s.person, s.photo);
  s.surfaces = build_surfaces(s.person, s.photo);
  s.rest = landmark_points(s.person, s.photo);
  s.landmarks = s.rest;
  const Rotation head(s.photo.yaw, s.photo.pitch, s.photo.roll);
  const Rotation body(s.photo.body_yaw, 0, 0.25 * s.photo.roll);
  for (Vec3& v : s.landmarks) v = head.about_pivot(v);
  for (Surface& surface : s.surfaces) {
    const bool hangs = surface.material == Material::kNeck || surface.material == Material::kHair;
    for (Vertex& vertex : surface.vertices) {
      const double down = surface.material == Material::kShirt ? 1.0
                          : hangs                              ? smoothstep(0.6, 1.5, vertex.position.y)
                                                               : 0.0;
      vertex.position = mix(head.about_pivot(vertex.position), body.about_pivot(vertex.position), down);
    }
    compute_normals(surface);
  }
  return s;
}

// Whether the point of the skin is on a marker: found on the surface, so that the marker's place in the
// picture checks the landmark's.
bool marked(const Scene& scene, const Vertex& point) {
  constexpr double kRadius = 0.045;
  for (const Vec3& p : scene.rest) {
    const double dx = point.u - p.x, dy = point.v - p.y;
    if (point.w > 0 && dx * dx + dy * dy < kRadius * kRadius) return true;
  }
  return false;
}

// The colour of one sample. `lit` is the light that passes the shadows, found once per pixel and surface.
Vec3 sample_colour(const Scene& scene, const Fragment& fragment, const Vertex& point, const Rotation& head,
                   double pixel, double lit) {
  const Surface& surface = scene.surfaces[static_cast<std::size_t>(fragment.surface)];
  Paint paint;
  if (surface.material == Material::kSkin) {
    paint = paint_skin(scene.person, scene.photo, scene.mouth, point, pixel);
  } else if (surface.material == Material::kHair) {
    paint = paint_hair(scene.person, point, pixel);
  } else {
    paint = paint_other(scene.person, scene.photo, surface.material, point);
  }
  Vec3 normal = normalized(point.normal);
  if (normal.z < 0) normal = normal * -1.0;  // surfaces are seen from both sides
  return shade(paint, scene.photo, normalized(normal + head.turn(paint.bend)), lit);
}

void draw(const Scene& scene, const Placement& placement, const SynthOptions& options, io::Image& image) {
  FragmentBuffer buffer(options.width * kSamples, options.height * kSamples);
  std::vector<Projected> projected;
  int id = 0;
  for (const Surface& surface : scene.surfaces) {
    projected.clear();
    for (const Vertex& v : surface.vertices) {
      const Point p = placement.place(project(v.position));
      // Sample s of pixel i stands at i + (s + 0.5) / n - 0.5.
      projected.push_back({(p.x + 0.5) * kSamples - 0.5, (p.y + 0.5) * kSamples - 0.5, v.position.z});
    }
    rasterise(surface, id++, projected, buffer, [&](const Surface& s, const Fragment& f) {
      return s.material != Material::kHair || hair_covers(scene.person, interpolate(s, f));
    });
  }
  const ShadowMap shadows(scene.surfaces, scene.photo.light);
  const double pixel = 1.0 / (placement.scale() * kSamples);
  const double wall = 0.35 + 0.65 * (scene.photo.ambient + 0.3 * scene.photo.key);
  const Rotation head(scene.photo.yaw, scene.photo.pitch, scene.photo.roll);
  for (int y = 0; y < options.height; ++y) {
    for (int x = 0; x < options.width; ++x) {
      Vec3 sum;
      const Vec3 behind =
          background(scene.photo, (x + 0.5) / options.width, (y + 0.5) / options.height) * wall;
      int lit_surface = -1;
      double lit = 1;
      for (int s = 0; s < kSamples * kSamples; ++s) {
        const Fragment& fragment = buffer.at(x * kSamples + s % kSamples, y * kSamples + s / kSamples);
        if (fragment.surface < 0) {
          sum = sum + behind;
          continue;
        }
        const Surface& surface = scene.surfaces[static_cast<std::size_t>(fragment.surface)];
        const Vertex point = interpolate(surface, fragment);
        if (options.markers && surface.material == Material::kSkin && marked(scene, point)) {
          sum = sum + Vec3{0, 1, 0};
          continue;
        }
        if (lit_surface != fragment.surface) {
          lit_surface = fragment.surface;
          lit = shadows.lit(point.position);
        }
        sum = sum + sample_colour(scene, fragment, point, head, pixel, lit);
      }
      sum = sum * (scene.photo.exposure / (kSamples * kSamples));
      std::uint8_t* out = image.at(x, y);
      out[0] = to_byte(sum.x);
      out[1] = to_byte(sum.y);
      out[2] = to_byte(sum.z);
    }
  }
}

void check(const SynthOptions& o) {
  require(o.width >= 16 && o.width <= 4096 && o.height >= 16 && o.height <= 4096, ErrorKind::kUsage,
          "The size of a synthetic face must be 16..4096 pixels each way, got ", o.width, "x", o.height, ".");
  const Degradation& d = o.degradation;
  const std::array<std::pair<const char*, double>, 7> levels{{{"blur", d.blur},
                                                              {"noise", d.noise},
                                                              {"low_resolution", d.low_resolution},
                                                              {"jpeg", d.jpeg},
                                                              {"occlusion", d.occlusion},
                                                              {"pose", d.pose},
                                                              {"light", d.light}}};
  for (const auto& [name, level] : levels) {
    require(level >= 0 && level <= 1, ErrorKind::kUsage, "The degradation ", name,
            " of a synthetic face must be in 0..1, got ", level, ".");
  }
}

}  // namespace
}  // namespace synth

SynthFace render_face(const SynthOptions& options) {
  synth::check(options);
  const synth::Scene scene = synth::build_scene(options);
  std::array<Point, 5> plane{};
  for (std::size_t i = 0; i < 5; ++i) plane[i] = synth::project(scene.landmarks[i]);
  const synth::Rotation head(scene.photo.yaw, scene.photo.pitch, scene.photo.roll);
  const synth::Placement placement =
      options.aligned ? synth::place_aligned(plane, options)
                      : synth::place_free(scene.photo, head.about_pivot({0, 0.2, 0.4}), options);
  SynthFace out{io::Image(options.width, options.height), {}};
  for (std::size_t i = 0; i < 5; ++i) out.landmarks[i] = placement.place(plane[i]);
  synth::draw(scene, placement, options, out.image);
  synth::degrade(out.image, out.landmarks, options.degradation, splitmix64(scene.photo.seed));
  return out;
}

double synth_utility(const Degradation& d) {
  return (1 - 0.75 * d.blur) * (1 - 0.45 * d.noise) * (1 - 0.85 * d.low_resolution) * (1 - 0.45 * d.jpeg) *
         (1 - 0.8 * d.occlusion) * (1 - 0.6 * d.pose) * (1 - 0.5 * d.light);
}

}  // namespace aikd
