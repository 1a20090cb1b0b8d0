"""SHA-256 of files and folders; what did not change is not hashed again.

A process remembers all hashes, the user's cache folder those of large files. A file counts as
unchanged while its size, its times and its place on the disk are the same. The time of change of
its status cannot be set, so a file that a program wrote into is always hashed again. Not seen are a
disk that loses bits without a write, and somebody who sets the clock of the machine or who writes
into the cache folder; such a person could write a new manifest, too.
"""

import hashlib
import json
import os
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from lumina_core.errors import LuminaError
from lumina_core.files.reading import open_regular, parse_json
from lumina_core.files.writing import atomic_write

LARGE_BYTES = 1 << 26  # a file of this size takes 0.1 s; smaller ones are hashed in each process
RECENT_NS = 2_000_000_000  # the clocks of file systems tick in up to two seconds
REMEMBERED = Path(".cache", "lumina", "sha256")  # below the home of the user
MAX_REMEMBERED_BYTES = 1000  # of one hash and the state of its file


def sha256_of(path: Path) -> str:
    """Hash of a file, or of a folder: that of what `sha256sum` prints of all files inside it.

    Args:
        path: the file or folder; hidden files in a folder do not count.

    Raises:
        OSError: it cannot be read, or there is something in it that is no regular file.
    """
    if not path.is_dir():
        return _file_sha256(path)
    names = sorted(item.relative_to(path) for item in path.rglob("*") if not item.is_dir())
    visible = [name for name in names if not any(part.startswith(".") for part in name.parts)]
    listing = "".join(f"{_file_sha256(path / name)}  {name.as_posix()}\n" for name in visible)
    return hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()


def _file_sha256(path: Path) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class State(NamedTuple):
    """By what a file counts as unchanged."""

    size: int
    changed_ns: int
    status_changed_ns: int
    inode: int
    device: int


def known_sha256(path: Path) -> str:
    """Hash of a file, remembered while its `State` stays."""
    return _sha256_once(path.absolute(), _state_of(path))


def _state_of(path: Path) -> State:
    status = path.stat()
    times = (status.st_mtime_ns, status.st_ctime_ns)
    return State(status.st_size, *times, status.st_ino, status.st_dev)


@lru_cache(maxsize=1024)
def _sha256_once(path: Path, state: State) -> str:
    if state.size < LARGE_BYTES:
        return sha256_of(path)
    found = _remembered(path, state)
    if found is None:
        begun = time.time_ns()
        found = sha256_of(path)
        is_settled = begun - max(state.changed_ns, state.status_changed_ns) > RECENT_NS
        if is_settled and _state_of(path) == state:
            _remember(path, state, found)
    return found


def _place(path: Path) -> Path:
    """Where the hash of a file is remembered.

    Raises:
        RuntimeError: the user has no home.
    """
    return Path.home() / REMEMBERED / f"{hashlib.sha256(os.fsencode(path)).hexdigest()}.json"


def _remembered(path: Path, state: State) -> str | None:
    """The hash that an earlier process found; None where there is none that can be trusted."""
    try:
        with open_regular(_place(path)) as file:
            about = os.fstat(file.fileno())
            found = parse_json(file.read(MAX_REMEMBERED_BYTES))
    except (OSError, RuntimeError, ValueError):
        return None
    is_own = about.st_uid == os.geteuid() and not about.st_mode & 0o022
    is_known = is_own and isinstance(found, dict) and found.get("state") == list(state)
    return str(found.get("sha256")) if is_known else None


def _remember(path: Path, state: State, sha256: str) -> None:
    with suppress(LuminaError, OSError, RuntimeError):  # without a home to write to it is hashed
        place = _place(path)
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with atomic_write(place) as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(json.dumps({"state": state, "sha256": sha256}).encode())
