"""The state of a training in a folder: named tensors in safetensors files, some of each rank.

torch.distributed.checkpoint decides which rank writes which part, and puts the parts together for
any other number of ranks; one process needs no process group. The index of its own format is a
pickle, and a pickle may run code where it is read. So the parts have the format of its Hugging
Face writer: tensors, and in the header of each file where in its tensor each part begins.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from safetensors import SafetensorError
from torch import Tensor

from lumina_core.errors import printable

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

FILE_BYTES = 1 << 30  # of a file of one rank, which is in memory twice while it is written
MAX_NAME = 80  # characters of a name in a message
UNREADABLE = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, OSError, RuntimeError),
    *(SafetensorError, TypeError, ValueError),
)
"""What is raised where a file is not what its header says."""
# torch says so at every call without a process group, which is on purpose here
NOT_DISTRIBUTED = r"torch\.distributed is disabled"


class Stored(NamedTuple):
    """A tensor of a folder, its parts put together."""

    shape: tuple[int, ...]
    dtype: torch.dtype


def write_state(
    folder: Path, state: Mapping[str, Tensor], group: "ProcessGroup | None" = None
) -> list[Path]:
    """Write tensors into a new folder, each rank its parts; the ranks wait for each other.

    Args:
        folder: is made.
        state: on the CPU and contiguous; plain tensors, alike on all ranks, and DTensors.
        group: all ranks, on the CPU; None: this process is alone.

    Returns:
        The files that this rank wrote.

    Raises:
        OSError: a rank cannot write; every rank raises it.
    """
    from torch.distributed import checkpoint

    folder.mkdir(exist_ok=True)
    files = _file_numbers(state, 1 if group is None else group.size())
    writer = checkpoint.HuggingFaceStorageWriter(
        str(folder), fqn_to_index_mapping=files, save_distributed=True
    )
    with _own_exceptions():
        checkpoint.save(
            dict(state), storage_writer=writer, process_group=group, no_dist=group is None
        )
    number = 1 if group is None else group.rank() + 1
    return sorted(folder.glob(f"shard-{number:05d}-*.safetensors"))


def _file_numbers(state: Mapping[str, Tensor], num_ranks: int) -> dict[str, int]:
    """In which of its files a rank puts a tensor; all ranks have about as much of each."""
    numbers, num_bytes = {}, 0
    for name, tensor in state.items():
        numbers[name] = 1 + num_bytes // (FILE_BYTES * num_ranks)
        num_bytes += tensor.numel() * tensor.element_size()
    return numbers


def stored_tensors(folder: Path) -> dict[str, Stored]:
    """What a folder holds, by name; the headers of its files are read.

    Raises:
        ValueError: a file is missing or is not what `write_state` writes.
    """
    from torch.distributed import checkpoint
    from torch.distributed.checkpoint.metadata import TensorStorageMetadata

    try:
        about = checkpoint.HuggingFaceStorageReader(str(folder)).read_metadata()
        found = {}
        for name, tensor in about.state_dict_metadata.items():
            assert isinstance(tensor, TensorStorageMetadata)
            found[name] = Stored(tuple(tensor.size), tensor.properties.dtype)
            if sum(part.sizes.numel() for part in tensor.chunks) != tensor.size.numel():
                raise ValueError(f"parts of {printable(name, MAX_NAME)} are missing")
    except UNREADABLE as error:
        raise ValueError(f"its files cannot be read: {error}") from error
    return found


def read_state(
    folder: Path, into: Mapping[str, Tensor], group: "ProcessGroup | None" = None
) -> None:
    """Fill tensors with those of the same names in a folder, which may hold more.

    Args:
        folder: from `write_state` of any number of ranks.
        into: plain tensors and DTensors on any device; filled in place.
        group: all ranks, on the CPU; None: this process is alone.

    Raises:
        ValueError: a tensor is missing, has another shape or type, or cannot be read; every rank
            raises it.
    """
    from torch.distributed import checkpoint

    found = stored_tensors(folder)
    for name, tensor in into.items():
        wanted = Stored(tuple(tensor.shape), tensor.dtype)
        if found.get(name) != wanted:
            held = f"is {_shown(found[name])} there" if name in found else "is missing there"
            raise ValueError(f"{printable(name, MAX_NAME)} is {_shown(wanted)} here and {held}")
    reader = checkpoint.HuggingFaceStorageReader(str(folder))
    try:
        with _own_exceptions():
            checkpoint.load(
                dict(into), storage_reader=reader, process_group=group, no_dist=group is None
            )
    except UNREADABLE as error:
        raise ValueError(f"its files cannot be read: {error}") from error


def _shown(stored: Stored) -> str:
    return f"{'x'.join(map(str, stored.shape)) or 'one'} {str(stored.dtype).removeprefix('torch.')}"


@contextmanager
def _own_exceptions() -> Iterator[None]:
    """Raise what went wrong on a rank, and not torch's collection, which is no `Exception`."""
    from torch.distributed.checkpoint.api import CheckpointException

    warnings.filterwarnings("ignore", NOT_DISTRIBUTED, UserWarning)
    try:
        yield
    except CheckpointException as error:
        cause, _ = next(iter(error.failures.values()))
        raise cause from error
