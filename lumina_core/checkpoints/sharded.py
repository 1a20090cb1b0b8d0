"""The state of a training in a folder: named tensors in safetensors files, some of each rank.

torch.distributed.checkpoint decides which rank writes which part, and puts the parts together for
any other number of ranks; one process needs no process group. The index of its own format is a
pickle, and a pickle may run code where it is read. So the parts have the format of its Hugging
Face writer: tensors, and in the header of each file where in its tensor each part begins.
"""

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from lumina_core.errors import printable, reason_of
from lumina_core.files.unfinished import sync

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup
    from torch.distributed.checkpoint import HuggingFaceStorageWriter

PLACES = "DCP_SHARDING_INFO"  # in the header of a file: where in its tensor each part begins
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

    Equal states are equal files.

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
    with _own_exceptions():
        checkpoint.save(
            dict(sorted(state.items())),
            storage_writer=_writer(folder),
            process_group=group,
            no_dist=group is None,
        )
    path = _file_of(folder, 1 if group is None else group.rank() + 1)
    return [path] if path.exists() else []


def _file_of(folder: Path, number: int) -> Path:
    """The file of a rank, counted from 1."""
    return folder / f"shard-{number:05d}.safetensors"


def _writer(folder: Path) -> "HuggingFaceStorageWriter":
    """As torch has it, but each file is written from where its tensors are.

    Torch's would copy them first, and mix the entries of the header anew each time.
    """
    from torch.distributed.checkpoint import HuggingFaceStorageWriter, SavePlan, SavePlanner
    from torch.distributed.checkpoint.storage import WriteResult
    from torch.futures import Future

    class Writer(HuggingFaceStorageWriter):
        def write_data(self, plan: SavePlan, planner: SavePlanner) -> Future[list[WriteResult]]:
            tensors, offsets = {}, {}
            for item in plan.items:
                assert item.tensor_data is not None
                tensor = planner.resolve_data(item)
                assert isinstance(tensor, Tensor)
                tensors[item.index.fqn] = tensor
                offsets[item.index.fqn] = {"saved_offsets": item.tensor_data.chunk.offsets}
            path = _file_of(folder, plan.storage_data["shard_index"])
            if tensors:
                try:
                    save_file(tensors, path, {PLACES: json.dumps(offsets)})
                except SafetensorError as error:
                    raise OSError(reason_of(error)) from error
                sync(path)  # by the machine that wrote it
            written: Future[list[WriteResult]] = Future()
            written.set_result([WriteResult(item.index, 0, None) for item in plan.items])
            return written

    return Writer(str(folder), save_distributed=True)


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
