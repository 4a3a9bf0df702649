"""Images that cannot be read, and odd ones that can."""

import os
import zlib

import small
from hostile import Case, write

# Of the fixtures that unit tests decode, those that are bad.
FIXTURES = {
    "jpeg-cut": "damaged JPEG: Premature end of JPEG file",
    "jpeg-cut-progressive": "damaged JPEG: Premature end of JPEG file",
    "jpeg-garbage": "damaged JPEG: Corrupt JPEG data",
    "jpeg-12-bit": "Unsupported JPEG data precision 12",
    "jpeg-bomb": "has 65000 x 65000 pixels, more than the limit of 268435456",
    "jpeg-many-scans": "has more than 500 scans",
    "png-cut": "damaged PNG: the file is cut short",
    "png-no-end": "damaged PNG: the file is cut short",
    "png-too-little-data": "Not enough image data",
    "png-checksum": "CRC error",
    "png-bomb": "67 bytes cannot hold 100000 x 100000 pixels",
    "png-hollow": "67 bytes cannot hold 16000 x 16000 pixels",
    "tiff-jpeg-cut": "premature end of data segment",
    "tiff-float": "TIFF of 32-bit floating-point samples; unsigned 8- and 16-bit ones are supported",
    "tiff-signed": "TIFF of 16-bit signed samples",
    "tiff-32-bit": "8 and 16 bits are supported",
    "tiff-lab": "grey, RGB, palette and CMYK are supported",
    "tiff-many-samples": "TIFF of 7 samples a pixel; 3 or 4 are supported",
    "tiff-cut": "damaged TIFF: Read error",
    "tiff-bomb": "has 2147483647 x 9 pixels, more than the limit",
    "tiff-bomb-of-strips": "damaged TIFF",
    "tiff-strips-without-rows": 'Bad value 0 for "RowsPerStrip"',
    "tiff-no-rows": "damaged TIFF",
    "tiff-tile-bomb": "has tiles of 2147483632 x 16 pixels, more than the limit",
    "webp-animated": "is an animated WebP; a single picture is needed",
    "webp-cut": "damaged WebP: the file is cut short",
    "bmp-rle8": "is a run-length coded BMP; only uncompressed is supported",
    "bmp-rle4": "is a run-length coded BMP; only uncompressed is supported",
    "bmp-png": "BMP compression 5; only uncompressed is supported",
    "bmp-bad-colour": "a pixel's colour is not in the palette",
    "bmp-no-palette": "damaged BMP: no palette",
    "bmp-holes": "the bits of a channel are not in one run",
    "bmp-no-masks": "a colour has no bits",
    "bmp-masks-cut": "damaged BMP: the file is cut short",
    "bmp-cut": "damaged BMP: the file is cut short",
    "bmp-negative": "its width is negative",
    "bmp-lowest-height": "damaged BMP: the file is cut short",
    "bmp-no-width": "has 0 x 3 pixels: nothing to see",
    "pnm-7": "is a PAM file (P7); supported are P1 to P6",
    "pnm-float": "is a float map (PFM); supported are P1 to P6",
    "pnm-above-maximum": "a value is above the stated maximum",
    "pnm-plain-above-maximum": "a number is too large",
    "pnm-big-maximum": "a number is too large",
    "pnm-zero-maximum": "its maximum value is 0",
    "pnm-no-size": "is a text file; supported are JPEG, PNG, TIFF, WebP, BMP and PNM",
    "pnm-letters": "a number was expected",
    "pnm-bit-2": "0 or 1 was expected",
    "pnm-cut": "damaged PNM: the file is cut short",
    "pnm-plain-cut": "damaged PNM: the file is cut short",
    "pnm-bomb": "damaged PNM: the file is cut short",
    "pnm-empty": "has 0 x 4 pixels: nothing to see",
    "pnm-unending-comment": "damaged PNM: the file is cut short",
    "other-empty": "is empty",
    "other-text": "is a text file; supported are",
    "other-text-bm": "is a text file; supported are",
    "other-html": "is an HTML page (a download that went wrong?)",
    "other-svg": "is an SVG or XML file; supported are",
    "other-gif": "is a GIF file; supported are",
    "other-noise": "is not an image of a known type; supported are",
    "other-lfs": "is a Git LFS pointer, not the file that it stands for",
}


def scored(name, content, status, says, *more):
    def make(folder, world):
        write(folder / "picture", content() if callable(content) else content)
        return ["score", world.model, "picture", *more]

    return Case(f"image: {name}", make, status, says)


