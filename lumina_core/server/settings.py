"""What `serve` is asked for. Imports no other package."""

import re
from dataclasses import dataclass

from lumina_core.errors import MAX_NAME, LuminaError, printable
from lumina_core.records import Settings, setting

TOKEN = "LUMINA_SERVE_TOKEN"  # of the environment: a command line is read by others
LOOPBACK = ("127.0.0.1", "localhost", "::1")
MAX_PORT = 65_535
THREAD, RAY = "thread", "ray"
PROCESSES = re.compile(r"(?:cpu:[1-9]\d?|cuda:\d\d?)(?:,(?:cpu:[1-9]\d?|cuda:\d\d?))*")
ACTORS = re.compile(rf"{RAY}(?::(?P<count>[1-9]\d?))?")


@dataclass(frozen=True)
class ServeConfig(Settings):
    """Where the server listens, what it makes, and how much of it."""

    host: str = setting(
        LOOPBACK[0], f"address to listen on; others than this machine need a token in {TOKEN}"
    )
    port: int = setting(8000, "to listen on; 0: a free one", at_least=0, at_most=MAX_PORT)
    checkpoint: tuple[str, ...] | None = setting(
        None, "a model to serve, as often as there are; null: every demo", file=True
    )
    name: tuple[str, ...] | None = setting(
        None, "name under which a proxy or another machine reaches the server"
    )
    slots: str = setting(
        THREAD,
        "where requests are computed, one at a time each: thread, processes as in cpu:2 or "
        "cuda:0,cuda:1, or actors of Ray as in ray or ray:2",
    )
    max_waiting: int = setting(
        8, "requests that may wait; others are refused", at_least=1, at_most=10_000
    )
    max_work: int = setting(2_000_000, "tokens times steps times samples of a request", at_least=1)
    keep_seconds: float = setting(3600.0, "how long a result is kept", unit="seconds", at_least=1)
    keep_megabytes: int = setting(
        1024, "size of the results that are kept; the oldest go first", unit="MB", at_least=1
    )

    def __post_init__(self) -> None:
        """Refuse slots that are none."""
        super().__post_init__()
        if self.slots != THREAD and not any(
            kind.fullmatch(self.slots) for kind in (PROCESSES, ACTORS)
        ):
            raise LuminaError(
                f"slots={printable(self.slots, MAX_NAME)} is unknown; give {THREAD}, processes as "
                f"in cpu:2 or cuda:0,cuda:1, or {RAY}, or {RAY}:2"
            )
