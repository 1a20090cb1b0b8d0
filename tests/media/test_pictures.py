"""What pictures of every mode show, and the kinds that this Pillow reads."""

import io
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from lumina_core.media.pictures import as_rgb, readable

DEEP = np.tile(np.array([0, 128, 32_768, 65_535], dtype=np.uint16), (2, 1))
SHOWN = [0, 0, 128, 255]


def stored(image, kind, **settings):
    """The picture as it is read from a file."""
    file = io.BytesIO()
    image.save(file, kind, **settings)
    opened = Image.open(file)
    opened.load()
    return opened


def greys(image):
    found = as_rgb(image)
    assert found.dtype == torch.uint8 and torch.equal(found[0], found[1])
    return found[2, 0].tolist()


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I", "F"])
def test_deep_greys_are_scaled(mode):
    values = {
        "I;16": DEEP,
        "I;16B": DEEP.astype(">u2"),
        "I": DEEP.astype(np.int32),
        "F": (DEEP / 65_535).astype(np.float32),
    }[mode]
    image = Image.fromarray(values)
    assert image.mode == mode
    assert greys(image) == SHOWN
    kind = "PNG" if mode == "I;16" else "TIFF"
    assert greys(stored(image, kind)) == SHOWN


def test_a_deep_png_may_make_one_level_clear():
    assert greys(stored(Image.fromarray(DEEP), "PNG", transparency=128)) == [0, 255, 128, 255]


def twelve_bits(packed, width):
    """A TIFF of one row of grey, made by hand, for Pillow writes none."""
    tags = {256: width, 257: 1, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: len(packed)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    start = 8 + len(packed)
    table = struct.pack("<H", len(tags)) + entries + bytes(4)
    return io.BytesIO(b"II*\0" + struct.pack("<I", start) + packed + table)


def test_a_deep_tiff_says_how_deep_it_is_and_whether_zero_is_white():
    image = Image.open(twelve_bits(bytes([0x00, 0x08, 0x00, 0xFF, 0xF0, 0x00]), 4))
    assert image.mode == "I;16"
    assert greys(image) == [0, 128, 255, 0]
    inverted = stored(Image.fromarray(DEEP), "TIFF", tiffinfo={262: 0})
    assert greys(inverted) == [255, 255, 127, 0]


@pytest.mark.parametrize("values", [[-1.0, 0.5], [0.0, 3.0], [0.0, float("nan")], [0, 1 << 20]])
def test_deep_values_of_unknown_range_are_refused(values):
    dtype = np.float32 if isinstance(values[0], float) else np.int32
    with pytest.raises(ValueError, match="save it with 8 or 16 bits"):
        as_rgb(Image.fromarray(np.array([values], dtype=dtype)))


def half_clear(mode):
    """Two pixels, a clear one and a black one."""
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    image.putpixel((1, 0), (0, 0, 0, 255))
    if mode == "PA":
        image = Image.new("PA", (2, 1))
        image.putpixel((1, 0), (0, 255))
        image.putpalette([0, 0, 0])
        return image
    return image.quantize() if mode == "P" else image.convert(mode)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P"])
def test_transparency_shows_white(mode):
    image = half_clear(mode)
    assert image.mode == mode
    assert greys(image) == [255, 0]


@pytest.mark.parametrize("mode", ["1", "L", "RGB"])
def test_a_clear_colour_of_a_png_shows_white(mode):
    image = Image.new(mode, (2, 1), "white")
    image.putpixel((0, 0), (0, 0, 0) if mode == "RGB" else 0)
    clear = (0, 0, 0) if mode == "RGB" else 0
    assert greys(image) == [0, 255]
    assert greys(stored(image, "PNG", transparency=clear)) == [255, 255]


def test_other_modes_show_their_colours():
    ink = Image.new("CMYK", (2, 1), (0, 255, 255, 0))
    ink.putpixel((1, 0), (0, 0, 0, 255))
    for image in (ink, stored(ink, "TIFF")):
        assert as_rgb(image)[:, 0].T.tolist() == [[255, 0, 0], [0, 0, 0]]
    assert greys(Image.new("YCbCr", (1, 1), (77, 128, 128))) == [77]
    assert greys(Image.new("HSV", (1, 1), (0, 0, 77))) == [77]


@pytest.mark.parametrize("mode", ["L", "I;16", "RGBA"])
def test_a_picture_is_turned_as_its_exif_says(mode):
    image = Image.new(mode, (3, 2), "white" if mode == "RGBA" else 0)
    exif = Image.Exif()
    exif[0x0112] = 6
    assert as_rgb(stored(image, "PNG", exif=exif)).shape == (3, 3, 2)


def test_kinds_that_no_pillow_reads_are_left_out(monkeypatch):
    readable.cache_clear()
    monkeypatch.delitem(Image.OPEN, "AVIF", raising=False)
    monkeypatch.setattr(Image, "init", lambda: False)
    assert readable(("PNG", "AVIF", "NONE")) == ("PNG",)
    readable.cache_clear()
