"""Whether a network can learn a modality: `doctor NAME --learn`.

The contract says whether a plugin is whole. A plugin that is whole may still learn nothing, because
captions hardly decide its latents. This looks at the latents of its world, then trains for two
minutes, and says of each number whether it is that of modalities that learn.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from lumina_core.data.synthetic import trained_split, world_of
from lumina_core.errors import LuminaError, when_interrupted
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
from lumina_core.training.start import Run, start
from lumina_core.training.step import training_step
from lumina_core.training.validation import (
    caption_gap,
    validation_loss,
    validation_samples,
    with_other_captions,
)

NOISE, NUM_NOISY = 0.1, 48  # what is left of noise in a latent that is made, and how many
MIN_RIGHT, MIN_HALF_RIGHT = 0.9, 0.5  # of noisy round trips, by the oracle
TRAIN_SECONDS = 120.0  # of a CPU
TIME, NUM_HELD = 0.05, 96  # of the caption gap: hardly more than noise, so only a caption can tell
# A piano-roll had 0.0013 after 72 seconds and 0.03 after 420, the same melodies with a token for
# each note 0.7 to 1.7; what learns best has more than 2. So no gap of the first kind passes, and
# none of the second is blamed.
SMALL_GAP, NO_GAP = 0.5, 0.1


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
            run = _begun(config)
            try:
                yield from findings_of(run, config)
            finally:
                run.mixture.close()
    finally:
        torch.set_num_threads(num_threads)


def _begun(config: TrainConfig) -> Run:
    try:
        return start(config)
    except LuminaError as error:
        raise LuminaError(f"{config.modality} cannot be examined: {error}") from error


def findings_of(run: Run, config: TrainConfig) -> Iterator[Finding]:
    """The same of a run before its first step, which it trains."""
    modality = run.model.modality
    token_dim = modality.tokenizer.token_dim
    yield from latent_findings(drawn_latents(modality), token_dim, config.backbone.hidden_size)
    yield noise_finding(modality)
    yield gap_finding(run, config)


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


def gap_finding(run: Run, config: TrainConfig) -> Finding:
    """Whether a network begins to heed captions: trains it with its own recommended settings."""
    (source,) = run.mixture.sources.values()
    tell(f"note: training for {TRAIN_SECONDS:g} CPU seconds")
    started = time.process_time()
    while run.step < config.max_steps and time.process_time() - started < TRAIN_SECONDS:
        training_step(run, config)
    samples = validation_samples(source, NUM_HELD)
    right, shuffled = (
        validation_loss(
            run.model, of, [TIME], SEED, token_budget=config.token_budget, dtype=config.dtype
        )
        for of in (samples, with_other_captions(samples) or samples)
    )
    (gap,) = caption_gap(right, shuffled).values()
    return Finding(
        "caption_gap",
        gap,
        FAULT if gap < NO_GAP else WARNING if gap < SMALL_GAP else GOOD,
        f"after {run.step} steps the loss at t = {TIME:g} is {gap:.2%} larger with captions of "
        "others",
        "mend what stands above; if all of it is good, let fewer things be random that no caption "
        "names",
    )
