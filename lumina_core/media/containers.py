"""What decoders share: errors of other libraries as one line, and the request as a comment.

Public for plugins.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from lumina_core.errors import LuminaError, reason_of
from lumina_core.files.reading import parse_json
from lumina_core.terminal import tell

COMMENT_MARK = "lumina "  # begins our comments, so that no other program's is taken for one


@contextmanager
def reading(path: Path, kind: str, *, folders: bool = False) -> Iterator[None]:
    """Refuse a file that is missing, or that the libraries inside cannot read.

    Args:
        path: of the file; every message names it.
        kind: what it should be, with its article: "a sound".
        folders: whether it may be a folder.

    Raises:
        LuminaError: instead of anything else that is raised inside.
    """
    with _faults(path, f"cannot be read as {kind}"):
        if not path.is_file() and not (folders and path.is_dir()):
            raise LuminaError(f"{path} is no file; give {kind}")
        yield


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Name the file in whatever is raised while it is written.

    Raises:
        LuminaError: instead of anything else that is raised inside.
    """
    with _faults(path, "cannot be written"):
        yield


@contextmanager
def _faults(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except LuminaError as error:
        if str(path) in str(error):
            raise
        raise LuminaError(f"{path} {what}: {error}") from error
    except Exception as error:  # a hostile file makes libraries raise almost anything
        # an OSError's own text repeats the path, libsndfile's a number
        names = ("error_string", "strerror")
        texts = [text for name in names if isinstance(text := getattr(error, name, None), str)]
        reason = " ".join(texts[0].split()) if texts else reason_of(error)
        raise LuminaError(f"{path} {what}: {reason or type(error).__name__}") from error


@lru_cache(maxsize=1 << 16)
def note(path: Path, text: str) -> None:
    """Say on stderr what is odd about a file that is used all the same; once in a process.

    Args:
        path: of the file.
        text: what it is and what is made of it, on one line.
    """
    tell(f"note: {path}: {text}")


def comment_with(metadata: Mapping[str, Any]) -> str:
    """A request as a comment inside a file, in ASCII."""
    return COMMENT_MARK + json.dumps(metadata)


def metadata_in(comment: str, path: Path) -> dict[str, Any] | None:
    """The request that a comment holds, or None where it is no comment of ours.

    Args:
        comment: of the file.
        path: of the file, for the message.

    Raises:
        LuminaError: it is no JSON, or no block of settings.
    """
    if not comment.startswith(COMMENT_MARK):
        return None
    try:
        found = parse_json(comment.removeprefix(COMMENT_MARK))
    except ValueError as error:
        raise LuminaError(f"{path} carries a broken request: {error}") from error
    if not isinstance(found, dict):
        raise LuminaError(f"{path} carries a broken request: it is no block of settings")
    return found
