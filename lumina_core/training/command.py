"""The command `train`, and the same in Python."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lumina_core import terminal
from lumina_core.checkpoints.formats import adapter_manifest
from lumina_core.checkpoints.manifest import BASE
from lumina_core.errors import LuminaError
from lumina_core.files.reading import json_lines
from lumina_core.plugins import host
from lumina_core.sampling.compose import compose_sampling
from lumina_core.sampling.python_api import Model, load
from lumina_core.sampling.python_arguments import as_overrides, text, words_of
from lumina_core.training import train as loop
from lumina_core.training.compose import TRAIN, compose_train
from lumina_core.training.folder import METRICS, check_out, clear, used_alone
from lumina_core.training.report import write_report
from lumina_core.training.start import Run, start
from lumina_core.training.tensorboard import check_installed
from lumina_core.training.text_encoder import word_notes
from lumina_core.training.written_settings import resume_command, write_settings

if TYPE_CHECKING:
    from lumina_core.training.settings import TrainConfig

INTERRUPTED = 130  # exit code


@dataclass(frozen=True)
class TrainingRun:
    """A training that is over, or was stopped."""

    modality: str
    folder: Path
    """What `resume` goes on with, and what `load` takes."""
    step: int
    """Steps that it has done: `max_steps`, unless it was stopped."""
    losses: tuple[float, ...]
    """Of the logged steps, the first of the folder to the last."""

    def model(self, **settings: Any) -> Model:
        """Its newest checkpoint in memory, an adapter on its model; see `load`."""
        adapter = adapter_manifest(self.folder)
        if adapter is None:
            return load(self.folder, modality=self.modality, **settings)
        adapters = [str(self.folder), *settings.pop("adapters", [])]
        base = adapter[BASE]["checkpoint"]
        return load(base, modality=self.modality, adapters=adapters, **settings)


def train(modality: str, **settings: Any) -> TrainingRun:
    """Train as `train` does, which tells its progress on stderr; Ctrl-C stops and saves.

    Args:
        modality: name of an installed modality.
        settings: keys of `train` or their last parts.

    Raises:
        LuminaError: whatever `train` would refuse, and arguments of another type.
    """
    name = host.find(text("modality", modality)).name
    words = {"modality": name, **words_of(TRAIN, name, settings)}
    config = compose_train(as_overrides(words))
    run, _ = train_alone(config)
    folder = Path(config.out).absolute()
    logged = json_lines(folder / METRICS)
    losses = tuple(entry["loss"] for _, entry in logged if "loss" in entry)
    return TrainingRun(name, folder, run.step, losses)


def train_command(config: "TrainConfig") -> int:
    """Run `train` and print the newest checkpoint as JSON."""
    run, folder = train_alone(config)
    made = {"checkpoint": str(folder), "step": run.step, "num_skipped": run.num_skipped}
    terminal.show_json(made, indent=None)
    if run.step >= config.max_steps:
        return 0
    terminal.tell(
        f"stopped at step {run.step} of {config.max_steps}; go on with: "
        f"{resume_command(config.out)}"
    )
    return INTERRUPTED


def train_alone(config: "TrainConfig") -> tuple[Run, Path]:
    """Begin a run or go on with it, in a folder that no other run uses.

    Returns:
        The run as it ended, and its newest checkpoint.

    Raises:
        LuminaError: something cannot be used as the configuration says.
    """
    if config.num_threads is not None:
        torch.set_num_threads(config.num_threads)
    with used_alone(Path(config.out)):
        return _trained(config)


def _trained(config: "TrainConfig") -> tuple[Run, Path]:
    check_out(Path(config.out), config)
    if config.tensorboard:
        check_installed()
    run = start(config)
    try:
        return run, _continued(config, run)
    finally:
        run.mixture.close()


def _continued(config: "TrainConfig", run: Run) -> Path:
    if config.evaluate_every and run.model.modality.world is None:
        raise LuminaError(
            f"evaluate_every={config.evaluate_every} needs the oracle of a synthetic world, and "
            f"modality {config.modality!r} has none; leave it out"
        )
    notes = list(word_notes(config, run.model.text_reader, run.mixture))  # while it has its weights
    held = loop.prepare(config, run)
    sampling = compose_sampling(config.modality, run.sampling)  # a checkpoint of others may lie
    terminal.tell(*notes)
    clear(Path(config.out), config)
    write_settings(config)
    newest = loop.train(config, run, sampling, held)
    try:
        write_report(Path(config.out))
    except LuminaError as error:  # the run is over, and whole
        terminal.tell(f"note: the page of the run is not written: {error}")
    return newest
