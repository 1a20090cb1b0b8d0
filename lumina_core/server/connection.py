"""Connections as uvicorn has them, with what it lacks: patience that ends, and errors in one shape.

A head that does not come, or an answer that nobody reads, would hold one of few connections for
ever.
"""

import asyncio
import json

import h11
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from lumina_core.server.refusals import error_of, refusal

MAX_CONNECTIONS = 256
SECONDS_FOR_HEAD = 10
SECONDS_TO_READ = 60  # what is written ahead, about 64 KiB
NO_HTTP = "the request is no HTTP/1.1 that this server reads"
BUSY = f"{MAX_CONNECTIONS} connections are open already, as many as may; try again later"


async def busy(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer that there are too many connections."""
    await refusal(BUSY, 503, "busy")(scope, receive, send)


class Connection(H11Protocol):
    """One client; see the module."""

    _late: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head, and refuse it where there are too many connections."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            self.app = busy
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        self._stop_waiting_for_reader()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Begin to wait until the client reads what was written ahead; then the connection ends."""
        super().pause_writing()
        self._unread = self.loop.call_later(SECONDS_TO_READ, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on writing to a client that reads."""
        self._stop_waiting_for_reader()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Wait on for a head that is not whole yet."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self._late is None and self.timeout_keep_alive_task is None:
            self._wait()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, unless an answer is under way; then end."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = json.dumps(error_of(NO_HTTP, 400)).encode()
            headers = [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
                (b"connection", b"close"),
            ]
            head = h11.Response(status_code=400, headers=headers, reason=b"Bad Request")
            for event in (head, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _wait(self) -> None:
        self._late = self.loop.call_later(SECONDS_FOR_HEAD, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _stop_waiting_for_reader(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
