"""Folders of data as others leave them, with the decoder of each modality."""

import shutil
from dataclasses import fields

import pytest
import torch

from lumina_core.data.file_pool import list_data
from lumina_core.data.settings import FilesConfig


def picture():
    from lumina_image.picture_files import PictureDecoder

    media = torch.arange(192, dtype=torch.uint8).reshape(3, 8, 8)
    return PictureDecoder(), media, {}, ".webp", None


def clip():
    from lumina_video.options import VideoOptions
    from lumina_video.video_files import VideoDecoder

    media = torch.arange(384, dtype=torch.uint8).reshape(2, 3, 8, 8) // 2
    return VideoDecoder(8.0), media, {"options": {"frames": 2, "fps": 8.0}}, ".webp", VideoOptions()


def sound():
    from lumina_audio.audio_files import AudioDecoder
    from lumina_audio.options import AudioOptions

    media = torch.arange(-900, 900, dtype=torch.int16)
    return AudioDecoder(16_000), media, {}, ".flac", AudioOptions(sample_rate=16_000)


def views():
    from lumina_multiview.request_options import options_in
    from lumina_multiview.views_files import MultiviewDecoder

    media = torch.arange(384, dtype=torch.uint8).reshape(2, 3, 8, 8) // 2
    options = {"height": 8, "width": 8, "views": 2, "azimuths": None, "elevation": 20.0}
    request = {"modality": "multiview", "options": options}
    return MultiviewDecoder(), media, request, ".png", options_in(request)


@pytest.fixture(params=[picture, clip, sound, views], ids=lambda make: make.__name__)
def strange(request, tmp_path):
    """A decoder, its medium, and a folder that holds it under any name."""
    decoder, media, metadata, suffix, options = request.param()
    folder = tmp_path / "set"
    folder.mkdir()
    decoder.write(media, folder / f"a{suffix}", metadata, options)
    for name in ("b", "c.odd", "sub/d.odd", "sub/deep/e", f"f{suffix}", "g.odd", "g.xyz"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(folder / f"a{suffix}", folder / name)
    (folder / "h.odd").write_text("neither picture nor clip nor sound, but long enough for one")
    return decoder, media, folder, suffix


def listed(folder, decoder):
    given = {"name": "folder", "path": str(folder), "max_aspect": 4.0, "max_quarantined": 0.1}
    numbers = {field.name: 1 for field in fields(FilesConfig) if field.name not in given}
    return list_data(FilesConfig(**given, **numbers), decoder)


def test_texts_tell_of_files_of_any_name(strange):
    decoder, media, folder, suffix = strange
    for name in ("a", "b", "c", "sub/d", "sub/deep/e", "g", "h", "i"):
        (folder / f"{name}.txt").write_text(f"of {name}")
    listing = listed(folder, decoder)
    assert {item.name: item.caption for item in listing.items} == {
        f"a{suffix}": "of a",
        "b": "of b",
        "c.odd": "of c",
        "sub/d.odd": "of sub/d",
        "sub/deep/e": "of sub/deep/e",
    }
    for item in listing.items:
        assert torch.equal(decoder.read(item.path), media)
    assert listing.skipped == {f"f{suffix}": "it has no caption: there is no f.txt beside it"}
    assert listing.lone_texts.keys() == {"g.txt", "h.txt", "i.txt"}
    assert "h.odd cannot be read as" in listing.lone_texts["h.txt"]


def test_metadata_tells_of_files_of_any_name(strange):
    decoder, media, folder, suffix = strange
    rows = ["file_name,text", r"sub\d.odd,a d", "sub/deep/e,an e", "b,a b", "gone,x", "sub,x"]
    (folder / "metadata.csv").write_text("\n".join(rows))
    listing = listed(folder, decoder)
    assert {item.name: item.caption for item in listing.items} == {
        "b": "a b",
        "sub/d.odd": "a d",
        "sub/deep/e": "an e",
    }
    for item in listing.items:
        assert torch.equal(decoder.read(item.path), media)
    assert listing.skipped.keys() == {f"a{suffix}", f"f{suffix}", "gone", "sub"}
