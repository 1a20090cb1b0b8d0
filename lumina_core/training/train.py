"""Train a backbone (and a text encoder) by flow matching.

sample -> pool of latents -> packed batch -> caption features -> t, noise, x_t -> velocity -> loss
-> step, moving average. Everything random follows from the seed and the step, so a resumed run
needs no stored generator, only a few numbers of where the mixture of samples has come to, and
repeats the uninterrupted one to the bit on a CPU.
"""

from collections.abc import Collection, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from lumina_core.checkpoints.folder import contents_of
from lumina_core.checkpoints.model import Model
from lumina_core.checkpoints.newest import CHECKPOINTS
from lumina_core.errors import when_interrupted
from lumina_core.files.writing import check_writable
from lumina_core.media.previews import save_contact_sheet
from lumina_core.parallel import ranks
from lumina_core.runtime import autocast, resolve_dtype, seeded
from lumina_core.sampling.request import Request
from lumina_core.sampling.sample import sample
from lumina_core.sampling.settings import Sampling
from lumina_core.training.folder import METRICS, SAMPLES, finished_checkpoints
from lumina_core.training.forgetting import before, start_samples
from lumina_core.training.log import MetricsLog, TrainingBar, stop_on_signal
from lumina_core.training.meter import Pace
from lumina_core.training.recipe import recipe
from lumina_core.training.saving import Kept, Saver, new_group
from lumina_core.training.settings import TrainConfig
from lumina_core.training.start import BEFORE_THE_FIRST_STEP, KEPT, Run, averaged
from lumina_core.training.state import training_state
from lumina_core.training.step import EMPTY, NOT_FINITE, stop_at_bad_batch, training_step
from lumina_core.training.tensorboard import board
from lumina_core.training.text_encoder import encode_captions_ahead
from lumina_core.training.validation import Held, held_samples, is_due, measures, sampling_dtype
from lumina_core.training.written_settings import resume_command


def save_checkpoint(run: Run, config: TrainConfig, saver: Saver) -> Path:
    """Begin to write `out/checkpoints/step-N`: averaged weights and training state."""
    folder = Path(config.out) / CHECKPOINTS / f"step-{run.step:07d}"
    if run.saved != run.step:
        kept = {key: getattr(run, key) for key in KEPT} | {"mixture": run.mixture.place.stored()}
        contents = contents_of(
            list(run.models.values()),
            summary=kept | recipe(config, run.mixture),
            sampling=run.sampling,
            dtype=resolve_dtype(config.save_dtype),
            base=run.base,
        )
        state = training_state(run.networks, run.average, run.optimizer)
        saver.begin(folder, state, contents)
        run.saved = run.step
    return folder


@when_interrupted(lambda: BEFORE_THE_FIRST_STEP)
@ranks.agreed()
def prepare(config: TrainConfig, run: Run) -> dict[str, Held]:
    """What may refuse a run and computes: it comes before anything of an earlier run is deleted.

    Returns:
        The samples that validation measures, of each modality.

    Raises:
        LuminaError: the folder cannot be written, or the data cannot be used.
    """
    folders = (CHECKPOINTS, SAMPLES) if config.sample_every else (CHECKPOINTS,)
    for folder in folders if ranks.rank() == 0 else ():
        check_writable(Path(config.out) / folder)
    run.mixture.advance(run.step)
    run.mixture.pick(run.step)
    held = {}
    for name, source in run.mixture.sources.items():
        # of several modalities nobody says which of them the start was trained on
        is_one = len(run.models) == 1
        of_start = start_samples(config, run.model.modality, run.data_before) if is_one else []
        held[name] = Held(held_samples(config, source), of_start)
    every = [sample for each in held.values() for sample in (*each.own, *each.of_start)]
    encode_captions_ahead(run.model.text_reader, run.mixture, every)
    return held


