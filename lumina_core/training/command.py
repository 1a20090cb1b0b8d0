"""The command `train`, and the same in Python."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lumina_core import terminal
from lumina_core.checkpoints.formats import adapter_manifest
from lumina_core.checkpoints.manifest import BASE
from lumina_core.errors import LuminaError, when_interrupted
from lumina_core.files.reading import json_lines
from lumina_core.parallel import ranks
from lumina_core.plugins import host
from lumina_core.sampling.compose import compose_sampling
from lumina_core.sampling.python_api import Model, load
from lumina_core.sampling.python_arguments import as_overrides, text, texts, words_of
from lumina_core.training import train as loop
from lumina_core.training.compose import TRAIN, compose_train
from lumina_core.training.folder import METRICS, check_out, clear, used_alone
from lumina_core.training.latents import latent_warnings
from lumina_core.training.report import write_report
from lumina_core.training.start import BEFORE_THE_FIRST_STEP, Run, start
from lumina_core.training.tensorboard import check_installed
from lumina_core.training.written_settings import resume_command, write_settings

if TYPE_CHECKING:
    from lumina_core.training.settings import TrainConfig

INTERRUPTED = 130  # exit code


@dataclass(frozen=True)
class TrainingRun:
    """A training that is over, or was stopped."""

    modality: str
    """The first of several."""
    folder: Path
    """What `resume` goes on with, and what `load` takes."""
    step: int
    """Steps that it has done: `max_steps`, unless it was stopped."""
    losses: tuple[float, ...]
    """Of the logged steps, the first of the folder to the last."""

    def model(self, modality: str | None = None, **settings: Any) -> Model:
        """Its newest checkpoint in memory, an adapter on its model, for one of its modalities; see
        `load`.
        """
        name, adapter = modality or self.modality, adapter_manifest(self.folder)
        if adapter is None:
            return load(self.folder, modality=name, **settings)
        adapters = [str(self.folder), *settings.pop("adapters", [])]
        base = adapter[BASE]["checkpoint"]
        return load(base, modality=name, adapters=adapters, **settings)


def train(modality: str | Sequence[str], **settings: Any) -> TrainingRun:
    """Train as `train` does, which tells its progress on stderr; Ctrl-C stops and saves.

    Args:
        modality: name of an installed modality, or the names of several that are trained together.
        settings: keys of `train` or their last parts; those of one of several modalities are whole
            keys, `**{"modality.image.height": 64, "mixing.image": 0.4}`.

    Raises:
        LuminaError: whatever `train` would refuse, and arguments of another type.
    """
    given = [modality] if isinstance(modality, str) else texts("modality", modality)
    names = [host.find(text("modality", name)).name for name in given]
    chosen = names[0] if len(names) == 1 else f"[{','.join(names)}]"
    words = {"modality": chosen, **words_of(TRAIN, names, settings)}
    config = compose_train(as_overrides(words))
    run, _ = train_alone(config)
    folder = Path(config.out).absolute()
    logged = json_lines(folder / METRICS)
    losses = tuple(entry["loss"] for _, entry in logged if "loss" in entry)
    return TrainingRun(config.modality, folder, run.step, losses)


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
    with ranks.joined(alone=config.dtype != "float32"), ExitStack() as locked:
        with ranks.agreed():
            if ranks.rank() == 0:
                locked.enter_context(used_alone(Path(config.out)))
                check_out(Path(config.out), config)
            if config.tensorboard:
                check_installed()
        return _trained(config)


def _trained(config: "TrainConfig") -> tuple[Run, Path]:
    run = start(config)
    try:
        return run, _continued(config, run)
    finally:
        run.mixture.close()


def _continued(config: "TrainConfig", run: Run) -> Path:
    with ranks.agreed():
        worlds = [model.modality.world for model in run.models.values()]
        if config.evaluate_every and not any(world is not None for world in worlds):
            raise LuminaError(
                f"evaluate_every={config.evaluate_every} needs the oracle of a synthetic world, "
                f"and modality {', '.join(map(repr, run.models))} has none; leave it out"
            )
    held = loop.prepare(config, run)
    with ranks.agreed():
        # a checkpoint of others may lie
        sampling = {name: compose_sampling(name, run.sampling.get(name)) for name in run.models}
        if config.note is not None:
            terminal.tell(config.note)
        terminal.tell(*run.notes)
        if ranks.rank() == 0:
            if not run.step:
                with when_interrupted(lambda: BEFORE_THE_FIRST_STEP):
                    terminal.tell(*latent_warnings(config, run.models))
            clear(Path(config.out), config)
            write_settings(config)
    newest = loop.train(config, run, sampling, held)
    if ranks.rank() == 0:
        try:
            write_report(Path(config.out))
        except LuminaError as error:  # the run is over, and whole
            terminal.tell(f"note: the page of the run is not written: {error}")
    return newest
