#include "aikd/synth_degrade.h"

#include <array>
#include <cstddef>
#include <vector>

#include "aikd/synth_math.h"

namespace aikd::synth {
namespace {

std::uint8_t byte(double v) {
  return static_cast<std::uint8_t>(std::floor(std::min(255.0, std::max(0.0, v)) + 0.5));
}

// One channel of a picture in double.
struct Plane {
  int width = 0, height = 0;
  std::vector<double> v;
  Plane(int w, int h) : width(w), height(h), v(static_cast<std::size_t>(w) * static_cast<std::size_t>(h)) {}
  std::size_t index(int x, int y) const {  // edges are repeated
    x = std::min(width - 1, std::max(0, x));
    y = std::min(height - 1, std::max(0, y));
    return static_cast<std::size_t>(y) * static_cast<std::size_t>(width) + static_cast<std::size_t>(x);
  }
  double& at(int x, int y) { return v[index(x, y)]; }
  double at(int x, int y) const { return v[index(x, y)]; }
};

Plane channel(const io::Image& image, int c) {
  Plane out(image.width, image.height);
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) out.at(x, y) = image.at(x, y)[c];
  }
  return out;
}

void store(const Plane& plane, io::Image& image, int c) {
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) image.at(x, y)[c] = byte(plane.at(x, y));
  }
}

// Resampling along one axis with a triangle of half width max(1, source / target), as antialiased bilinear
// resizing does.
Plane resample_width(const Plane& in, int width) {
  Plane out(width, in.height);
  const double scale = static_cast<double>(in.width) / width, support = std::max(1.0, scale);
  for (int x = 0; x < width; ++x) {
    const double centre = (x + 0.5) * scale - 0.5;
    const int lo = static_cast<int>(std::ceil(centre - support)),
              hi = static_cast<int>(std::floor(centre + support));
    for (int y = 0; y < in.height; ++y) {
      double sum = 0, weights = 0;
      for (int i = std::max(lo, 0); i <= std::min(hi, in.width - 1); ++i) {
        const double w = std::max(0.0, 1.0 - std::abs(i - centre) / support);
        sum += w * in.at(i, y);
        weights += w;
      }
      out.at(x, y) = weights > 0 ? sum / weights : in.at(static_cast<int>(centre + 0.5), y);
    }
  }
  return out;
}

Plane transpose(const Plane& in) {
  Plane out(in.height, in.width);
  for (int y = 0; y < in.height; ++y) {
    for (int x = 0; x < in.width; ++x) out.at(y, x) = in.at(x, y);
  }
  return out;
}

Plane resample(const Plane& in, int width, int height) {
  return transpose(resample_width(transpose(resample_width(in, width)), height));
}

double distance(Point a, Point b) {
  return std::sqrt((a.x - b.x) * (a.x - b.x) + (a.y - b.y) * (a.y - b.y));
}

// ITU-T T.81 (JPEG), tables K.1 and K.2.
constexpr std::array<int, 64> kLuminance{
    16, 11,  10,  16, 24, 40, 51, 61, 12,  12,  14,  19,  26, 58, 60, 55,  14,  13,  16,  24, 40, 57,
    69, 56,  14,  17, 22, 29, 51, 87, 80,  62,  18,  22,  37, 56, 68, 109, 103, 77,  24,  35, 55, 64,
    81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98,  112, 100, 103, 99};
constexpr std::array<int, 64> kChrominance{17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99,
                                           24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99,
                                           99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
                                           99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99};

// Quantises the 8x8 cosine transform of every block.
void quantise_blocks(Plane& plane, const std::array<int, 64>& table, int quality) {
  const int scale = quality < 50 ? 5000 / quality : 200 - 2 * quality;
  std::array<std::array<double, 8>, 8> dct{};  // dct[u][x] = c(u)/2 cos((2x+1) u pi / 16)
  for (std::size_t u = 0; u < 8; ++u) {
    for (std::size_t x = 0; x < 8; ++x) {
      dct[u][x] =
          (u == 0 ? std::sqrt(0.125) : 0.5) * cosine(static_cast<double>((2 * x + 1) * u) * kPi / 16.0);
    }
  }
  for (int by = 0; by < plane.height; by += 8) {
    for (int bx = 0; bx < plane.width; bx += 8) {
      std::array<std::array<double, 8>, 8> block{}, half{};
      const auto apply = [&](bool inverse) {
        for (std::size_t i = 0; i < 8; ++i) {  // along rows
          for (std::size_t u = 0; u < 8; ++u) {
            double sum = 0;
            for (std::size_t x = 0; x < 8; ++x) sum += block[i][x] * (inverse ? dct[x][u] : dct[u][x]);
            half[i][u] = sum;
          }
        }
        for (std::size_t u = 0; u < 8; ++u) {  // along columns
          for (std::size_t j = 0; j < 8; ++j) {
            double sum = 0;
            for (std::size_t y = 0; y < 8; ++y) sum += half[y][j] * (inverse ? dct[y][u] : dct[u][y]);
            block[u][j] = sum;
          }
        }
      };
      for (int y = 0; y < 8; ++y) {
        for (int x = 0; x < 8; ++x)
          block[static_cast<std::size_t>(y)][static_cast<std::size_t>(x)] = plane.at(bx + x, by + y) - 128.0;
      }
      apply(false);
      for (std::size_t i = 0; i < 64; ++i) {
        const double q = std::min(255, std::max(1, (table[i] * scale + 50) / 100));
        block[i / 8][i % 8] = q * std::floor(block[i / 8][i % 8] / q + 0.5);
      }
      apply(true);
      for (int y = 0; y < 8 && by + y < plane.height; ++y) {
        for (int x = 0; x < 8 && bx + x < plane.width; ++x) {
          plane.at(bx + x, by + y) =
              byte(block[static_cast<std::size_t>(y)][static_cast<std::size_t>(x)] + 128.0);
        }
      }
    }
  }
}

}  // namespace

