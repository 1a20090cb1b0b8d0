"""Files as every decoder and trainer needs them: written whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from lumina_core.errors import LuminaError


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path` that takes its place when the block ends well.

    Raises:
        LuminaError: the folder cannot be made or written, or the disk is full; nothing is left.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            temporary = Path(file.name)
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise LuminaError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Make a temporary folder beside `path` that takes its place when the block ends well.

    Raises:
        LuminaError: `path` exists, its parent cannot be written, or the disk is full.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        temporary.chmod(0o777 & ~_umask())
        yield temporary
        if path.exists():
            raise LuminaError(f"{path} exists already")
        temporary.rename(path)
    except OSError as error:
        raise LuminaError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _umask() -> int:
    """The permissions that this process withholds (temporary files are private by default)."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def publish(temporary: Path, path: Path, *, overwrite: bool) -> None:
    """Give a finished file its name, in one step; both lie on one file system.

    Raises:
        FileExistsError: the name is taken and `overwrite` is false.
    """
    if overwrite:
        temporary.replace(path)
        return
    os.link(temporary, path)  # unlike a rename, it never replaces
    temporary.unlink()
