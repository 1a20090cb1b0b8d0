"""Checkpoints of a run, written while it goes on: one at a time, whole or not at all.

The run waits only for a copy of what changes. A thread of each rank writes the parts of its rank;
then rank 0 writes the averaged weights and, last, the manifest, and the folder gets its name. What
one rank cannot write, none finishes. Only then do older states go.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from lumina_core.checkpoints.folder import Contents, fill
from lumina_core.checkpoints.manifest import STATE, TRAINING
from lumina_core.checkpoints.newest import finished
from lumina_core.checkpoints.sharded import read_state, stored_tensors, write_state
from lumina_core.errors import LuminaError, why
from lumina_core.files.hashes import sha256_of
from lumina_core.files.unfinished import discard, temporary_name, unwritable
from lumina_core.files.writing import atomic_folder
from lumina_core.parallel.ranks import is_many
from lumina_core.training.state import AVERAGE, Copy

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

Made = TypeVar("Made")
LONGEST_SAVE_SECONDS = 7200.0  # that a rank waits for the slowest disk
GIVE_UP_SECONDS = 5.0  # that a run which is to stop at once waits for the thread


def new_group() -> "ProcessGroup | None":
    """All ranks, on the CPU, for nothing but states; every rank asks. None: there is one rank."""
    if not is_many():
        return None
    import torch.distributed as dist

    return dist.new_group(backend="gloo", timeout=timedelta(seconds=LONGEST_SAVE_SECONDS))


class Kept(NamedTuple):
    """Which states of a run stay when a newer one is whole."""

    last: int
    """So many of the newest."""
    every: int
    """And those of the steps that are multiples of it; 0: no more."""


class Saver:
    """Saves checkpoints in the background; leaving its block waits for the last one.

    Args:
        kept: which states stay.
        group: from `new_group`.
    """

    def __init__(self, kept: Kept, group: "ProcessGroup | None" = None) -> None:
        self._kept, self._group = kept, group
        self._copy = Copy()
        self._thread: Thread | None = None
        self._failure: BaseException | None = None
        self._is_given_up = Event()

    def __enter__(self) -> "Saver":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, KeyboardInterrupt):  # the second signal
            self._give_up()
            return
        try:
            if error is None:
                self.wait()
            else:
                self._join()
        except KeyboardInterrupt:
            self._give_up()
            raise

    def _join(self, seconds: float | None = None) -> None:
        if self._thread is not None:
            self._thread.join(seconds)

    def _give_up(self) -> None:
        self._is_given_up.set()
        self._join(GIVE_UP_SECONDS)

    def begin(self, folder: Path, state: Mapping[str, Tensor], contents: Contents) -> None:
        """Copy a state and go on; a thread writes the checkpoint, after the one before is done.

        Args:
            folder: must not exist.
            state: of the run, each rank its parts.
            contents: of the checkpoint; its weights are those of the averages in the state.

        Raises:
            LuminaError: the one before could not be written.
        """
        self.wait()
        copied = self._copy.of(state)
        self._thread = Thread(
            target=self._run, args=(folder, copied, contents), name="saving", daemon=True
        )
        self._thread.start()

    @property
    def has_failed(self) -> bool:
        """Whether a checkpoint could not be written; `wait` says why."""
        return self._failure is not None

    def wait(self) -> None:
        """Wait for the checkpoint that is being written.

        Raises:
            LuminaError: it cannot be written; those before are as they were.
        """
        self._join()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _run(self, folder: Path, state: Mapping[str, Tensor], contents: Contents) -> None:
        try:
            self._save(folder, state, contents)
        except OSError as error:
            self._failure = unwritable(folder, error)
        except BaseException as error:  # the run raises it
            self._failure = error

    def _save(self, folder: Path, state: Mapping[str, Tensor], contents: Contents) -> None:
        is_first = self._group is None or self._group.rank() == 0
        with ExitStack() as stack:
            place, *_ = self._of_all_ranks(
                folder, lambda: stack.enter_context(atomic_folder(folder)) if is_first else None
            )
            assert place is not None
            written = write_state(place / STATE, state, self._group)
            hashes = self._of_all_ranks(
                folder, lambda: {f"{STATE}/{path.name}": sha256_of(path) for path in written}
            )

            def finish() -> None:
                if is_first:
                    known = {name: sha256 for part in hashes for name, sha256 in part.items()}
                    fill(place, contents, _average_in(place, folder, list(known)), known)
                    stack.close()
                    drop_old_states(folder.parent, self._kept)

            self._of_all_ranks(folder, finish)

    def _of_all_ranks(self, folder: Path, make: Callable[[], Made]) -> list[Made]:
        """What each rank makes, for all of them; what one cannot make, all refuse."""
        made, failure, reason = None, None, None
        try:
            if self._is_given_up.is_set():
                raise LuminaError(f"{folder} was given up")
            made = make()
        except Exception as error:
            failure = error
            reason = str(error if isinstance(error, LuminaError) else unwritable(folder, error))
        outcomes: list[Any] = [(made, reason)]
        if self._group is not None:
            import torch.distributed as dist

            outcomes *= self._group.size()
            dist.all_gather_object(outcomes, (made, reason), group=self._group)
        if failure is not None:
            raise failure
        for _, refused in outcomes:
            if refused is not None:
                raise LuminaError(refused)
        return [each for each, _ in outcomes]


def _average_in(place: Path, folder: Path, names: list[str]) -> dict[str, Tensor]:
    """The averaged weights from the files of all ranks.

    Raises:
        LuminaError: a file that a rank wrote is not there.
    """
    for name in names:
        if not (place / name).is_file():
            raise LuminaError(
                f"{folder} cannot be written: rank 0 does not see the file {name} of another rank; "
                "choose as out a folder on a disk that all machines share"
            )
    stored = stored_tensors(place / STATE)
    average = {
        name: torch.empty(shape, dtype=dtype)
        for name, (shape, dtype) in stored.items()
        if name.startswith(AVERAGE)
    }
    read_state(place / STATE, average)
    return {name.removeprefix(AVERAGE): value for name, value in average.items()}


def drop_old_states(checkpoints: Path, kept: Kept) -> None:
    """Delete the training states of older checkpoints, which stay whole otherwise.

    Behind a link nothing is deleted: that may be an archive.

    Raises:
        LuminaError: one cannot be deleted.
    """
    if checkpoints.is_symlink():
        return
    for folder in finished(checkpoints)[: -kept.last]:
        step = int(folder.name.rpartition("-")[2])
        if folder.is_symlink() or (kept.every and step % kept.every == 0):
            continue
        for state in (folder / STATE, folder / TRAINING):
            if not state.exists() or state.is_symlink():
                continue
            going = temporary_name(folder)
            try:
                state.rename(going)  # a kill leaves no half of a state
            except OSError as error:
                raise LuminaError(f"{state} cannot be deleted: {why(error)}") from error
            discard(going)
