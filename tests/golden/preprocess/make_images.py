"""Small image files of every kind the decoders meet, and Pillow's convert("RGB") of each (and of its exif_transpose).

    python make_images.py        writes images/* and images.json beside this script
"""

import io
import pathlib
import struct
import zlib

import PIL
from PIL import Image, ImageOps, features

import common

HERE = pathlib.Path(__file__).parent
WIDTH, HEIGHT = 33, 21
CASES = []


def add(name, data, exact=True):
    """exact False: a format of stb_image, where Pillow's pixels are not promised but happen to be the same."""
    (HERE / "images" / name).write_bytes(data)
    opened = Image.open(io.BytesIO(data))
    turned = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    case = {"file": name, "format": opened.format, "mode": opened.mode, "exif": opened.getexif().get(0x0112, 1)}
    case["size"], case["turned_size"] = list(opened.size), list(turned.size)
    case["sha256"] = common.sha256(opened.convert("RGB"))
    case["turned_sha256"] = common.sha256(turned.convert("RGB"))
    if not exact:
        case["stb"] = True
    CASES.append(case)


def save(picture, kind, **options):
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def png(bits, color, seed, extra=b"", interlaced=False, limit=None):
    """Random samples, written without Pillow, which cannot write most of these."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    values = common.random_bits(seed, WIDTH * HEIGHT * channels) >> 40
    samples = [int(v) % (limit or 1 << bits) for v in values]

    def row(y, xs):
        text = "".join(format(samples[(y * WIDTH + x) * channels + c], f"0{bits}b") for x in xs for c in range(channels))
        text += "0" * (-len(text) % 8)
        return b"\0" + bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8))

    data = b""
    for x0, y0, dx, dy in ADAM7 if interlaced else [(0, 0, 1, 1)]:
        xs = range(x0, WIDTH, dx)
        for y in range(y0, HEIGHT, dy) if len(xs) > 0 else []:
            data += row(y, xs)
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, bits, color, 0, 0, int(interlaced))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(data, 9))
            + chunk(b"IEND", b""))


def jpeg_cases(photo):
    for subsampling in (0, 1, 2):
        add(f"s{subsampling}.jpg", save(photo, "JPEG", quality=85, subsampling=subsampling))
        add(f"s{subsampling}_progressive.jpg", save(photo, "JPEG", quality=85, subsampling=subsampling, progressive=True))
    add("quality10.jpg", save(photo, "JPEG", quality=10))
    add("restart.jpg", save(photo, "JPEG", restart_marker_rows=1))
    add("rgb.jpg", save(photo, "JPEG", keep_rgb=True))
    add("grey.jpg", save(photo.convert("L"), "JPEG"))
    add("one_pixel.jpg", save(photo.crop((0, 0, 1, 1)), "JPEG"))
    add("one_row.jpg", save(photo.crop((0, 3, 33, 4)), "JPEG"))
    add("one_column.jpg", save(photo.crop((3, 0, 4, 21)), "JPEG"))
    planes = [Image.fromarray(common.image(seed, WIDTH, HEIGHT)[:, :, 0]) for seed in (33, 36, 39, 42)]
    cmyk = save(Image.merge("CMYK", planes), "JPEG", quality=95)
    add("cmyk.jpg", cmyk)
    at = cmyk.index(b"Adobe")
    add("ycck.jpg", cmyk[: at + 11] + b"\2" + cmyk[at + 12 :])
    length = struct.unpack(">H", cmyk[at - 2 : at])[0]
    add("cmyk_without_adobe.jpg", cmyk[: at - 4] + cmyk[at - 2 + length :])
    plain = save(photo, "JPEG")
    add("bytes_behind_the_end.jpg", plain + b"anything")
    add("bytes_before_the_end.jpg", plain[:-2] + b"\0\0abc\xff\xd9")
    add("png_inside.JPG", save(photo, "PNG"))
    for orientation in range(0, 10):
        exif = Image.Exif()
        exif[0x0112] = orientation
        add(f"exif{orientation}.jpg", save(photo, "JPEG", quality=60, exif=exif))
        if orientation in (3, 6):
            add(f"exif{orientation}.png", save(photo, "PNG", exif=exif))
    little = b"Exif\0\0II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, 8, 0, 0)
    add("exif8_little_endian.jpg", save(photo, "JPEG", exif=little))
    add("xmp6.jpg", save(photo, "JPEG", quality=60, xmp=b'<x:xmpmeta tiff:Orientation="6"/>'))


def png_cases():
    palette, seed = bytes(int(b) & 255 for b in common.random_bits(7, 768)), 50
    for color, depths in ((0, (1, 2, 4, 8, 16)), (2, (8, 16)), (3, (1, 2, 4, 8)), (4, (8, 16)), (6, (8, 16))):
        for bits in depths:
            extra = chunk(b"PLTE", palette[: 3 << bits]) if color == 3 else b""
            add(f"c{color}_{bits}.png", png(bits, color, seed, extra))
            add(f"c{color}_{bits}_interlaced.png", png(bits, color, seed + 1, extra, interlaced=True))
            seed += 2
    add("grey16_small_values.png", png(16, 0, 90, limit=600))
    add("short_palette.png", png(8, 3, 91, chunk(b"PLTE", palette[:30]), limit=20))
    add("palette_transparent.png", png(4, 3, 92, chunk(b"PLTE", palette[:48]) + chunk(b"tRNS", bytes([0, 128, 255]))))
    add("grey_transparent.png", png(8, 0, 93, chunk(b"tRNS", b"\0\7")))
    add("rgb_transparent.png", png(8, 2, 94, chunk(b"tRNS", b"\0\1\0\2\0\3")))
    add("gamma.png", png(8, 2, 95, chunk(b"gAMA", struct.pack(">I", 100000))))


def stb_cases(photo):
    for kind, extension, modes in (("BMP", "bmp", "RGB L P 1 RGBA"), ("GIF", "gif", "RGB L"), ("PPM", "ppm", "RGB L"),
                                   ("TGA", "tga", "RGB L P RGBA")):
        for mode in modes.split():
            add(f"{mode}.{extension}", save(photo.convert(mode), kind), exact=False)
    for name, head, count in (("max15.pgm", b"P5\n# a comment\n33 21 15\n", 693), ("max1000.pgm", b"P5 33\t21\r\n1000\n", 1386),
                              ("max100.ppm", b"P6\n33 21\n100\n", 2079), ("max65535.ppm", b"P6\n33 21\n65535\n", 4158)):
        limit = int(head.split()[-1]) + 1
        values = [int(v) % limit for v in common.random_bits(60, 33 * 21 * 3) >> 40]
        data = b"".join(v.to_bytes(1 if limit <= 256 else 2, "big") for v in values)[:count]
        add(name, head + data)
    add("rle.tga", save(photo, "TGA", compression="tga_rle"), exact=False)
    frames = [photo.rotate(20 * i) for i in range(3)]
    add("animated.gif", save(frames[0], "GIF", save_all=True, append_images=frames[1:]), exact=False)


def main():
    (HERE / "images").mkdir(exist_ok=True)
    noise, smooth = common.image(30, WIDTH, HEIGHT), common.image(32, WIDTH, HEIGHT)
    photo = Image.fromarray(((noise.astype(int) + 3 * smooth.astype(int)) // 4).astype("uint8"))
    jpeg_cases(photo)
    png_cases()
    stb_cases(photo)
    common.write_json(HERE / "images.json", {"cases": CASES}, pillow=PIL.__version__,
                      libjpeg_turbo=features.version("libjpeg_turbo"), zlib=features.version("zlib"))


if __name__ == "__main__":
    main()
