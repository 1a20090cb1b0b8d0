"""Picture files: what is written comes back, what others wrote is understood or refused."""

import io
import json
import os
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

from damage import corrupted, flipped
from lumina_core import LuminaError
from lumina_core.cli.main import main
from lumina_image.options import MAX_PIXELS
from lumina_image.picture_files import MAX_WEBP_SIDE, PictureDecoder

DECODER = PictureDecoder()
METADATA = {"prompt": 'quotes " and \n lines, ünï 雪 🎨', "seed": 3, "options": {"height": 16}}
LOSSLESS = (".png", ".webp")
JPEG_LOSS = 6  # grey levels of a smooth picture at quality 95
LEFT, RIGHT = (200, 30, 60), (20, 160, 90)


def picture(height, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (3, height, width), dtype=torch.uint8, generator=generator)


def two_colours(width=32, height=16):
    image = Image.new("RGB", (width, height), LEFT)
    ImageDraw.Draw(image).rectangle((width // 2, 0, width, height), fill=RIGHT)
    return image


def colour_at(media, row, column):
    return tuple(media[:, row, column].tolist())


def is_close(colour, wanted, tolerance=0):
    return all(abs(a - b) <= tolerance for a, b in zip(colour, wanted, strict=True))


@pytest.mark.parametrize("suffix", DECODER.suffixes)
@pytest.mark.parametrize("repeats", [1, 70_000], ids=["short", "beyond 64 KB"])
def test_what_is_written_comes_back(tmp_path, suffix, repeats):
    path = tmp_path / f"a{suffix.upper()}"
    metadata = METADATA | {"prompt": METADATA["prompt"] * repeats}
    ramp = torch.arange(48, dtype=torch.uint8).expand(3, 32, 48) * 5
    DECODER.write(ramp, path, metadata, None)
    assert DECODER.read_metadata(path) == metadata
    assert [item.name for item in tmp_path.iterdir()] == [path.name]
    assert Image.open(path).size == (48, 32)
    difference = (DECODER.read(path).int() - ramp.int()).abs().max()
    assert difference <= (0 if suffix in LOSSLESS else JPEG_LOSS)


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_lossless_files_keep_noise(tmp_path, suffix):
    DECODER.write(picture(16, 24), tmp_path / f"a{suffix}", METADATA, None)
    assert torch.equal(DECODER.read(tmp_path / f"a{suffix}"), picture(16, 24))


@pytest.mark.parametrize("suffix", DECODER.suffixes)
def test_the_same_picture_gives_the_same_bytes(tmp_path, suffix):
    for name in "ab":
        DECODER.write(picture(16, 24), tmp_path / f"{name}{suffix}", METADATA, None)
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


@pytest.mark.parametrize("name", ["a.gif", "a", "a.png.txt"])
def test_another_suffix_is_refused(tmp_path, name):
    with pytest.raises(LuminaError, match=r"written as \.png, \.webp, \.jpg, \.jpeg"):
        DECODER.write(picture(8, 8), tmp_path / name, {}, None)
    assert not list(tmp_path.iterdir())


def test_a_webp_beyond_its_format_is_refused(tmp_path):
    with pytest.raises(LuminaError, match=f"more than the {MAX_WEBP_SIDE} of WebP"):
        DECODER.write(picture(1, MAX_WEBP_SIDE + 1), tmp_path / "a.webp", {}, None)
    assert not list(tmp_path.iterdir())


def comment_of_others(suffix):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0p\0a\0r\0"
    return {".png": {}, ".webp": {"exif": exif}, ".jpg": {"exif": exif, "comment": "by hand"}}[
        suffix
    ]


@pytest.mark.parametrize("suffix", [".png", ".webp", ".jpg"])
def test_files_of_others_have_no_metadata(tmp_path, suffix):
    two_colours().save(tmp_path / f"a{suffix}", **comment_of_others(suffix))
    assert DECODER.read_metadata(tmp_path / f"a{suffix}") is None
    assert DECODER.read(tmp_path / f"a{suffix}").shape == (3, 16, 32)


@pytest.mark.parametrize("suffix", DECODER.suffixes)
def test_a_broken_request_is_refused(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr("lumina_image.picture_files.json.dumps", lambda *_, **__: "{not json")
    DECODER.write(picture(8, 8), tmp_path / f"a{suffix}", {}, None)
    with pytest.raises(LuminaError, match="broken request"):
        DECODER.read_metadata(tmp_path / f"a{suffix}")


@pytest.mark.parametrize("suffix", [".png", ".webp", ".jpg", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_as_their_exif_says(tmp_path, suffix, orientation):
    path = tmp_path / f"a{suffix}"
    upright = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6) * 10).resize((48, 32), 0)
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # transpose that the orientation undoes
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.convert("RGB").save(path, exif=exif, **({"lossless": True} if suffix == ".webp" else {}))
    media = DECODER.read(path)
    assert media.shape == (3, 32, 48)
    difference = media[0].int() - torch.from_numpy(np.array(upright)).int()
    assert difference.abs().max() <= (JPEG_LOSS if suffix == ".jpg" else 0)


def deep_grey(kind):
    values = np.tile(np.array([0, 128, 32_768, 65_535], dtype=np.uint16), (4, 1))
    if kind == "float":
        return Image.fromarray((values / 65_535).astype(np.float32))
    return Image.fromarray(values.astype(np.int32) if kind == "int" else values)


@pytest.mark.parametrize(
    ("kind", "suffix"), [("short", ".png"), ("short", ".tif"), ("int", ".tif"), ("float", ".tif")]
)
def test_deep_greys_are_scaled_not_clipped(tmp_path, kind, suffix):
    deep_grey(kind).save(tmp_path / f"a{suffix}")
    assert DECODER.read(tmp_path / f"a{suffix}")[:, 0].tolist() == [[0, 0, 128, 255]] * 3


def test_a_clear_level_of_a_deep_grey_shows_the_background(tmp_path):
    deep_grey("short").save(tmp_path / "a.png", transparency=128)
    assert DECODER.read(tmp_path / "a.png")[:, 0].tolist() == [[0, 255, 128, 255]] * 3


def test_16_bit_colour_is_scaled(tmp_path):
    rows = b"".join(b"\0" + struct.pack(">6H", 0, 32_768, 65_535, 65_535, 257, 0) for _ in range(2))
    (tmp_path / "a.png").write_bytes(png(2, 2, rows, depth=16, colour=2))
    media = DECODER.read(tmp_path / "a.png")
    assert (colour_at(media, 0, 0), colour_at(media, 1, 1)) == ((0, 128, 255), (255, 1, 0))


@pytest.mark.parametrize("values", [[-1.0, 0.5], [0.0, 3.0], [0.0, float("nan")], [0, 1 << 20]])
def test_deep_values_of_unknown_range_are_refused(tmp_path, values):
    dtype = np.float32 if isinstance(values[0], float) else np.int32
    Image.fromarray(np.array([values], dtype=dtype)).save(tmp_path / "a.tif")
    with pytest.raises(LuminaError, match="save it with 8 or 16 bits"):
        DECODER.read(tmp_path / "a.tif")


def test_grey_palette_and_bits_become_rgb(tmp_path):
    two_colours().convert("L").save(tmp_path / "grey.png")
    two_colours().quantize(2).save(tmp_path / "palette.png")
    two_colours().convert("L").point(lambda level: level > 99, "1").save(tmp_path / "bits.png")
    grey, palette, bits = (DECODER.read(tmp_path / f"{n}.png") for n in ("grey", "palette", "bits"))
    assert len(set(colour_at(grey, 3, 3))) == 1
    assert is_close(colour_at(palette, 3, 3), LEFT, 1) and is_close(
        colour_at(palette, 3, 30), RIGHT, 1
    )
    assert (colour_at(bits, 3, 3), colour_at(bits, 3, 30)) == ((0, 0, 0), (255, 255, 255))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P"])
def test_transparency_shows_white(tmp_path, mode):
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (4, 0, 8, 8))
    if mode == "LA":
        image.paste((0, 0, 0, 128), (0, 4, 8, 8))
    path = tmp_path / ("a.webp" if mode == "PA" else "a.png")
    (image.quantize() if mode == "P" else image.convert("RGBA" if mode == "PA" else mode)).save(
        path, **({"lossless": True} if mode == "PA" else {})
    )
    media = DECODER.read(path)
    assert (colour_at(media, 1, 1), colour_at(media, 1, 6)) == ((255, 255, 255), (0, 0, 0))
    if mode == "LA":
        assert colour_at(media, 6, 6) == (127, 127, 127)


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_cmyk_shows_its_colours(tmp_path, suffix):
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # ink: red
    image.paste((0, 0, 0, 255), (8, 0, 16, 16))
    image.save(tmp_path / f"a{suffix}")
    media = DECODER.read(tmp_path / f"a{suffix}")
    assert is_close(colour_at(media, 4, 2), (255, 0, 0), JPEG_LOSS)
    assert is_close(colour_at(media, 4, 13), (0, 0, 0), JPEG_LOSS)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".tif"])
