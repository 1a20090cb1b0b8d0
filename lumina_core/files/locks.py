"""Locks on files and folders, which the system frees when their process ends, however it ends."""

import os
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

from lumina_core.errors import LuminaError, why
from lumina_core.terminal import tell

MAX_HOLDER_BYTES = 300  # of a process and its machine, as a lock file names them


def try_lock(descriptor: int) -> bool | None:
    """Lock an open file or folder without waiting, until the descriptor is closed.

    Returns:
        Whether it is locked for us now; None where the file system knows no locks.
    """
    try:
        flock(descriptor, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # each file system has its own number for that
        return None
    return True


def is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file or folder still has this name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


@contextmanager
def sole_process(lock: Path, place: str) -> Iterator[None]:
    """Keep every other process out of such a block while this one is in it.

    A process that is killed keeps nobody out. Folders that were made for the lock go with it, if
    nothing else came into them.

    Args:
        lock: the file that is locked; it holds the id of the process and goes with the block.
        place: where the block writes, for messages: `out=FOLDER`.

    Raises:
        LuminaError: another process has the lock, or the file cannot be written.
    """
    with ExitStack() as undo:
        try:
            for folder in [folder for folder in lock.parents if not folder.exists()][::-1]:
                folder.mkdir(exist_ok=True)
                undo.callback(_remove_empty, folder)
            is_locked = _lock_file(lock, place, undo)
        except OSError as error:
            raise LuminaError(f"{place} cannot be written: {why(error)}") from error
        if is_locked is None:
            tell(
                f"note: the file system of {place} knows no locks; see to it that no other run "
                "writes there"
            )
        yield


def _lock_file(lock: Path, place: str, undo: ExitStack) -> bool | None:
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        undo.callback(os.close, descriptor)
        is_locked = try_lock(descriptor)
        if is_locked is False:
            raise LuminaError(
                f"{place} is in use: {_holder(descriptor)} writes there; wait for its end, or "
                "choose another folder"
            )
        if is_at(descriptor, lock):  # else the one that had it has just removed it
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()} {socket.gethostname()}\n".encode())
            undo.callback(lock.unlink, missing_ok=True)  # before the lock is given up
            return is_locked


def _holder(descriptor: int) -> str:
    found = re.fullmatch(rb"(\d+) ([\w.-]+)\n", os.read(descriptor, MAX_HOLDER_BYTES))
    if found is None:  # it is about to write it
        return "another process"
    number, machine = (part.decode() for part in found.groups())
    return f"process {number}" + f" on {machine}" * (machine != socket.gethostname())


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):  # it is in use by now
        folder.rmdir()
