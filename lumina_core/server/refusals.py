"""What the server answers to a request that it refuses: always the shape of OpenAI's errors."""

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from starlette.responses import JSONResponse

from lumina_core import terminal
from lumina_core.errors import MAX_NAME, MAX_REASON, printable

MAX_MESSAGE = 2 * MAX_REASON
HIDDEN = "[path]"
INVALID, NO_ROOM = "invalid_value", "no_space"
FULL_DISK = "there is no room left on the disk of the server; try again later"
_PATH = re.compile(r"(?:(?<=^)|(?<=[\s=:'\"(\[,;]))(?:~|\.{1,2})?/[^\s'\",;)\]]+")
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


class RefusedError(Exception):
    """A request that is not answered as it asks.

    Args:
        message: what we got, what is allowed, what to do.
        status: of HTTP.
        param: the key of the body that is meant.
        code: for programs.
    """

    def __init__(
        self, message: str, status: int = 400, *, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.code = status, param, code


class InvalidError(RefusedError):
    """A value that is none, or none that this server takes.

    Args:
        message: as of RefusedError.
        param: the key of the body that is meant.
    """

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message, param=param, code=INVALID)


class GoneError(RefusedError):
    """A file of a job that was dropped while somebody asked for it."""

    def __init__(self) -> None:
        super().__init__("the file is there no more", 404, code="not_found")


def error_of(
    message: str, status: int, param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    """The body of an answer that refuses; param and code may be foreign texts, too."""
    kind = _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    told = {"message": printable(message, MAX_MESSAGE), "type": kind, "param": param, "code": code}
    return {"error": told}


def refusal(
    message: str, status: int, code: str | None = None, param: str | None = None
) -> JSONResponse:
    """The answer that refuses."""
    headers = {"Retry-After": "1"} if status in (429, 503) else None
    return JSONResponse(error_of(message, status, param, code), status, headers)


def tell_fault(error: BaseException) -> None:
    """Print a fault of ours, unless nobody can read it: that is no reason to end."""
    with suppress(OSError):
        terminal.tell_trace(error)


def names_of_sent(paths: Mapping[str, str]) -> dict[str, str]:
    """What messages call files that were sent.

    Args:
        paths: by the keys of the files.
    """
    return {path: f"the {printable(key, MAX_NAME)} that was sent" for key, path in paths.items()}


def without_paths(text: str, names: Mapping[str, str]) -> str:
    """A message of this machine as others may read it.

    Args:
        text: may name files.
        names: what is said in place of paths that are known.
    """
    for path in sorted(names, key=len, reverse=True):
        text = text.replace(path, names[path])
    return _PATH.sub(HIDDEN, text)