def test_an_animation_shows_its_first_frame(tmp_path, suffix):
    first, second = two_colours(), Image.new("RGB", (32, 16), (255, 255, 255))
    extra = {"lossless": True} if suffix == ".webp" else {}
    first.save(tmp_path / f"a{suffix}", save_all=True, append_images=[second] * 2, **extra)
    assert Image.open(tmp_path / f"a{suffix}").n_frames > 1
    media = DECODER.read(tmp_path / f"a{suffix}")
    assert is_close(colour_at(media, 3, 3), LEFT, 2) and is_close(colour_at(media, 3, 30), RIGHT, 2)


def test_the_content_counts_not_the_suffix(tmp_path):
    two_colours().save(tmp_path / "a.png", format="BMP")
    assert colour_at(DECODER.read(tmp_path / "a.png"), 0, 0) == LEFT


def png(width, height, rows=b"", depth=8, colour=0):
    def chunk(name, data):
        check = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + check

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(("width", "height"), [(8193, 8192), (20_000, 20_000), (1 << 30, 1 << 30)])
def test_a_decompression_bomb_is_refused_unread(tmp_path, width, height, recwarn):
    path = tmp_path / "bomb.png"
    path.write_bytes(png(width, height))
    for read in (DECODER.read, DECODER.read_metadata):
        with pytest.raises(LuminaError, match=rf"bomb\.png .*{width * height} .*{MAX_PIXELS}"):
            read(path)
    assert not recwarn.list


