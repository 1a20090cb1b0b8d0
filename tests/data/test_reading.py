import errno
import os
import shutil

import pytest
import torch
from small_media import made, modality_of
from tars import picture, write_tar

from lumina_core import LuminaError
from lumina_core.data import reading
from lumina_core.data.listing import kinds_of
from lumina_core.data.reading import MediaFiles, NoRoomError, Place, decoded, scratch
from lumina_core.data.tar_shards import scan
from lumina_core.modality import SizeLimits


@pytest.fixture
def memory():
    with scratch() as folder:
        yield folder


def place_of(entry, shard="0.tar"):
    return Place(shard, entry.name, entry.offset, entry.size)


def test_a_medium_in_a_shard_is_a_file_within_the_block(tmp_path, memory):
    members = [("a/x.PNG", picture(3)), ("a/x.txt", b"x"), ("y.png", picture(4)), ("y.txt", b"y")]
    write_tar(tmp_path / "0.tar", members)
    entries = scan(tmp_path / "0.tar", kinds_of(modality_of("image").decoder)).entries
    media = MediaFiles("shards", tmp_path, memory)
    contents = set()
    for number, entry in enumerate(entries, 3):
        with media.located(place_of(entry)) as located:
            assert located.path.suffix == ".png"
            assert located.path.read_bytes() == picture(number)
        assert not located.path.exists()
        contents.add(located.content)
    assert len(contents) == 2
    assert [media.name_of(place_of(entry)) for entry in entries] == ["0.tar/a/x.PNG", "0.tar/y.png"]


def test_a_file_beside_has_the_content_of_the_same_in_a_shard(tmp_path, memory):
    write_tar(tmp_path / "0.tar", [("x.png", picture(3)), ("x.txt", b"x")])
    (tmp_path / "x.png").write_bytes(picture(3))
    (entry,) = scan(tmp_path / "0.tar", kinds_of(modality_of("image").decoder)).entries
    with MediaFiles("shards", tmp_path, memory).located(place_of(entry)) as inside:
        pass
    place = Place("", "x.png", 0, 0)
    with MediaFiles("folder", tmp_path, memory).located(place) as beside:
        assert beside.path == tmp_path / "x.png"
    assert inside.content == beside.content


@pytest.mark.parametrize("is_named", [True, False])
def test_views_in_a_folder_of_a_shard_are_read_as_those_on_the_disk(tmp_path, memory, is_named):
    modality = modality_of("multiview")
    media, request = made("multiview")
    name = "chair.views" if is_named else "chair"
    folder = tmp_path / "chair.views"
    modality.decoder.write(media, folder, request, modality.options)
    folder = folder.rename(tmp_path / name)
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    members = [(f"{name}/{path.relative_to(folder)}", path.read_bytes()) for path in files]
    write_tar(tmp_path / "0.tar", [*members, ("chair.txt", b"a chair")])
    found = scan(tmp_path / "0.tar", kinds_of(modality.decoder))
    ((entry,), skipped, lone) = found
    assert (entry.name, entry.captions, skipped, lone) == (f"{name}/", ("a chair",), {}, {})

    def read(path):
        views = modality.read(path, modality.options)
        return views, modality.described(path, views, modality.options)

    beside, options = read(folder)
    shutil.rmtree(folder)
    with MediaFiles("shards", tmp_path, memory).located(place_of(entry)) as located:
        inside, own = read(located.path)
    assert torch.equal(inside, beside)
    assert own == options
    assert not located.path.exists()


def test_a_fault_of_a_medium_has_its_name(tmp_path, memory):
    write_tar(tmp_path / "0.tar", [("x.png", b"none"), ("x.txt", b"x")])
    modality = modality_of("image")
    (entry,) = scan(tmp_path / "0.tar", kinds_of(modality.decoder)).entries
    media = MediaFiles("shards", tmp_path, memory)

    def read(place):
        with media.located(place) as located:
            decoded(modality, located.path, modality.options, SizeLimits(1, 10_000, 4.0))

    with pytest.raises(LuminaError, match=r"^0\.tar/x\.png cannot be read as a picture"):
        read(place_of(entry))
    with pytest.raises(LuminaError, match=r"0\.tar ends within it"):
        read(place_of(entry)._replace(size=10**6))
    for wrong in ({"size": 2**60}, {"size": -1}, {"offset": -1}):  # of a damaged index
        with pytest.raises(LuminaError, match=r"0\.tar ends within it"):
            read(place_of(entry)._replace(**wrong))
    with pytest.raises(LuminaError, match=r"1\.tar cannot be read: No such file"):
        read(place_of(entry, "1.tar"))


def test_no_room_in_memory_is_no_fault_of_a_medium(tmp_path, memory, monkeypatch):
    write_tar(tmp_path / "0.tar", [("x.png", picture(3)), ("x.txt", b"x")])
    (entry,) = scan(tmp_path / "0.tar", kinds_of(modality_of("image").decoder)).entries

    def full(path, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    media = MediaFiles("shards", tmp_path, memory)
    with pytest.raises(NoRoomError, match="No space left"), media.located(place_of(entry)):
        pass


def test_files_go_to_the_disk_where_memory_is_small(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "_free_bytes", lambda folder: 64 << 20)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with scratch() as folder:
        assert folder.parent == tmp_path
    assert list(tmp_path.iterdir()) == []
