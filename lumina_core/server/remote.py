"""A job in another process: the messages that pass, and both their ends.

Messages are objects of Python between processes of one server, which trust each other; nothing that
a client sends becomes one.
"""

import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from errno import ENOSPC

from lumina_core.errors import LuminaError, is_full_disk
from lumina_core.server.slots import (
    Cancelled,
    LostError,
    Made,
    Progress,
    Slot,
    Task,
    Tell,
    ThreadSlot,
)


@dataclass(frozen=True)
class Over:
    """The last message of a job."""

    error: Exception | None = None
    """What went wrong, as the server raises it; None: it is completed or cancelled."""


def over_of(error: BaseException) -> Over:
    """The last message of a job that failed; it holds an exception that every process knows."""
    if is_full_disk(error):
        return Over(OSError(ENOSPC, "the disk is full"))
    if isinstance(error, LuminaError):
        return Over(LuminaError(str(error)))
    return Over(RuntimeError("".join(traceback.format_exception(error))))


Message = Progress | Made | Over
Messages = Iterator[Message]


def compute(
    slot: Slot, task: Task, say: Callable[[Message], None], is_stopped: Callable[[], bool]
) -> None:
    """Compute a job where the model is; the last message is always Over.

    Args:
        slot: of this process.
        task: the job.
        say: sends a message.
        is_stopped: whether nobody wants the rest; asked after each step.
    """

    def tell(progress: Progress) -> None:
        if is_stopped():
            raise Cancelled
        say(progress)

    try:
        for made in slot.run(task, tell):
            say(made)
    except Cancelled:
        say(Over())
    except (Exception, SystemExit) as error:  # the other side tells it
        say(over_of(error))
    else:
        say(Over())


class RemoteSlot(ABC):
    """A slot whose jobs are computed elsewhere.

    Args:
        front: answers here what needs no weights, while the other side computes.
    """

    def __init__(self, front: ThreadSlot) -> None:
        self.size = front.size

    @abstractmethod
    def send(self, task: Task) -> Messages:
        """Send a job; gives what comes back, up to Over.

        Raises:
            LostError: at once or later: what computes it is gone.
        """

    @abstractmethod
    def stop(self) -> None:
        """Ask to leave the rest of the job.

        Raises:
            LostError: what computes it is gone.
        """

    def run(self, task: Task, tell: Tell) -> Iterator[Made]:
        """As in Slot; Cancelled comes once the job has stopped."""
        messages = self.send(task)
        message: Message | None = None
        try:
            for message in messages:
                if isinstance(message, Made):
                    yield message
                elif isinstance(message, Progress):
                    tell(message)
                elif message.error is not None:
                    raise message.error
        except LostError:
            raise
        except BaseException:
            if not isinstance(message, Over):
                with suppress(LostError):
                    self.stop()
                    for _ in messages:  # the slot is free once the last one is there
                        pass
            raise
