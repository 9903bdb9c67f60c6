// The surfaces of a synthetic head, as grids of vertices in head units (synth_person.h), and where the face's
// landmarks lie on them.
#pragma once

#include <array>
#include <vector>

#include "aikd/synth_person.h"

namespace aikd::synth {

enum class Material { kSkin, kHair, kEar, kNeck, kShirt, kFrame };

struct Vertex {
  Vec3 position;
  Vec3 normal;
  double u = 0, v = 0;  // where on the surface, in the material's own coordinates; they do not move with the
                        // pose: skin (x, y); hair (azimuth, y); the others (azimuth, row)
  double w = 0;         // skin: 1 on the front; hair: distance above the hair's edge; else unused
};

struct Surface {  // quads between neighbouring rows and columns
  Material material = Material::kSkin;
  int rows = 0, columns = 0;
  std::vector<Vertex> vertices;
  Vertex& at(int row, int column) { return vertices[index(row, column)]; }
  const Vertex& at(int row, int column) const { return vertices[index(row, column)]; }
  std::size_t index(int row, int column) const {
    return static_cast<std::size_t>(row) * static_cast<std::size_t>(columns) +
           static_cast<std::size_t>(column);
  }
};

// The mouth as the expression shapes it; shared by the surface, its paint and the landmarks.
struct Mouth {
  double y = 0, half_width = 0, corner_lift = 0, gap = 0;
  double centre_line(double x) const {  // y of the line where the lips meet
    const double t = x / half_width;
    return y - corner_lift * t * t;
  }
};
Mouth mouth_of(const Person& person, const Photograph& photograph);

// The point of the face's front surface at (x, y).
Vec3 face_point(const Person& person, const Photograph& photograph, double x, double y);
// Left eye, right eye, nose tip, left and right mouth corner, in head units.
std::array<Vec3, 5> landmark_points(const Person& person, const Photograph& photograph);

// All surfaces, in head units, before the head is turned; normals are not yet set.
std::vector<Surface> build_surfaces(const Person& person, const Photograph& photograph);

// Sets the normals from the neighbouring vertices (after the vertices were moved).
void compute_normals(Surface& surface);

}  // namespace aikd::synth
