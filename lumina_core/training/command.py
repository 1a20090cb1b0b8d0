"""The command `train`."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from lumina_core import terminal
from lumina_core.errors import LuminaError
from lumina_core.training.folder import check_out, clear, used_alone
from lumina_core.training.start import start
from lumina_core.training.text_encoder import word_notes
from lumina_core.training.train import prepare, train
from lumina_core.training.written_settings import resume_command, write_settings

if TYPE_CHECKING:
    from lumina_core.training.settings import TrainConfig


INTERRUPTED = 130  # exit code


def train_command(config: "TrainConfig") -> int:
    """Run `train` and print the newest checkpoint as JSON."""
    if config.num_threads is not None:
        torch.set_num_threads(config.num_threads)
    with used_alone(Path(config.out)):
        return _train_alone(config)


def _train_alone(config: "TrainConfig") -> int:
    from lumina_core.sampling.compose import compose_sampling

    out = Path(config.out)
    check_out(out, config)
    run = start(config)
    if config.evaluate_every and run.model.modality.world is None:
        raise LuminaError(
            f"evaluate_every={config.evaluate_every} needs the oracle of a synthetic world, and "
            f"modality {config.modality!r} has none; leave it out"
        )
    notes = list(word_notes(config, run.model.text_encoder, run.pool))  # while it has its weights
    held = prepare(config, run)
    sampling = compose_sampling(config.modality, run.sampling)  # a checkpoint of others may lie
    terminal.tell(*notes)
    clear(out, config)
    write_settings(config)
    folder = train(config, run, sampling, held)
    made = {"checkpoint": str(folder), "step": run.step, "num_skipped": run.num_skipped}
    terminal.show_json(made, indent=None)
    if run.step >= config.max_steps:
        return 0
    terminal.tell(
        f"stopped at step {run.step} of {config.max_steps}; go on with: "
        f"{resume_command(config.out)}"
    )
    return INTERRUPTED
