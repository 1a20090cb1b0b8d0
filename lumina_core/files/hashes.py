"""SHA-256 of files and folders; what did not change is not hashed again."""

import hashlib
from functools import lru_cache
from pathlib import Path

from lumina_core.files.reading import open_regular

CHUNK_BYTES = 1 << 20


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
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def known_sha256(path: Path) -> str:
    """Hash of a file, remembered while its size and time of change stay."""
    status = path.stat()
    return _sha256_once(path.absolute(), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=1024)
def _sha256_once(path: Path, size: int, changed: int) -> str:
    return sha256_of(path)