// The object's edge is a wavy line that advances over the face with the level: from one side, from below,
// from above, or as a bar that grows over the eyes.
void occlude(io::Image& image, const Landmarks& points, double level, std::uint64_t seed) {
  if (level <= 0) return;
  Random random(seed ^ 0x6f63636cU);
  const int kind = static_cast<int>(random.below(5));
  std::array<double, 6> c{};
  for (double& value : c) value = random.uniform();
  const double lightness = mix(30, 190, c[0]);
  const Vec3 colour{lightness + 50 * (c[1] - 0.5), lightness + 50 * (c[2] - 0.5),
                    lightness + 50 * (c[3] - 0.5)};
  // Face coordinates: origin between eyes and mouth, unit = height of the face, turned with it.
  const Point eyes{0.5 * (points[0].x + points[1].x), 0.5 * (points[0].y + points[1].y)};
  const Point mouth{0.5 * (points[3].x + points[4].x), 0.5 * (points[3].y + points[4].y)};
  const double unit = std::max(1.0, 2.3 * distance(eyes, mouth));
  const Point down{(mouth.x - eyes.x) / (unit / 2.3), (mouth.y - eyes.y) / (unit / 2.3)};
  const Point centre{0.55 * eyes.x + 0.45 * mouth.x, 0.55 * eyes.y + 0.45 * mouth.y};
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      const double dx = (x - centre.x) / unit, dy = (y - centre.y) / unit;
      const double u = dx * down.y - dy * down.x, v = dx * down.x + dy * down.y;
      const double wave = 0.05 * (noise(seed + 1, 5.0 * (u + 3), 5.0 * (v + 3)) - 0.5);
      double depth = 0;  // > 0 inside the object, in units
      if (kind == 0) depth = u + 0.42 - 0.63 * level;
      if (kind == 0) depth = -depth;
      if (kind == 1) depth = u - 0.42 + 0.63 * level;
      if (kind == 2) depth = v - 0.6 + 0.9 * level;
      if (kind == 3) depth = -0.6 + 0.9 * level - v;
      if (kind == 4) depth = 0.42 * level - std::abs(v + 0.18 - 0.3 * level);
      const double cover = smoothstep(-0.6, 0.6, (depth + wave * (kind == 4 ? 0.3 : 1.0)) * unit);
      if (cover <= 0) continue;
      const double weave = 0.8 + 0.2 * noise(seed + 2, 24.0 * (u + 3), (c[4] < 0.5 ? 24.0 : 5.0) * (v + 3)) +
                           0.12 * smoothstep(0.0, 0.08, depth);
      std::uint8_t* p = image.at(x, y);
      p[0] = byte(mix(p[0], colour.x * weave, cover));
      p[1] = byte(mix(p[1], colour.y * weave, cover));
      p[2] = byte(mix(p[2], colour.z * weave, cover));
    }
  }
}

void blur(io::Image& image, double sigma) {
  if (sigma <= 0) return;
  const int radius = static_cast<int>(std::ceil(4.0 * sigma));
  std::vector<double> kernel;
  double total = 0;
  for (int i = -radius; i <= radius; ++i) {
    kernel.push_back(exp_negative(-0.5 * i * i / (sigma * sigma)));
    total += kernel.back();
  }
  const auto along_rows = [&](const Plane& in) {
    Plane out(in.width, in.height);
    for (int y = 0; y < in.height; ++y) {
      for (int x = 0; x < in.width; ++x) {
        double sum = 0;
        for (int i = -radius; i <= radius; ++i)
          sum += kernel[static_cast<std::size_t>(i + radius)] * in.at(x + i, y);
        out.at(x, y) = sum / total;
      }
    }
    return out;
  };
  for (int c = 0; c < 3; ++c)
    store(transpose(along_rows(transpose(along_rows(channel(image, c))))), image, c);
}

