"""Which checkpoint a training run goes on from: the newest of its folder, whole, with its state."""

import shlex
from pathlib import Path

from lumina_core.checkpoints.manifest import MANIFEST, STATE, TRAINING, read_manifest, verify
from lumina_core.checkpoints.newest import CHECKPOINTS, STEP
from lumina_core.errors import LuminaError
from lumina_core.parallel.ranks import rank
from lumina_core.training.settings import TrainConfig


def newest_checkpoint(config: TrainConfig) -> Path | None:
    """The checkpoint that a run goes on from; None where it begins, be it that an earlier process
    ended before the first one. Rank 0 alone compares the files with their hashes.

    A damaged one is not passed over: steps that were trained already would be trained once more
    without a word. The message names the newest whole one, and the command that makes way for it.

    Raises:
        LuminaError: the newest is damaged.
    """
    out = Path(config.out)
    if not config.resume:
        return None
    newest, *earlier = sorted((out / CHECKPOINTS).glob(STEP), reverse=True) or (None,)
    fault = None if newest is None else _fault(newest)
    if newest is None or fault is None:
        return newest
    refused = f"the newest checkpoint of out={out} cannot be resumed from: {fault}"
    whole = next((folder for folder in earlier if _fault(folder) is None), None)
    if whole is None:
        raise LuminaError(
            f"{refused}; no checkpoint before it has a training state. Mend it, or train anew in "
            "another folder"
        )
    move = shlex.join(["mv", str(newest), f"{newest}.damaged"])
    raise LuminaError(
        f"{refused}. {whole.name} is whole: to go on from there, move the newest away ({move}) "
        "and resume again"
    )


def _fault(folder: Path) -> str | None:
    """Why one cannot go on from a checkpoint, or None."""
    if not (folder / MANIFEST).is_file():
        return f"{folder / MANIFEST} is missing"
    if not ((folder / STATE).is_dir() or (folder / TRAINING).is_file()):
        return f"{folder / STATE} is missing"
    if rank() > 0:
        return None
    try:
        verify(folder, read_manifest(folder))
    except LuminaError as error:
        return str(error)
    return None
