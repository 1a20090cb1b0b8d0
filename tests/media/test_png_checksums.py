"""Every chunk of a PNG is compared with its checksum, whoever wrote it."""

from io import BytesIO

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from damage import flipped
from lumina_core.media.png_checksums import SIGNATURE, check_png, with_checksum


@pytest.fixture
def path(tmp_path):
    """A PNG with a text before its pixels and an animation behind them."""
    info = PngInfo()
    info.add_itxt("lumina", "a request")
    frames = [Image.new("RGB", (8, 8), (number, 0, 0)) for number in range(3)]
    frames[0].save(tmp_path / "a.png", pnginfo=info, save_all=True, append_images=frames[1:])
    return tmp_path / "a.png"


def test_a_whole_png_and_other_files_pass(path, tmp_path):
    check_png(path)
    path.write_bytes(path.read_bytes() + b"behind its end")
    check_png(path)
    for content in (b"", b"GIF89a", SIGNATURE[:5]):
        (tmp_path / "other").write_bytes(content)
        check_png(tmp_path / "other")


def test_each_damaged_bit_behind_the_signature_is_refused(path):
    whole = path.read_bytes()
    for data in flipped(whole[len(SIGNATURE) :], 300):
        path.write_bytes(SIGNATURE + data)
        with pytest.raises(ValueError, match="it is cut off or damaged: "):
            check_png(path)


def test_the_damaged_chunk_is_named(path):
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"a request", b"b request"))
    with pytest.raises(ValueError, match=r"the frame is .* its chunk 'iTXt' is wrong"):
        check_png(path, "the frame")


def test_each_cut_is_refused(path):
    whole = path.read_bytes()
    for size in range(len(SIGNATURE), len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="it is cut off or damaged: its "):
            check_png(path)


def test_a_changed_text_gets_its_checksum(path):
    whole = path.read_bytes()
    data = whole.replace(b"a request", b"the thing")
    mended = with_checksum(data, data.index(b"the thing"))
    path.write_bytes(mended)
    check_png(path)
    assert Image.open(BytesIO(mended)).text["lumina"] == "the thing"
    assert len(mended) == len(whole)
    assert with_checksum(b"no PNG", 2) == b"no PNG"
    with pytest.raises(ValueError, match="there is no chunk"):
        with_checksum(whole, len(whole))
