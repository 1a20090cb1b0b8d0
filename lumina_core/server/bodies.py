"""Reads the bodies of requests: JSON, or a form with files."""

from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request

from lumina_core.files.reading import parse_json
from lumina_core.server.refusals import RefusedError

MAX_FILES = 4
MAX_FIELDS = 64
MAX_FIELD = 1 << 16  # bytes
MAX_JSON = 1 << 20  # bytes: Python's objects may take a hundred times as many
Said = tuple[dict[str, Any], dict[str, str]]
"""The body of a request, and where the files are that came with it, by their keys."""
JSON, FORM = "application/json", "multipart/form-data"


async def read_body(request: Request) -> tuple[dict[str, Any], dict[str, UploadFile]]:
    """The values of a request and the files that were sent with it.

    Raises:
        RefusedError: it is neither JSON nor a form, broken, or too large.
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
        found = parse_json(await _json_of(request))
    except (ValueError, RecursionError) as error:
        raise RefusedError("the body is no JSON") from error
    if not isinstance(found, dict):
        raise RefusedError("the body must be an object of JSON")
    return found, {}


async def _json_of(request: Request) -> bytes:
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > MAX_JSON:
            text = f"the body has more than {MAX_JSON} bytes of JSON; send files in a form"
            raise RefusedError(text, 413, code="too_large")
    return bytes(content)
