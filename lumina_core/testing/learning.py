"""Whether a network can learn a modality: `doctor NAME --learn`.

The contract says whether a plugin is whole. A plugin that is whole may still learn nothing, because
captions hardly decide its latents. This looks at the latents of its world, then trains for two
minutes, and says of each number whether it is that of modalities that learn.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import log
from pathlib import Path
from typing import Any

import torch

from lumina_core.checkpoints.vae_folder import modality_with_vae
from lumina_core.data.settings import SyntheticConfig
from lumina_core.data.source import CaptionedSample
from lumina_core.data.synthetic import longest_sample, trained_split, world_of
from lumina_core.errors import LuminaError, when_interrupted
from lumina_core.flow.settings import TimeConfig
from lumina_core.modality import Modality
from lumina_core.runtime import seeded
from lumina_core.terminal import tell
from lumina_core.training.compose import compose_train
from lumina_core.training.latents import (
    FAULT,
    GOOD,
    SEED,
    WARNING,
    Finding,
    drawn_latents,
    latent_findings,
    smallest_variant,
)
from lumina_core.training.settings import TrainConfig
from lumina_core.training.start import Run, averaged, start
from lumina_core.training.step import training_step
from lumina_core.training.validation import (
    caption_gap,
    validation_loss,
    validation_samples,
    with_other_captions,
)

NOISE, NUM_NOISY = 0.1, 48  # what is left of noise in a latent that is made, and how many
MIN_RIGHT, MIN_HALF_RIGHT = 0.9, 0.5  # of noisy round trips, by the oracle
TRAIN_SECONDS = 120.0  # of a CPU, at most
CHECK_SECONDS = 30.0  # after so many each the gap is looked at, and a clear one ends the training
TOKEN_BUDGET, POOL_SIZE, REFRESH, WARMUP_STEPS = 800, 256, 1, 20  # of that training, at most
TIME, NUM_HELD = 0.05, 96  # of the caption gap: hardly more than noise, so only a caption can tell
TIME_STD = 0.3  # of the logit of times: 0.03 to 0.08 in training
# After 30 to 60 CPU seconds the project's worlds have a gap of 0.27 to 0.65, and one that grows; a
# piano-roll, of which captions explain a fiftieth, had 0.0001 after 15 and 0.029 after 120.
SMALL_GAP, NO_GAP = 0.2, 0.05


def learn_findings(name: str, vae: Path | None = None) -> Iterator[Finding]:
    """What keeps a modality from being learned, or that nothing does; one after another.

    One thread computes, and nothing is written.

    Args:
        name: of an installed modality.
        vae: folder of its autoencoder; None: that of its demo.

    Raises:
        LuminaError: the modality cannot be used, or has no world, so that nothing can be examined.
    """
    where = [] if vae is None else [f"modality.vae={vae}"]
    config = compose_train([f"+modality={name}", "data=synthetic", "device=cpu", *where])
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with when_interrupted(lambda: "before the last finding; nothing was written"):
            modality = _examined(config)
            token_dim, width = modality.tokenizer.token_dim, config.backbone.hidden_size
            yield from latent_findings(drawn_latents(modality), token_dim, width)
            yield noise_finding(modality)
            yield gap_finding(modality, config)
    finally:
        torch.set_num_threads(num_threads)


def _examined(config: TrainConfig) -> Modality:
    try:
        modality = modality_with_vae(config.modality, config.options, download=False)
        world_of(modality)
    except LuminaError as error:
        raise LuminaError(f"{config.modality} cannot be examined: {error}") from error
    return modality


def noise_finding(modality: Modality) -> Finding:
    """Whether the oracle still finds media right whose latents got a little noise."""
    world, generator = world_of(modality), seeded(SEED, 1)
    options = replace(modality.options, **smallest_variant(modality))
    num_right = 0
    for _ in range(NUM_NOISY):
        caption = world.caption(trained_split(world), generator)
        latent = modality.vae.encode(world.draw(caption, options, generator)).cpu()
        noisy = latent + NOISE * torch.randn(latent.shape, generator=generator)
        num_right += _is_right(world, modality.decode(noisy, options), caption, options)
    share = num_right / NUM_NOISY
    return Finding(
        "noisy_round_trips",
        share,
        FAULT if share < MIN_HALF_RIGHT else WARNING if share < MIN_RIGHT else GOOD,
        f"the oracle finds {share:.0%} right of what comes back with noise of {NOISE:g} std",
        "let what differs in meaning lie further apart in the latent, and decode to the nearest",
    )


def _is_right(world: Any, media: Any, caption: str, options: Any) -> bool:
    return all(world.judge(media, caption, options).values())


def gap_finding(modality: Modality, config: TrainConfig) -> Finding:
    """Whether a network begins to heed captions: trains it as the modality recommends, but small.

    Args:
        modality: its parts.
        config: what `train` would do.
    """
    config = brief(config, modality)
    run = start(config)
    try:
        return _gap(run, config)
    finally:
        run.mixture.close()


def brief(config: TrainConfig, modality: Modality) -> TrainConfig:
    """The settings with which a slow modality, too, can show in TRAIN_SECONDS that it is learned.

    Samples have the smallest size, batches are small, few samples are drawn, and the rate of
    learning rises at once. Each sample has its caption and hardly anything else: all times are
    near noise, and no part is given.
    """
    assert isinstance(config.data, SyntheticConfig)
    size = longest_sample(modality, [smallest_variant(modality)], separators=False)
    most = {"pool_size": POOL_SIZE, "refresh_per_step": REFRESH}
    fewer = {key: min(getattr(config.data, key), limit) for key, limit in most.items()}
    return replace(
        config,
        token_budget=min(config.token_budget, TOKEN_BUDGET),
        caption_dropout=0.0,
        condition_share=0.0,
        time=TimeConfig(mean=log(TIME / (1 - TIME)), std=TIME_STD),
        data=replace(config.data, max_tokens=size, **fewer),
        optimizer=replace(config.optimizer, warmup_steps=WARMUP_STEPS),
    )


def _gap(run: Run, config: TrainConfig) -> Finding:
    (source,) = run.mixture.sources.values()
    tell(f"note: training for at most {TRAIN_SECONDS:g} CPU seconds")
    samples = validation_samples(source, NUM_HELD)
    trained, gap = 0.0, 0.0
    while run.step < config.max_steps and trained < TRAIN_SECONDS and gap < SMALL_GAP:
        started, before = time.process_time(), trained
        while run.step < config.max_steps and trained < before + CHECK_SECONDS:
            training_step(run, config)
            trained = before + time.process_time() - started
        gap = _gap_on(samples, run, config)
    return Finding(
        "caption_gap",
        gap,
        FAULT if gap < NO_GAP else WARNING if gap < SMALL_GAP else GOOD,
        f"after {trained:.0f} CPU seconds, {run.step} steps, the loss at t = {TIME:g} is {gap:.1%} "
        "larger with captions of others",
        "mend what stands above; if all of it is good, let fewer things be random that no caption "
        "names",
    )


def _gap_on(samples: Sequence[CaptionedSample], run: Run, config: TrainConfig) -> float:
    """How much larger the loss of the averaged weights is with captions of others."""
    model = averaged(run)[config.modality]
    right, shuffled = (
        validation_loss(
            model, of, [TIME], SEED, token_budget=config.token_budget, dtype=config.dtype
        )
        for of in (samples, with_other_captions(samples) or samples)
    )
    (gap,) = caption_gap(right, shuffled).values()
    return gap
