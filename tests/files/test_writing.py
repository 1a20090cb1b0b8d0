import errno
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from damage import limited_files
from lumina_core import LuminaError
from lumina_core.files.hashes import sha256_of
from lumina_core.files.reading import MAX_DEPTH, open_regular, parse_json, read_json, read_regular
from lumina_core.files.unfinished import remove_unfinished
from lumina_core.files.writing import atomic_folder, atomic_write, new_output, publish

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


WRITERS = """
import os, signal, sys
from contextlib import ExitStack
from pathlib import Path
from lumina_core.files.writing import atomic_folder, atomic_write, new_output
folder = Path(sys.argv[1])
with ExitStack() as stack:
    stack.enter_context(atomic_write(folder / "file")).write(b"half")
    stack.enter_context(atomic_folder(folder / "folder")).joinpath("a").write_text("half")
    stack.enter_context(new_output(folder / "media.frames", overwrite=False)).mkdir()
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_process_left_goes_and_what_is_being_written_stays(tmp_path):
    mine = [".lumina-notes", ".lumina-earlier-0123abcd", "a.lumina-0123456789abcdef"]
    for name in mine:
        (tmp_path / name).write_text("mine")
    (tmp_path / "archive").mkdir()
    (tmp_path / ".lumina-0123456789abcdef").symlink_to("archive")
    kept = sorted(os.listdir(tmp_path))
    process = subprocess.Popen(
        [sys.executable, "-c", WRITERS, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    during = sorted(os.listdir(tmp_path))
    assert len(during) == len(kept) + 3
    remove_unfinished(tmp_path)
    assert sorted(os.listdir(tmp_path)) == during
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (tmp_path / "linked").symlink_to(tmp_path)
    remove_unfinished(tmp_path / "linked")
    assert set(during) < set(os.listdir(tmp_path))
    (tmp_path / "linked").unlink()
    with atomic_write(tmp_path / "next") as file:  # whatever is written there next
        file.write(b"whole")
    assert sorted(os.listdir(tmp_path)) == sorted([*kept, "next"])


def test_a_name_is_given_only_to_what_is_on_the_disk(tmp_path, monkeypatch):
    happened = []
    fsync, rename, replace, link = os.fsync, Path.rename, Path.replace, os.link

    def told(name, call):
        def wrapped(*arguments, **more):
            happened.append((name, os.path.basename(arguments[1])))
            return call(*arguments, **more)

        return wrapped

    def synced(descriptor):
        name = os.readlink(f"/proc/self/fd/{descriptor}")
        happened.append(("fsync", os.path.basename(name)))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "link", told("name", link))
    monkeypatch.setattr(Path, "rename", told("name", rename))
    monkeypatch.setattr(Path, "replace", told("name", replace))

    def before_and_after(name):
        place = happened.index(("name", name))
        found = [
            {what for kind, what in part if kind == "fsync"}
            for part in (happened[:place], happened[place:])
        ]
        happened.clear()
        return found

    with atomic_folder(tmp_path / "folder") as folder:
        (folder / "a").write_text("a")
        (folder / "below").mkdir()
        (folder / "below" / "b").write_text("b")
    before, after = before_and_after("folder")
    assert {"a", "b", "below", folder.name} <= before
    assert tmp_path.name in after
    with atomic_write(tmp_path / "file"):
        pass
    before, after = before_and_after("file")
    assert any(name.startswith(".lumina-") for name in before)
    assert tmp_path.name in after
    with new_output(tmp_path / "sound.wav", overwrite=False) as place:
        place.write_text("a")
    before, after = before_and_after("sound.wav")
    assert "file.wav" in before
    assert tmp_path.name in after


def test_a_link_that_is_replaced_by_a_folder_keeps_what_it_leads_to(tmp_path):
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "a").write_text("mine")
    for target in ("archive", "nowhere"):
        (tmp_path / "x").symlink_to(target)
        with pytest.raises(LuminaError, match="exists already"), atomic_folder(tmp_path / "x"):
            pass
        with atomic_folder(tmp_path / "x", overwrite=True) as folder:
            (folder / "b").write_text("b")
        assert os.listdir(tmp_path / "x") == ["b"]
        assert sorted(os.listdir(tmp_path)) == ["archive", "x"]
        assert (tmp_path / "archive" / "a").read_text() == "mine"
        (tmp_path / "x" / "b").unlink()
        (tmp_path / "x").rmdir()
