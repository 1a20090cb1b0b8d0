"""What `serve` is asked for. Imports no other package."""

from dataclasses import dataclass

from lumina_core.records import Settings, setting

TOKEN = "LUMINA_SERVE_TOKEN"  # of the environment: a command line is read by others
LOOPBACK = ("127.0.0.1", "localhost", "::1")
MAX_PORT = 65_535


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
    max_waiting: int = setting(
        8, "requests that may wait; others are refused", at_least=1, at_most=10_000
    )
    max_work: int = setting(2_000_000, "tokens times steps times samples of a request", at_least=1)
    keep_seconds: float = setting(3600.0, "how long a result is kept", unit="seconds", at_least=1)
    keep_megabytes: int = setting(
        1024, "size of the results that are kept; the oldest go first", unit="MB", at_least=1
    )
