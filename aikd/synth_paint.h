// What the surfaces of a synthetic face look like: colour, shine and shade at a point, by procedure.
#pragma once

#include "aikd/synth_head.h"

namespace aikd::synth {

struct Paint {
  Vec3 albedo;             // linear light
  double shine = 0;        // strength of the soft reflection
  double gloss = 0;        // strength of the sharp reflection (eyes, lips, frames)
  double open = 1;         // share of the surroundings' light that reaches the point (ambient occlusion)
  double translucent = 0;  // how far light bleeds round the terminator (skin)
  Vec3 bend;               // added to the normal (head units, before the pose)
  Vec3 glow;               // added to the result: catch-lights
};

// `pixel` is the size of one sample in head units: edges are softened over it.
Paint paint_skin(const Person& person, const Photograph& photograph, const Mouth& mouth, const Vertex& point,
                 double pixel);
Paint paint_hair(const Person& person, const Vertex& point, double pixel);
Paint paint_other(const Person& person, const Photograph& photograph, Material material, const Vertex& point);

// Whether hair covers the point (strands leave gaps near its edge).
bool hair_covers(const Person& person, const Vertex& point);

// The wall behind, at (x, y) in [0, 1]^2.
Vec3 background(const Photograph& photograph, double x, double y);

}  // namespace aikd::synth
