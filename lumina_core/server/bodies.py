"""Reads the bodies of requests, JSON or a form, and keeps files that come with them.

A file gets a name of ours in the private folder of its job; only the kind that its suffix says is
kept of the name that the client gave.
"""

import asyncio
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request

from lumina_core.errors import MAX_NAME, printable
from lumina_core.files.reading import parse_json
from lumina_core.server.refusals import RefusedError

MAX_FILES = 4
MAX_FIELDS = 64
MAX_FIELD = 1 << 16  # bytes
JSON, FORM = "application/json", "multipart/form-data"


async def read_body(request: Request) -> tuple[dict[str, Any], dict[str, UploadFile]]:
    """The values of a request and the files that were sent with it.

    Raises:
        RefusedError: it is neither JSON nor a form, or broken.
        HTTPException: the form is broken, or has too many parts.
    """
    kind = (request.headers.get("content-type") or "").partition(";")[0].strip().lower()
    if kind == FORM:
        form = await request.form(
            max_files=MAX_FILES, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD
        )
        pairs = list(form.multi_items())
        if len({key for key, _ in pairs}) < len(pairs):
            raise RefusedError("a key stands in the form twice; give each once")
        files = {key: value for key, value in pairs if isinstance(value, UploadFile)}
        return {key: value for key, value in pairs if key not in files}, files
    if kind != JSON:  # a form of another site cannot send this without asking first
        raise RefusedError(f"the body must be {JSON}, or {FORM} with files", 415)
    try:
        found = parse_json(await request.body())
    except (ValueError, RecursionError) as error:
        raise RefusedError("the body is no JSON") from error
    if not isinstance(found, dict):
        raise RefusedError("the body must be an object of JSON")
    return found, {}


async def kept_files(
    files: Mapping[str, UploadFile], folder: Path, accepted: Collection[str]
) -> dict[str, str]:
    """Write the files of a request into a folder; gives the path of each.

    Args:
        files: by their keys.
        folder: of the job.
        accepted: suffixes that are read.

    Raises:
        RefusedError: a suffix is none of those.
    """
    found = {}
    for number, (key, file) in enumerate(files.items()):
        suffix = PurePosixPath(file.filename or "").suffix.lower()
        if suffix not in accepted:
            raise RefusedError(
                f"the file {printable(key, MAX_NAME)!r} ends in {printable(suffix, MAX_NAME)!r}; "
                f"send one of {', '.join(accepted)}",
                param=printable(key, MAX_NAME),
                code="invalid_file",
            )
        path = folder / f"given-{number}{suffix}"
        await asyncio.to_thread(_write, file, path)
        found[key] = str(path)
    return found


def _write(file: UploadFile, path: Path) -> None:
    file.file.seek(0)
    with path.open("xb") as out:
        shutil.copyfileobj(file.file, out)