void lower_resolution(io::Image& image, double factor) {
  const int w = std::max(2, static_cast<int>(image.width / factor + 0.5));
  const int h = std::max(2, static_cast<int>(image.height / factor + 0.5));
  if (w >= image.width && h >= image.height) return;
  for (int c = 0; c < 3; ++c) {
    Plane small = resample(channel(image, c), w, h);
    for (double& v : small.v) v = byte(v);
    store(resample(small, image.width, image.height), image, c);
  }
}

void add_noise(io::Image& image, double sigma, std::uint64_t seed) {
  if (sigma <= 0) return;
  Random random(seed ^ 0x6e6f6973U);
  // Nearly normal with variance 1: the sum of four uniforms (variance 1/12 each), less its mean.
  const auto draw = [&random] {
    double sum = 0;
    for (int i = 0; i < 4; ++i) sum += random.uniform();
    return (sum - 2.0) * std::sqrt(3.0);
  };
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      const double common = draw();  // brightness and colour noise in equal parts
      for (int c = 0; c < 3; ++c) {
        std::uint8_t* p = image.at(x, y) + c;
        *p = byte(*p + sigma * (common + draw()) * std::sqrt(0.5));
      }
    }
  }
}

void jpeg_artefacts(io::Image& image, int quality) {
  const int w = image.width, h = image.height, cw = (w + 1) / 2, ch = (h + 1) / 2;
  Plane luma(w, h), cb(cw, ch), cr(cw, ch), r = channel(image, 0), g = channel(image, 1),
                                            b = channel(image, 2);
  for (int y = 0; y < h; ++y) {
    for (int x = 0; x < w; ++x)
      luma.at(x, y) = byte(0.299 * r.at(x, y) + 0.587 * g.at(x, y) + 0.114 * b.at(x, y));
  }
  for (int y = 0; y < ch; ++y) {
    for (int x = 0; x < cw; ++x) {
      double u = 0, v = 0;
      for (int i = 0; i < 4; ++i) {
        const int sx = 2 * x + i % 2, sy = 2 * y + i / 2;
        u += -0.168735892 * r.at(sx, sy) - 0.331264108 * g.at(sx, sy) + 0.5 * b.at(sx, sy);
        v += 0.5 * r.at(sx, sy) - 0.418687589 * g.at(sx, sy) - 0.081312411 * b.at(sx, sy);
      }
      cb.at(x, y) = byte(0.25 * u + 128.0);
      cr.at(x, y) = byte(0.25 * v + 128.0);
    }
  }
  quantise_blocks(luma, kLuminance, quality);
  quantise_blocks(cb, kChrominance, quality);
  quantise_blocks(cr, kChrominance, quality);
  const Plane wide_cb = resample(cb, cw * 2, ch * 2), wide_cr = resample(cr, cw * 2, ch * 2);
  for (int y = 0; y < h; ++y) {
    for (int x = 0; x < w; ++x) {
      const double l = luma.at(x, y), u = wide_cb.at(x, y) - 128.0, v = wide_cr.at(x, y) - 128.0;
      std::uint8_t* p = image.at(x, y);
      p[0] = byte(l + 1.402 * v);
      p[1] = byte(l - 0.344136286 * u - 0.714136286 * v);
      p[2] = byte(l + 1.772 * u);
    }
  }
}

void degrade(io::Image& image, const Landmarks& points, const Degradation& d, std::uint64_t seed) {
  // The distance between the eyes; in a profile the height eyes to mouth tells the size.
  const Point eyes{0.5 * (points[0].x + points[1].x), 0.5 * (points[0].y + points[1].y)};
  const Point mouth{0.5 * (points[3].x + points[4].x), 0.5 * (points[3].y + points[4].y)};
  const double eye_distance =
      std::max(1.0, std::max(distance(points[0], points[1]), 0.8 * distance(eyes, mouth)));
  occlude(image, points, d.occlusion, seed);
  blur(image, 0.16 * d.blur * eye_distance);
  if (d.low_resolution > 0)
    lower_resolution(image, 1.0 + d.low_resolution * (std::max(1.0, eye_distance / 4.0) - 1.0));
  add_noise(image, 0.22 * 255.0 * d.noise, seed);
  if (d.jpeg > 0) {
    const double left = 1.0 - d.jpeg;
    jpeg_artefacts(image, static_cast<int>(std::floor(5.0 + 90.0 * left * left + 0.5)));
  }
}

}  // namespace aikd::synth
