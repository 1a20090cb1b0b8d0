import mmap
import os

import pytest

from lumina_core.files import hashes
from lumina_core.files.hashes import known_sha256, sha256_of


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home of its own, and files of a few bytes are large and settled."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(hashes, "LARGE_BYTES", 4)
    monkeypatch.setattr(hashes, "RECENT_NS", -1)
    hashes._sha256_once.cache_clear()
    yield tmp_path / "home"
    hashes._sha256_once.cache_clear()


@pytest.fixture
def hashed(monkeypatch):
    """The files that are read for their hash."""
    seen = []
    monkeypatch.setattr(hashes, "sha256_of", lambda path: seen.append(path) or sha256_of(path))
    return seen


def of_a_new_process(path):
    hashes._sha256_once.cache_clear()
    return known_sha256(path)


def remembered(home):
    return sorted(path for path in home.rglob("*") if path.is_file())


def test_a_large_file_is_hashed_once_for_all_processes(home, hashed, tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"weights")
    assert known_sha256(path) == known_sha256(path) == of_a_new_process(path) == sha256_of(path)
    assert hashed == [path]
    (kept,) = remembered(home)
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.parent.stat().st_mode & 0o777 == 0o700


def test_a_small_file_leaves_nothing(home, hashed, tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    assert of_a_new_process(path) == of_a_new_process(path) == sha256_of(path)
    assert hashed == [path, path]
    assert not home.exists()


def written(path):
    path.write_bytes(b"changed")


def written_and_dated_back(path):
    before = path.stat()
    path.write_bytes(b"changed")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced_and_dated_back(path):
    before = path.stat()
    other = path.with_name("other")
    other.write_bytes(b"changed")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


def mapped(path):
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[:7] = b"changed"


@pytest.mark.parametrize(
    "change", [written, written_and_dated_back, replaced_and_dated_back, mapped]
)
def test_a_large_file_that_changed_is_hashed_again(home, tmp_path, change):
    path = tmp_path / "x"
    path.write_bytes(b"weights")
    state = hashes._state_of(path)
    while hashes._state_of(path).status_changed_ns == state.status_changed_ns:
        os.utime(path, ns=(0, state.changed_ns))  # until the clock of the file system has ticked
    before = of_a_new_process(path)
    change(path)
    assert path.read_bytes() == b"changed"
    assert known_sha256(path) == of_a_new_process(path) == sha256_of(path) != before


def test_a_file_that_has_just_changed_is_not_remembered(home, hashed, tmp_path, monkeypatch):
    """It may change again before the clock of its file system ticks."""
    monkeypatch.setattr(hashes, "RECENT_NS", 2_000_000_000)
    path = tmp_path / "x"
    path.write_bytes(b"weights")
    os.utime(path, (0, 0))
    assert of_a_new_process(path) == of_a_new_process(path) == sha256_of(path)
    assert hashed == [path, path]
    assert not home.exists()


def test_a_file_that_changes_while_it_is_hashed_is_not_remembered(home, tmp_path, monkeypatch):
    path = tmp_path / "x"
    path.write_bytes(b"weights")

    def changing(path):
        found = sha256_of(path)
        path.write_bytes(b"other weights")
        return found

    monkeypatch.setattr(hashes, "sha256_of", changing)
    known_sha256(path)
    assert not home.exists()
    monkeypatch.undo()
    assert of_a_new_process(path) == sha256_of(path)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'{"sha256": "0"}', b"\xff", b"0" * 2000]
)
def test_a_damaged_memory_is_no_memory(home, hashed, tmp_path, content):
    path = tmp_path / "x"
    path.write_bytes(b"weights")
    known_sha256(path)
    (kept,) = remembered(home)
    kept.write_bytes(content)
    assert of_a_new_process(path) == of_a_new_process(path) == sha256_of(path)
    assert hashed == [path, path]


def test_a_memory_that_others_may_write_is_no_memory(home, hashed, tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"weights")
    known_sha256(path)
    (kept,) = remembered(home)
    kept.write_text(kept.read_text().replace(sha256_of(path), "0" * 64))
    assert of_a_new_process(path) == "0" * 64  # it is what is read
    kept.chmod(0o622)
    assert of_a_new_process(path) == sha256_of(path)


@pytest.mark.parametrize("place", ["no/home", "file", ""])
def test_without_a_home_to_write_to_files_are_hashed(home, hashed, tmp_path, monkeypatch, place):
    path = tmp_path / "x"
    path.write_bytes(b"weights")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HOME", str(tmp_path / place) if place else "/proc")
    assert of_a_new_process(path) == of_a_new_process(path) == sha256_of(path)
    assert len(hashed) == (1 if place == "no/home" else 2)
