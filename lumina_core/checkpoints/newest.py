"""Which checkpoint a folder means: itself, or the newest finished one of the training run in it.

Everything that takes a checkpoint asks here, so that `checkpoint=outputs/mine` works after
`train out=outputs/mine`. It reads names alone; the manifest is read in manifest.py.
"""

from pathlib import Path

from lumina_core.checkpoints.manifest import MANIFEST
from lumina_core.errors import LuminaError

DEMO = "demo"  # where a name is taken, too: the checkpoint that the plugin ships
CHECKPOINTS = "checkpoints"  # in the folder of a training run
STEP = "step-" + "[0-9]" * 7  # glob of what a run writes at a step


def checkpoint_folder(folder: Path) -> Path:
    """The checkpoint that a folder means.

    Args:
        folder: a checkpoint, the folder of a training run, or that of its checkpoints.

    Returns:
        The newest finished checkpoint of a run; any other folder as it is, for the reader of the
        manifest says what is wrong with it.

    Raises:
        LuminaError: the run has not finished a checkpoint.
    """
    if (folder / MANIFEST).exists():
        return folder
    if found := finished(folder / CHECKPOINTS) or finished(folder):
        return found[-1]
    if (folder / CHECKPOINTS).is_dir():
        raise LuminaError(
            f"the training in {folder} has finished no checkpoint yet; wait for its first one "
            "(save_every), or name another folder"
        )
    return folder


def finished(folder: Path) -> list[Path]:
    """The finished checkpoints in the folder `checkpoints` of a run, the oldest first."""
    return [path.parent for path in sorted(folder.glob(f"{STEP}/{MANIFEST}"))]
