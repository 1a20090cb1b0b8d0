"""The processes of a run: which of them this one is, how they meet, agree and part.

`torchrun` starts the same command on every rank. Rank 0 speaks and writes; the others are muted.
A refusal of any rank is that of all: rank 0 tells it, and every rank exits with the same code.
One process that torchrun did not start is one rank and needs nothing of this.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

from lumina_core import terminal
from lumina_core.errors import LuminaError

if TYPE_CHECKING:
    import torch

LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "Timed out")
"""What gloo says in a RuntimeError where another rank is gone."""
MEETING_SECONDS = 300  # until the last rank has come
WAITING_SECONDS = 3600  # of a rank for another one: rank 0 alone evaluates and writes

_MEETINGS = count()  # of this process: those of all ranks are alike


class ToldError(LuminaError):
    """A refusal of the whole run, which rank 0 tells: this rank only ends."""


def rank() -> int:
    """The number of this process among those that torchrun started; 0 without it."""
    return int(os.environ["RANK"]) if is_launched() else 0


def num_ranks() -> int:
    """Processes that torchrun started for this run; 1 without it."""
    return int(os.environ["WORLD_SIZE"]) if is_launched() else 1


def num_nodes() -> int:
    """Machines on which they are, where each has as many."""
    return num_ranks() // int(os.environ["LOCAL_WORLD_SIZE"]) if is_launched() else 1


def refuse_many(command: str) -> None:
    """Refuse what one process does, where torchrun started several; rank 0 tells it.

    Raises:
        LuminaError: there are several ranks.
    """
    if num_ranks() > 1:
        kind = LuminaError if rank() == 0 else ToldError
        raise kind(
            f"{command} works in one process, and torchrun started {num_ranks()}; start it without "
            "torchrun. Only train and cache take several"
        )


def is_launched() -> bool:
    """Whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ and "WORLD_SIZE" in os.environ


def local_device(name: str) -> str:
    """The device of this rank: of `auto` and `cuda` the GPU of its number on its machine.

    Raises:
        LuminaError: several ranks of one machine would share a GPU.
    """
    if num_ranks() == 1 or name == "cpu":
        return name
    import torch

    if name == "auto" and not torch.cuda.is_available():
        return "cpu"
    if name in ("auto", "cuda"):
        return f"cuda:{os.environ['LOCAL_RANK']}"
    if int(os.environ["LOCAL_WORLD_SIZE"]) > 1:
        raise LuminaError(
            f"device={name} would be that of {os.environ['LOCAL_WORLD_SIZE']} ranks; use "
            "device=cuda, which gives each rank a GPU of its own, or device=cpu"
        )
    return name


@contextmanager
def joined(*, alone: bool = False) -> Iterator[None]:
    """Within the block the ranks that torchrun started can exchange tensors.

    Nothing happens to one process, and to ranks that have met already.

    Args:
        alone: make a group of this process alone where torchrun started none or one.

    Raises:
        LuminaError: another rank was lost, or the ranks did not meet.
    """
    if num_ranks() == 1 and not alone:
        yield
        return
    import torch.distributed as dist

    if dist.is_initialized():
        yield
        return
    if rank() > 0:
        terminal.mute()
    _meet()
    try:
        yield
    except ToldError:
        with suppress(RuntimeError):  # torchrun ends the others once one has ended: rank 0 is first
            any_rank(False)
        raise
    except RuntimeError as error:
        if not any(text in str(error) for text in LOST):
            raise
        with suppress(RuntimeError):  # a thread of gloo that outlives the process would abort it
            dist.destroy_process_group()
        kind = LuminaError if rank() == 0 else ToldError
        raise kind(
            "rank 0 lost another rank of the run, which ended or was killed; what that one says is "
            "the reason. The newest checkpoint is kept: go on from it with resume=true"
        ) from error
    finally:
        if sys.exc_info()[0] is None or num_ranks() == 1:  # else the end of the process does it
            _part()


def _meet() -> None:
    import torch
    import torch.distributed as dist

    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    if num_ranks() == 1:
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
        return
    if torch.cuda.is_available() and int(os.environ["LOCAL_RANK"]) < torch.cuda.device_count():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    # in torchrun's store are the keys of the attempt before a restart, and of meetings before
    prefix = f"attempt-{os.environ['TORCHELASTIC_RESTART_COUNT']}-{next(_MEETINGS)}"
    try:
        store = dist.TCPStore(
            os.environ["MASTER_ADDR"],
            int(os.environ["MASTER_PORT"]),
            num_ranks(),
            is_master=rank() == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True",
            timeout=timedelta(seconds=MEETING_SECONDS),
        )
        dist.init_process_group(
            backend,
            store=dist.PrefixStore(prefix, store),
            rank=rank(),
            world_size=num_ranks(),
            timeout=timedelta(seconds=WAITING_SECONDS),
        )
    except (dist.DistError, RuntimeError) as error:
        terminal.unmute()
        raise LuminaError(
            f"rank {rank()} did not meet the other {num_ranks() - 1} of the run at "
            f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}; start all with one torchrun "
            "command per machine, of the same --rdzv-endpoint"
        ) from error


def _part() -> None:
    """Leave the group together: one that is done would else close what another one reads."""
    import torch.distributed as dist

    any_rank(False)
    dist.destroy_process_group()


def is_many() -> bool:
    """Whether other ranks belong to this run and have met."""
    if num_ranks() == 1:
        return False
    import torch.distributed as dist

    return dist.is_initialized()


@contextmanager
def agreed() -> Iterator[None]:
    """All ranks leave the block, or all of them refuse what one refuses within it.

    Every rank passes through the block as often; within it no rank waits for another.

    Raises:
        LuminaError: that of the first rank that has one; see ToldError.
    """
    refusal: LuminaError | None = None
    try:
        yield
    except LuminaError as error:
        refusal = error
    if not is_many():
        if refusal is not None:
            raise refusal
        return
    if not any_rank(refusal is not None):
        return
    import torch.distributed as dist

    texts: list[str | None] = [None] * num_ranks()
    dist.all_gather_object(texts, None if refusal is None else str(refusal))
    first, text = next((n, text) for n, text in enumerate(texts) if text is not None)
    kind = LuminaError if rank() == 0 else ToldError
    raise kind(text if first == 0 else f"rank {first}: {text}") from refusal


def any_rank(flag: bool) -> bool:
    """Whether it is so on any rank; every rank asks."""
    if not is_many():
        return flag
    import torch
    import torch.distributed as dist

    found = torch.tensor(int(flag))
    dist.all_reduce(found, dist.ReduceOp.MAX)
    return bool(found)


def from_rank_0(make: Callable[[], Any]) -> Any:
    """What rank 0 makes, on every rank; a refusal of it is that of all.

    Args:
        make: called on rank 0 alone; returns plain values.
    """
    made: list[Any] = [None]
    with agreed():
        if rank() == 0:
            made[0] = make()
    if is_many():
        import torch.distributed as dist

        dist.broadcast_object_list(made, src=0)
    return made[0]


def gathered(value: Any) -> list[Any]:
    """What each rank gives, by its number, on every rank; plain values."""
    if not is_many():
        return [value]
    import torch.distributed as dist

    values: list[Any] = [None] * num_ranks()
    dist.all_gather_object(values, value)
    return values


def summed(values: "torch.Tensor", group: Any = None) -> "torch.Tensor":
    """The sums of a tensor over the ranks of a group, None for all; the tensor on one rank."""
    if not is_many():
        return values
    import torch.distributed as dist

    total = values.detach().clone()
    dist.all_reduce(total, group=group)
    return total
