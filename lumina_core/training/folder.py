"""The folder of a training run: what it holds, whether it may be used, what is cleared from it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lumina_core.checkpoints.newest import CHECKPOINTS, STEP, finished
from lumina_core.data.file_pool import QUARANTINE
from lumina_core.errors import LuminaError
from lumina_core.evaluation.pages import is_own_page
from lumina_core.files.locks import sole_process
from lumina_core.files.reading import read_json
from lumina_core.files.unfinished import DELETABLE, refuse_link, remove_unfinished
from lumina_core.modality import has_weights
from lumina_core.training.settings import TrainConfig
from lumina_core.training.tensorboard import BOARD, EVENTS
from lumina_core.training.written_settings import SETTINGS, resume_command

SAMPLES, METRICS = "samples", "metrics.jsonl"  # what a run writes beside its checkpoints
REPORT = "report.html"  # of `report`
LOCK = ".lumina-lock"
BAD_BATCH = "bad-batch.safetensors"  # written by a run that gives up


def finished_checkpoints(out: Path) -> list[Path]:
    """The finished checkpoints of a training folder, the oldest first."""
    return finished(out / CHECKPOINTS)


@contextmanager
def used_alone(out: Path) -> Iterator[None]:
    """Keep other runs out of the folder of a run; one that is killed keeps nobody out.

    Raises:
        LuminaError: `out` is a file, cannot be written, or another run writes there.
    """
    if out.exists() and not out.is_dir():
        raise LuminaError(f"out={out} is a file; choose a folder")
    with sole_process(out / LOCK, f"out={out}"):
        yield


def check_out(out: Path, config: TrainConfig) -> None:
    """Refuse a folder that holds something, before anything is computed.

    What a refused or a killed run may leave is no use: empty folders, its list of broken files,
    a file that it was writing.

    Raises:
        LuminaError: `out` holds files and is neither resumed nor overwritten, or is to be
            overwritten and holds what this run reads or settings of others, or is a link; or it
            lies among the checkpoints of another run.
    """
    _refuse_checkpoints_of_others(out)
    if config.overwrite:
        _refuse_own_inputs(out, config)
        _refuse_links(out)
        _refuse_settings_of_others(out)
    if config.resume or config.overwrite:
        return
    if any(_is_of_use(path) for path in out.rglob("*")):
        is_training = (out / SETTINGS).exists() or finished_checkpoints(out)
        raise LuminaError(
            f"out={out} exists already; "
            + f"go on with it: {resume_command(out)} - or replace it with overwrite=true, or "
            * bool(is_training)
            + "choose another folder"
        )


def _is_of_use(path: Path) -> bool:
    is_list = path.name.endswith(QUARANTINE)
    is_left_over = is_list or path.name == LOCK or DELETABLE.fullmatch(path.name)
    return not (is_left_over or path.is_dir())


def _refuse_checkpoints_of_others(out: Path) -> None:
    """There nobody looks for a run, and `overwrite` of the other run may delete it."""
    full = out.resolve()
    for folder in (full, *full.parents):
        run = folder.parent
        if folder.name == CHECKPOINTS and (finished(folder) or _is_of_training(run / SETTINGS)):
            raise LuminaError(
                f"out={out} lies among the checkpoints of the training in {run}; name a folder "
                "outside of it"
            )


def _refuse_own_inputs(out: Path, config: TrainConfig) -> None:
    """Refuse to overwrite a folder in which the run itself has something to read."""
    inputs: dict[str, str | None] = {
        "init_from": config.init_from,
        "text_encoder.path": config.text_encoder.path,
    }
    for modality, member in config.members.items():
        whose = f".{modality}" if config.joint else ""
        if has_weights(member.options):
            inputs[f"modality{whose}.vae"] = member.options.vae
        inputs[f"data{whose}.path"] = getattr(member.data, "path", None)  # a world has none
    for key, name in inputs.items():
        if name is None or not os.path.exists(Path(name).expanduser()):  # a name, or a hub id
            continue
        if Path(name).expanduser().resolve().is_relative_to(out.resolve()):
            raise LuminaError(
                f"{key}={name} lies in out={out}, from which overwrite=true deletes; copy it to "
                "another place, or choose another out"
            )


def _refuse_settings_of_others(out: Path) -> None:
    """Other programs call a file config.json, too, such as that of a model."""
    path = out / SETTINGS
    if path.exists() and not finished_checkpoints(out) and not _is_of_training(path):
        raise LuminaError(
            f"{path} is of no training, and overwrite=true would delete it; move it to another "
            "place, or choose another out"
        )


def _is_of_training(path: Path) -> bool:
    """Whether a file holds the settings of a training."""
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and "modality" in found


def _refuse_links(out: Path) -> None:
    for folder in (out, out / CHECKPOINTS, out / SAMPLES, out / BOARD):
        refuse_link(folder)


def clear(out: Path, config: TrainConfig) -> None:
    """Delete what a killed run left unfinished and, to overwrite, what an earlier run wrote.

    Nothing outside of `out` is deleted: no link is followed.

    Raises:
        LuminaError: something cannot be deleted, or lies behind a link.
    """
    for folder in (out, out / CHECKPOINTS, out / SAMPLES):
        remove_unfinished(folder)
    if not config.overwrite:
        return
    _refuse_links(out)
    try:
        # first, for one that is in the way keeps the checkpoints
        for name in (METRICS, BAD_BATCH, SETTINGS):
            (out / name).unlink(missing_ok=True)
        if is_own_page(out / REPORT):
            (out / REPORT).unlink()
        for events in (out / BOARD).glob(EVENTS):
            events.unlink()
        for pattern in (f"{STEP}.png", f"{STEP}-*.png"):
            for sheet in (out / SAMPLES).glob(pattern):
                sheet.unlink()
        for folder in (out / CHECKPOINTS).glob(STEP):
            if folder.is_symlink():  # what it leads to stays
                folder.unlink()
            else:
                shutil.rmtree(folder)
    except OSError as error:
        raise LuminaError(
            f"{error.filename} cannot be deleted for overwrite=true: {error.strerror}; delete it "
            "or choose another folder"
        ) from error