def decompression_bomb():
    """100 million black pixels in some 100 kB: a large picture, but a good one."""
    head = b"\0\0\x27\x10\0\0\x27\x10\x08\0\0\0\0"
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(10001)) for _ in range(10000)) + packer.flush()
    body = small.png_chunk(b"IHDR", head) + small.png_chunk(b"IDAT", rows)
    return b"\x89PNG\r\n\x1a\n" + body + small.png_chunk(b"IEND", b"")


def cases():
    images = small.fixture_images()
    for name, says in FIXTURES.items():
        yield scored(name, images[name][0], 1, says)

    grey = bytes([110])
    yield scored("one pixel", small.pgm(1, 1, grey), 0, "picture")
    yield scored("one line", small.pgm(100000, 1, grey * 100000), 0, "picture")
    yield scored("one column", small.pgm(1, 100000, grey * 100000), 0, "picture")
    yield scored("odd sides", small.pgm(37, 53, grey * 37 * 53), 0, "picture")
    yield scored("all black", small.pgm(24, 16, bytes(24 * 16)), 0, "picture")
    yield scored("all white", small.pgm(24, 16, b"\xff" * 24 * 16), 0, "picture")
    yield scored("a large picture of little data", decompression_bomb, 0, "picture")
    yield scored("zero pixels", small.png(0, 0, b""), 1, "damaged PNG")
    yield scored("a PNG that is a JPEG", images["jpeg-444"][0], 0, "picture")
    yield scored("trailing bytes", small.grey_png() + b"more", 0, "picture")

    says = "picture: has 37 x 53 pixels, more than the limit of 1000"
    yield scored(
        "more pixels than asked for",
        small.pgm(37, 53, grey * 37 * 53),
        1,
        says,
        "--limit",
        "pixels=1000",
    )

    def missing(folder, world):
        return ["score", world.model, "nothing.png"]

    yield Case("image: missing", missing, 1, "nothing.png: cannot open: No such file or directory")

    def folder_without(folder, world):
        write(folder / "parts/readme.txt", "no images here")
        return ["score", world.model, "parts"]

    yield Case("image: a folder without any", folder_without, 1, "parts")

    def loop(folder, world):
        (folder / "parts").mkdir()
        (folder / "parts/again").symlink_to(folder / "parts")
        write(folder / "parts/good.png", small.grey_png())
        return ["score", world.model, "parts"]

    yield Case("image: a folder that contains itself", loop, 0, "good.png")

    def dangling(folder, world):
        (folder / "parts").mkdir()
        (folder / "parts/gone.png").symlink_to(folder / "nowhere")
        write(folder / "parts/good.png", small.grey_png())
        return ["score", world.model, "parts"]

    yield Case("image: a link to nowhere", dangling, 1, "gone.png")

    def fifo(folder, world):
        os.mkfifo(folder / "pipe.png")
        return ["score", world.model, "pipe.png"]

    yield Case("image: a pipe", fifo, 1, "pipe.png: is not a regular file")

    for name, title in {
        b"a part.png": "a space",
        b"a\npart.png": "a newline",
        b"-part.png": "a dash",
        "größe.png".encode(): "UTF-8",
        b"\xff\xfe.png": "no UTF-8",
        b"a'\"$(b).png": "what a shell would act on",
    }.items():

        def named(folder, world, name=name):
            path = bytes(folder) + b"/" + name
            with open(path, "wb") as file:
                file.write(small.grey_png())
            return ["score", world.model, b"./" + name, "--format", "jsonl"]

        yield Case(f"image: a name with {title}", named, 0, '"error": null')

    def one_of_many(folder, world):
        for i in range(3):
            write(folder / f"parts/{i}.png", small.grey_png(seed=i))
        write(folder / "parts/bad.png", b"\x89PNG\r\n\x1a\n")
        return ["score", world.model, "parts", "--format", "csv"]

    yield Case("image: a bad one of many", one_of_many, 1, "bad.png: damaged PNG")

    def listed(folder, world):
        return ["score", world.model, "-"]

    yield Case("image: a list of nothing", listed, 0, "")
    yield Case("image: a list of what is not there", listed, 1, "no.png: cannot open", b"no.png\n")
    says = "standard input: a line has a NUL; names are read one a line"
    yield Case("image: a list with a zero byte", listed, 1, says, b"a\0b.png\n")
    image = "0.png"

    def list_of_find(folder, world):
        write(folder / image, small.grey_png())
        return ["score", world.model, "-"]

    yield Case("image: a list by find -print0", list_of_find, 1, says, b"0.png\x000.png\0")
    yield Case("image: a list without an end", listed, 1, "x" * 100, b"x" * 100000)
