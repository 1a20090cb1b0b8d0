"""Who may ask: checks before any route, as plain ASGI, so that a client's leaving comes through.

A page of another site must not reach a server on this machine. Its requests carry its Origin, or,
where its name was made to lead here, its Host. No name leads to an address in digits, so these are
always right.
"""

import asyncio
import hmac
from collections.abc import Collection
from http import HTTPStatus
from ipaddress import ip_address

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lumina_core.server.refusals import RefusedError, refusal, tell_fault
from lumina_core.server.settings import LOOPBACK

MAX_BODY = 64 * 10**6  # bytes, of all that a request sends
SECONDS_TO_SEND = 300
TOO_LARGE = f"the body is too large; send at most {MAX_BODY} bytes"
OPEN_PATHS = ("/", "/health")
PAGE = "/page/"
VIEWER = "/page/viewer/"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; connect-src 'self' blob:; frame-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# the sandbox makes it an origin of its own: no part of the page, nor of the server
VIEWER_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; "
    "style-src 'unsafe-inline'; img-src blob: data:; connect-src blob: data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
"""Of the frame with the library that shows meshes, which asks for more than our own code."""
HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"content-security-policy": POLICY.encode(),
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
}
VIEWER_HEADERS = HEADERS | {
    b"content-security-policy": VIEWER_POLICY.encode(),
    b"cross-origin-resource-policy": b"cross-origin",  # its own files are another origin's for it
}


class Guard:
    """Checks Host, Origin and token of each request, and adds headers to each answer.

    Args:
        app: that is guarded.
        names: hosts under which the server is reached, beside addresses and this machine.
        token: that each request but those for the page must carry; None: none.
    """

    def __init__(self, app: ASGIApp, names: Collection[str], token: str | None) -> None:
        self.app = app
        self.names = {name.lower() for name in (*names, *LOOPBACK)}
        self.token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        is_begun = is_dropped = False
        headers = VIEWER_HEADERS if _is_viewer(scope) else HEADERS

        async def sending(message: Message) -> None:
            nonlocal is_begun, is_dropped
            if is_dropped:
                return
            if message["type"] == "http.response.start":
                status = message["status"]
                if status >= HTTPStatus.BAD_REQUEST and not _is_json(message):
                    # a library's own, such as for a range that a file does not have
                    phrase = HTTPStatus(status).phrase.lower()
                    await refusal(phrase, status)(scope, receive, sending)
                    is_dropped = True
                    return
                is_begun = True
                there = {name.lower() for name, _ in message["headers"]}
                added = [pair for pair in headers.items() if pair[0] not in there]
                message["headers"] = [*message["headers"], *added]
            await send(message)

        num_bytes, is_whole = 0, False
        end = asyncio.get_running_loop().time() + SECONDS_TO_SEND

        async def receiving() -> Message:
            nonlocal num_bytes, is_whole
            try:
                async with asyncio.timeout_at(None if is_whole else end):
                    message = await receive()
            except TimeoutError as error:
                if is_begun:  # answered without the body, which nobody needs any more
                    return {"type": "http.disconnect"}
                text = f"the body did not come within {SECONDS_TO_SEND} seconds"
                raise RefusedError(text, 408, code="too_slow") from error
            is_whole = not message.get("more_body", False)
            num_bytes += len(message.get("body", b""))
            if num_bytes > MAX_BODY:
                raise RefusedError(TOO_LARGE, 413, code="too_large")
            return message

        refused = self._refusal(scope)
        try:
            await (self.app if refused is None else refused)(scope, receiving, sending)
        except ClientDisconnect:  # nobody is there to be answered
            return
        except Exception as error:  # whatever it is, it ends one answer and nothing else
            tell_fault(error)
            if not is_begun:
                await refusal("internal error", 500, "server_error")(scope, receive, sending)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = {
            name.decode("latin1"): value.decode("latin1") for name, value in scope["headers"]
        }
        host = headers.pop("host", "")
        if not self._is_ours(host):
            return refusal(
                "the Host of the request is not one of this server's: use the address "
                "in digits, localhost, or start it with name=NAME",
                403,
                "wrong_host",
            )
        origin = headers.pop("origin", None)
        is_other = origin is not None and origin.partition("://")[2].lower() != host.lower()
        if is_other and not _is_viewer(scope):  # whose own origin is "null"
            return refusal("requests of other sites are not answered", 403, "wrong_origin")
        length = headers.pop("content-length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY:
            return refusal(TOO_LARGE, 413, "too_large")
        is_open = scope["path"] in OPEN_PATHS or scope["path"].startswith(PAGE)
        if self.token is None or is_open:
            return None
        given = headers.pop("authorization", "").removeprefix("Bearer ")
        if hmac.compare_digest(given.encode(), self.token.encode()):
            return None
        text = "this server wants its token: send the header Authorization: Bearer TOKEN"
        return refusal(text, 401, "invalid_api_key")

    def _is_ours(self, host: str) -> bool:
        name, colon, port = host.rpartition(":")
        if not (colon and port.isdecimal()):
            name = host
        name = name.strip("[]").lower()
        try:
            ip_address(name)
        except ValueError:
            return name in self.names
        return True


def _is_json(message: Message) -> bool:
    return (b"content-type", b"application/json") in message["headers"]


def _is_viewer(scope: Scope) -> bool:
    return str(scope["path"]).startswith(VIEWER)