def test_a_text_that_unpacks_to_gigabytes_is_refused(tmp_path):
    info = PngInfo()
    info.add_itxt("lumina", " " * (2 << 20), zip=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", pnginfo=info)
    with pytest.raises(LuminaError, match=r"a\.png cannot be read as a picture"):
        DECODER.read_metadata(tmp_path / "a.png")


def whole_file(suffix, size=64):
    file = io.BytesIO()
    image = Image.fromarray(picture(size, size).permute(1, 2, 0).numpy())
    image.save(file, format=Image.registered_extensions()[suffix])
    return file.getvalue()


@pytest.mark.parametrize("suffix", [".png", ".webp", ".jpg", ".gif", ".bmp", ".tif"])
@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.7, 0.95])
def test_a_file_cut_off_is_refused_by_name(tmp_path, suffix, share):
    path, whole = tmp_path / f"cut{suffix}", whole_file(suffix)
    path.write_bytes(whole[: int(len(whole) * share)])
    for read in (DECODER.read, DECODER.read_metadata):
        with pytest.raises(LuminaError, match=rf"cut\{suffix} cannot be read as a picture: \S"):
            read(path)


def test_each_damaged_bit_of_a_png_is_refused_by_name(tmp_path):
    info = PngInfo()
    info.add_text("Comment", "of another program")
    path, file = tmp_path / "other.png", io.BytesIO()
    Image.fromarray(picture(24, 32).permute(1, 2, 0).numpy()).save(file, "PNG", pnginfo=info)
    for data in flipped(file.getvalue(), 60):
        path.write_bytes(data)
        for read in (DECODER.read, DECODER.read_metadata):
            with pytest.raises(LuminaError, match=r"other\.png cannot be read as a picture: \S"):
                read(path)


def test_what_is_no_picture_is_refused_by_name(tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "script.png").write_text(
        "%!PS-Adobe-3.0 EPSF-3.0\n"
    )  # Pillow would run ghostscript
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    for name in ("text", "script"):
        with pytest.raises(LuminaError, match=f"{name}.png cannot be read .* none of PNG, WEBP"):
            DECODER.read(tmp_path / f"{name}.png")
    for name in ("folder", "pipe", "nothing"):
        with pytest.raises(LuminaError, match=f"{name}.png is no file"):
            DECODER.read(tmp_path / f"{name}.png")


@pytest.mark.parametrize("suffix", [".png", ".webp", ".jpg", ".gif", ".bmp", ".tif"])
def test_random_corruptions_are_read_or_refused_in_one_line(tmp_path, suffix, capfd):
    DECODER.write(picture(48, 40), tmp_path / "ours.png", METADATA, None)
    wholes = [whole_file(suffix)]
    if suffix in DECODER.suffixes:
        DECODER.write(picture(48, 40), tmp_path / f"ours{suffix}", METADATA, None)
        wholes.append((tmp_path / f"ours{suffix}").read_bytes())
    rng = np.random.default_rng(0)
    path, num_refused = tmp_path / f"damaged{suffix}", 0
    for trial in range(100):
        path.write_bytes(corrupted(wholes[trial % len(wholes)], rng, 200))
        try:
            media = DECODER.read(path)
            assert media.dtype == torch.uint8 and media.shape[0] == 3 and media[0].numel() > 0
        except LuminaError as error:
            num_refused += 1
            assert path.name in str(error) and "\n" not in str(error)
        if trial % 5:
            continue  # one in five also through the command line
        code = main(["info", str(path)])
        out, err = capfd.readouterr()
        assert (code, out, err.count("\n")) == (2, "", 1) or (code == 0 and not err and out)
    assert num_refused > 20


def test_any_value_of_a_request_survives(tmp_path):
    odd = {"prompt": "\x00\x01\ud83c\udf89".encode("utf-16", "surrogatepass").decode("utf-16")}
    for suffix in DECODER.suffixes:
        DECODER.write(picture(8, 8), tmp_path / f"a{suffix}", odd, None)
        assert DECODER.read_metadata(tmp_path / f"a{suffix}") == json.loads(json.dumps(odd))


def test_an_array_has_its_colours_last():
    media = picture(8, 12)
    assert DECODER.array(media).shape == (8, 12, 3)
    assert DECODER.array(media)[5, 7].tolist() == media[:, 5, 7].tolist()
    assert DECODER.image(media, None).size == (12, 8)
