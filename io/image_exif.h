// EXIF orientation: where it stands in a file, and what it does to pixels.
#pragma once

#include <cstdint>
#include <span>

#include "io/image.h"

namespace aikd::io {

// The Orientation tag (0x0112) of the first image directory of a TIFF block (an EXIF payload without its
// "Exif\0\0" prefix), either byte order. 0 when there is none, or when the block is malformed or the value is
// not 1..8.
int tiff_orientation(std::span<const std::uint8_t> tiff) noexcept;

// The orientation stated by a whole JPEG (APP1 "Exif"; without that tag, APP1 XMP tiff:Orientation, as Pillow
// reads it) or PNG (eXIf) file; 1 when it states none. Never throws: a broken EXIF block does not make the
// picture unreadable.
int jpeg_orientation(std::span<const std::uint8_t> encoded) noexcept;
int png_orientation(std::span<const std::uint8_t> encoded) noexcept;

// The picture as it is meant to be seen (EXIF 2.3, tag 274; Pillow's ImageOps.exif_transpose): 2 mirrored, 3
// turned by 180 degrees, 4 flipped, 5 transposed, 6 turned clockwise, 7 transposed about the other diagonal,
// 8 turned counter-clockwise. Any other value returns the image unchanged.
Image apply_orientation(Image image, int orientation);

}  // namespace aikd::io
