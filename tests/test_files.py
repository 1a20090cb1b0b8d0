import errno
import os
import stat
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from damage import limited_files
from lumina_core import LuminaError
from lumina_core.files import (
    MAX_DEPTH,
    atomic_folder,
    atomic_write,
    open_regular,
    parse_json,
    publish,
    read_json,
    read_regular,
    sha256_of,
)

LIMIT_BYTES = 1 << 24  # of a file, in place of a full disk; far above any log of the tests


def test_atomic_write_replaces_only_at_the_end(tmp_path):
    path = tmp_path / "new" / "file"
    with atomic_write(path) as file:
        file.write(b"first")
        assert not path.exists()
    with pytest.raises(KeyboardInterrupt), atomic_write(path) as file:
        file.write(b"second")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"first"
    assert os.listdir(path.parent) == ["file"]


def test_atomic_folder_appears_only_at_the_end(tmp_path):
    path = tmp_path / "new" / "folder"
    with pytest.raises(KeyboardInterrupt), atomic_folder(path) as folder:
        (folder / "a").write_text("a")
        raise KeyboardInterrupt
    assert os.listdir(path.parent) == []
    with atomic_folder(path) as folder:
        (folder / "a").write_text("a")
        assert not path.exists()
    assert os.listdir(path) == ["a"]
    with pytest.raises(LuminaError, match="exists already"), atomic_folder(path):
        pass


def test_a_folder_is_replaced_only_once_the_new_one_is_whole(tmp_path, monkeypatch):
    path = tmp_path / "folder"
    path.mkdir()
    (path / "old").write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_folder(path, overwrite=True) as folder:
        (folder / "new").write_text("new")
        raise KeyboardInterrupt
    assert os.listdir(path) == ["old"]
    rename = Path.rename

    def refuse_new(source, target):
        if (source / "new").exists():
            raise OSError(errno.EIO, "Input/output error")
        return rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", refuse_new)
        with (
            pytest.raises(LuminaError, match="Input/output error"),
            atomic_folder(path, overwrite=True) as folder,
        ):
            (folder / "new").write_text("new")
    assert os.listdir(path) == ["old"]
    with atomic_folder(path, overwrite=True) as folder:
        (folder / "new").write_text("new")
        assert os.listdir(path) == ["old"]
    assert os.listdir(path) == ["new"]
    assert os.listdir(tmp_path) == ["folder"]


def test_files_get_the_permissions_of_the_process(tmp_path):
    before = os.umask(0o027)
    try:
        with atomic_write(tmp_path / "file") as file:
            file.write(b"")
        with atomic_folder(tmp_path / "folder") as folder:
            save_file({"a": torch.zeros(1)}, folder / "a.safetensors")
    finally:
        os.umask(before)

    def mode(name):
        return stat.S_IMODE((tmp_path / name).stat().st_mode)

    assert mode("file") == mode("folder/a.safetensors") == 0o640
    assert mode("folder") == 0o750


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    is_full = pytest.raises(LuminaError, match=r"cannot be written: File too large")
    with is_full, limited_files(LIMIT_BYTES), atomic_write(tmp_path / "file") as file:
        file.write(bytes(2 * LIMIT_BYTES))
    is_full = pytest.raises(LuminaError, match=r"cannot be written: .*too large")
    with is_full, limited_files(LIMIT_BYTES), atomic_folder(tmp_path / "folder") as folder:
        save_file({"a": torch.zeros(LIMIT_BYTES)}, folder / "a.safetensors")
    assert os.listdir(tmp_path) == []


def test_a_path_below_a_file_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    for write in (atomic_write, atomic_folder):
        refused = pytest.raises(LuminaError, match="cannot be written")
        with refused, write(tmp_path / "file" / "below" / "x"):
            pass


@pytest.mark.parametrize("has_links", [True, False])
def test_publish_never_replaces_unless_told(tmp_path, monkeypatch, has_links):
    def refuse(*_):
        raise OSError(errno.EPERM, "no links here")

    if not has_links:
        monkeypatch.setattr(os, "link", refuse)
    for number in range(3):
        (tmp_path / f"new{number}").write_text(str(number))
    publish(tmp_path / "new0", tmp_path / "x", overwrite=False)
    with pytest.raises(FileExistsError):
        publish(tmp_path / "new1", tmp_path / "x", overwrite=False)
    assert (tmp_path / "x").read_text() == "0"
    publish(tmp_path / "new2", tmp_path / "x", overwrite=True)
    assert (tmp_path / "x").read_text() == "2"
    assert sorted(os.listdir(tmp_path)) == ["new1", "x"]


READERS = [open_regular, read_json, sha256_of]


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
@pytest.mark.parametrize("kind", ["pipe", "link to a pipe", "device", "link to a device"])
def test_what_never_ends_is_not_read(tmp_path, read, kind):
    path = Path("/dev/zero")
    if kind.endswith("pipe"):
        path = tmp_path / "pipe"
        os.mkfifo(path)
    if kind.startswith("link"):
        (tmp_path / "link").symlink_to(path)
        path = tmp_path / "link"
    with pytest.raises(OSError, match="it is no regular file"):
        read(path)


def test_a_larger_file_is_not_read_into_memory(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_regular(path, 5) == b"12345"
    with pytest.raises(OSError, match="it has more than 4 bytes"):
        read_regular(path, 4)


def test_json_of_others_may_have_a_byte_order_mark(tmp_path):
    (tmp_path / "a.json").write_bytes('{"a": "ä"}'.encode("utf-8-sig"))
    assert read_json(tmp_path / "a.json") == {"a": "ä"}


@pytest.mark.parametrize("opening", ["[", '{"a":'])
@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 900, 100_000])
def test_json_that_is_too_deep_is_a_plain_fault(opening, levels):
    closing = {"[": "]", '{"a":': "}"}[opening]
    with pytest.raises(ValueError, match="more than 32 levels"):
        parse_json(opening * levels + "1" + closing * levels)
    parse_json(opening * (MAX_DEPTH - 1) + "1" + closing * (MAX_DEPTH - 1))