def train(
    config: TrainConfig, run: Run, sampling: Mapping[str, Sampling], held: Mapping[str, Held]
) -> Path:
    """Train until `max_steps` or until a signal asks to stop; the state is saved either way.

    A second signal stops at once. Nothing is measured or saved at a step that was skipped. What a
    killed run owes of the step that it is resumed at is made first.

    Args:
        config: of the run.
        run: changed in place.
        sampling: of sheets of samples and accuracies, of each modality.
        held: from `prepare`.

    Returns:
        The newest checkpoint.
    """
    out = Path(config.out)
    pace = Pace()
    with (
        when_interrupted(lambda: _kept(run, config)),
        stop_on_signal() as is_stopped,
        board(out, run.step)
        if config.tensorboard and ranks.rank() == 0
        else nullcontext() as written_too,
        TrainingBar(config.max_steps, run.step) as bar,
        Saver(Kept(config.keep_last, config.keep_every), new_group()) as saver,
    ):
        log = MetricsLog(out / METRICS, run.step, written_too)

        def measure(done: Collection[str] = ()) -> None:
            if not any(is_due(run.step, e) for e in (config.validate_every, config.evaluate_every)):
                return
            models = averaged(run)
            with ranks.agreed():
                found = measures(models, run.step, config, sampling, held, is_stopped, done)
                for metrics, text in found if ranks.rank() == 0 else ():
                    log.write(metrics)
                    bar.say(text + before(metrics, log.begun))

        def write_line() -> None:
            left = pace.seconds_left(config.max_steps - run.step)
            line = _line(run, config) | {"seconds_left": left}
            with ranks.agreed():
                log.write(line)
            bar.show_line(line)

        is_skipped = bool(log.recorded & {NOT_FINITE, EMPTY})
        if (run.step or config.init_from) and not is_skipped:
            measure(log.recorded)  # a kill may have come before these
            if run.step and has_sheet(run, config):
                save_samples(run, config, sampling, only_missing=True)
        while run.step < config.max_steps and not ranks.any_rank(is_stopped() or saver.has_failed):
            place = run.mixture.place
            metrics = training_step(run, config)
            if "loss" not in metrics:
                is_empty = EMPTY in metrics
                reason = "no sample" if is_empty else f"{metrics[NOT_FINITE]} not finite"
                with ranks.agreed():
                    log.write(metrics)
                    bar.say(f"warning: step {run.step} skipped: {reason}")
                    num_in_a_row = 0 if is_empty else run.num_skipped_in_a_row
                    has_enough = num_in_a_row >= config.max_nonfinite_steps
                    if has_enough and ranks.rank() == 0:
                        stop_at_bad_batch(run, config, place)
                continue
            pace.step(metrics["seconds"])
            bar.show(run.step, metrics["loss"])
            # one before each checkpoint, too: a run that goes on from there measures on from zero
            dues = (config.log_every, config.save_every, config.max_steps)
            if any(is_due(run.step, every) for every in dues):
                write_line()
            with pace.beside():
                measure()
                if is_due(run.step, config.save_every):
                    save_checkpoint(run, config, saver)
                if has_sheet(run, config):
                    save_samples(run, config, sampling)
        if run.meter.num_steps:  # it was stopped
            write_line()
        return save_checkpoint(run, config, saver)


def _line(run: Run, config: TrainConfig) -> dict[str, Any]:
    """What the log says of the steps since its last line, at least one."""
    rate = config.optimizer.rate_at(run.step - 1, config.max_steps)
    return {
        "step": run.step,
        **run.measured.take(),
        "learning_rate": rate * config.optimizer.learning_rate,
        **run.meter.take(1 if run.mesh is None else run.mesh.axes.num_alike),
        "num_skipped": run.num_skipped,
    }


def has_sheet(run: Run, config: TrainConfig) -> bool:
    """Whether the step has a sheet of samples."""
    return is_due(run.step, config.sample_every) and config.num_sample_prompts > 0


def sheet_path(run: Run, config: TrainConfig, name: str) -> Path:
    """Where the sheet of a modality at the step is."""
    of_whom = f"-{name}" if len(run.models) > 1 else ""
    return Path(config.out) / SAMPLES / f"step-{run.step:07d}{of_whom}.png"


def save_samples(
    run: Run,
    config: TrainConfig,
    sampling: Mapping[str, Sampling],
    *,
    only_missing: bool = False,
) -> None:
    """Generate from fixed prompts and seeds, with the function that `run` uses; rank 0 does it."""
    models = averaged(run)
    with ranks.agreed():
        for name, model in models.items() if ranks.rank() == 0 else ():
            if not (only_missing and sheet_path(run, config, name).exists()):
                _save_sheet(model, run, config, sampling[name])


def _save_sheet(averaged_model: Model, run: Run, config: TrainConfig, sampling: Sampling) -> None:
    name = averaged_model.name
    # in float32, as not every backend computes
    model = replace(averaged_model, attention="auto")
    source, options = run.mixture.sources[name], config.members[name].options
    captions = source.captions(config.num_sample_prompts, seeded(config.seed))
    variants = source.variants()
    requests = [
        Request(
            *(caption, "", config.seed + number),
            replace(options, **variants[number % len(variants)]),
        )
        for number, caption in enumerate(captions)
    ]
    with autocast(model.device, sampling_dtype(config)):
        made = sample(model, requests, sampling)
    previews = [
        model.modality.decoder.preview(item.media, request.options)
        for item, request in zip(made, requests, strict=True)
    ]
    prompts = [request.prompt for request in requests]
    save_contact_sheet(sheet_path(run, config, name), previews, prompts)


def _kept(run: Run, config: TrainConfig) -> str:
    """What is left of a run that is interrupted before it could save, and how it goes on."""
    found = finished_checkpoints(Path(config.out))
    kept = f"the checkpoint {found[-1].name} is kept" if found else "no checkpoint was saved yet"
    return (
        f"at step {run.step} of {config.max_steps}, without saving; {kept}, go on with: "
        f"{resume_command(config.out)}"
    )
