"""Opens files of others: regular files only, with a bound on their bytes, JSON strictly."""

import json
import os
from collections.abc import Iterable, Iterator
from errno import EFBIG, EINVAL
from io import BufferedReader
from pathlib import Path
from stat import S_ISREG
from typing import Any

from lumina_core.errors import LuminaError

MAX_JSON_BYTES = 1 << 20  # of a file of settings; the manifest of a checkpoint has 4000
MAX_LINES_BYTES = 1 << 30  # of a log of ours: millions of lines
MAX_DEPTH = 32  # levels of JSON; a manifest has 5, a request 3, and Python's stack 1000
TOO_DEEP = f"it has more than {MAX_DEPTH} levels"


def open_regular(path: Path) -> BufferedReader:
    """Open a file that others may have put there: no pipe and no device, which may never end.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115, the caller closes it
    if not S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(EINVAL, "it is no regular file", str(path))
    return file


def read_regular(path: Path, max_bytes: int) -> bytes:
    """The content of a small file that others may have put there.

    Raises:
        OSError: as `open_regular`, or it is larger than `max_bytes`.
    """
    with open_regular(path) as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise OSError(EFBIG, f"it has more than {max_bytes} bytes", str(path))
    return content


def read_json(path: Path, max_bytes: int = MAX_JSON_BYTES) -> Any:
    """The value in a JSON file that others may have put there; it may begin with a byte order mark.

    Raises:
        OSError: as `read_regular`.
        ValueError: as `parse_json`.
    """
    return parse_json(read_regular(path, max_bytes))


def parse_json(content: bytes | str) -> Any:
    """A value of JSON that others wrote.

    Args:
        content: in UTF-8, with or without a byte order mark.

    Raises:
        ValueError: it is no JSON, no UTF-8, or has more than MAX_DEPTH levels.
    """
    text = content if isinstance(content, str) else content.decode("utf-8-sig")
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError(TOO_DEEP) from error
    if is_deeply_nested(value):
        raise ValueError(TOO_DEEP)
    return value


def is_deeply_nested(value: Any) -> bool:
    """Whether a value from JSON has more than MAX_DEPTH levels, on which recursion could fail."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for item in level for child in _children(item)]
    return bool(level)


def _children(item: Any) -> Iterable[Any]:
    if isinstance(item, dict):
        return item.values()
    return item if isinstance(item, list) else ()


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # without it, to open a pipe waits for a writer


def json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """The lines of a file that are JSON, each with its value; none where there is no file.

    Others are left out: a killed process or a full disk cuts lines short.

    Raises:
        LuminaError: it cannot be read, or is no regular file.
    """
    try:
        with open_regular(path) as file:
            if os.fstat(file.fileno()).st_size > MAX_LINES_BYTES:
                raise OSError(EFBIG, f"it has more than {MAX_LINES_BYTES} bytes")
            for line in file:
                try:
                    text = line.decode().removesuffix("\n")
                    value = parse_json(text)
                except ValueError:
                    continue
                yield text, value
    except FileNotFoundError:
        return
    except OSError as error:
        raise LuminaError(f"{path} cannot be read: {error.strerror}; move it away") from error
