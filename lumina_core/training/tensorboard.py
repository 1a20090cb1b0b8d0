"""The log of a run for TensorBoard, whose package is imported where a run asks for it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lumina_core.errors import LuminaError, why
from lumina_core.training.curves import numbers

BOARD = "tensorboard"  # folder in that of a run
EVENTS = "events.out.tfevents.*"  # what it writes there


def check_installed() -> None:
    """Refuse what cannot be had, before anything is computed.

    Raises:
        LuminaError: the package is missing, or broken.
    """
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError as error:
        raise LuminaError(
            "tensorboard=true needs another package; pip install 'lumina-core[tensorboard]'"
        ) from error


@contextmanager
def board(out: Path, step: int) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Write the lines of a log there, too: each number below the keys that lead to it.

    Args:
        out: of the run.
        step: at which it goes on; what an earlier process wrote of later ones is taken back.

    Yields:
        What writes one line.

    Raises:
        LuminaError: it cannot be written.
    """
    from torch.utils.tensorboard import SummaryWriter

    with _told(out / BOARD):
        writer = SummaryWriter(str(out / BOARD), purge_step=step + 1)

    def write(metrics: Mapping[str, Any]) -> None:
        with _told(out / BOARD):
            for name, value in numbers(metrics):
                if name != ("step",):
                    writer.add_scalar("/".join(name), value, metrics["step"])
            writer.flush()  # a line is on disk when its step is over

    try:
        yield write
    finally:
        with suppress(OSError):
            writer.close()


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LuminaError(f"{folder} cannot be written: {why(error)}") from error
