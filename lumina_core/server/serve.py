"""Runs the application under uvicorn until a signal ends it."""

import os
import re

import uvicorn

from lumina_core import terminal
from lumina_core.errors import LuminaError
from lumina_core.server.app import build_app
from lumina_core.server.connection import Connection
from lumina_core.server.settings import LOOPBACK, TOKEN, ServeConfig
from lumina_core.server.slots import keep_for_good

MAX_HEADERS = 1 << 15  # bytes
VISIBLE = re.compile("[!-~]+")  # of ASCII
SECONDS_IDLE = 5
SECONDS_TO_CLOSE = 10  # for answers that are under way when a signal comes


def run_server(config: ServeConfig) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code.

    Raises:
        LuminaError: there is nothing to serve, the address cannot be used, others could reach it
            and there is no token, no request can carry it, or there is no room for a folder.
    """
    token = os.environ.get(TOKEN) or None
    if config.host not in LOOPBACK and token is None:
        raise LuminaError(
            f"host={config.host} can be reached from other machines; set a token in the "
            f"environment variable {TOKEN}, or leave host out to serve this machine alone"
        )
    if token is not None and not VISIBLE.fullmatch(token):
        raise LuminaError(
            f"the token in {TOKEN} has spaces or characters that no header carries; take letters "
            "and digits"
        )
    app = build_app(config, token)
    line = app.state.line

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: object = None) -> None:
            line.stop()  # ends the jobs, and with them the streams that uvicorn would wait for
            await super().shutdown(sockets)  # type: ignore[arg-type]

    server = Server(
        uvicorn.Config(
            app,
            config.host,
            config.port,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            http=Connection,
            ws="none",
            timeout_keep_alive=SECONDS_IDLE,
            timeout_graceful_shutdown=SECONDS_TO_CLOSE,
            h11_max_incomplete_event_size=MAX_HEADERS,
            lifespan="on",
        )
    )
    try:
        sock = server.config.bind_socket()
    except (SystemExit, OSError) as error:  # uvicorn logs why and ends the process
        raise LuminaError(
            f"port {config.port} of {config.host} cannot be used; choose another one with port=..."
        ) from error
    with sock:
        line.open()  # of its faults uvicorn would tell a traceback
        sock.listen()  # who reads the line below may connect at once, and waits
        host, port = sock.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        terminal.show(f"serving {', '.join(app.state.models)} at http://{shown}:{port}")
        keep_for_good()
        server.run([sock])
    return 0
