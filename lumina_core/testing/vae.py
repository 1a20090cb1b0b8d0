"""Rules about a VAE: media to latents and back."""

import dataclasses
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lumina_core.errors import LuminaError
from lumina_core.runtime import seeded
from lumina_core.testing.contract import NotApplicableError, demand, rule
from lumina_core.testing.memory import peak_bytes
from lumina_core.testing.subject import Sample, Subject

MAX_MEAN, STDS = 0.5, (0.5, 1.6)  # of a channel of the latents of the world
MAX_OVERALL_MEAN, OVERALL_STDS = 0.25, (0.75, 1.3)  # of all channels together
NUM_LATENTS = 24
NUM_ROUND_TRIPS = 12
MIN_RIGHT = 0.75  # of round trips that the oracle accepts
WILD, MAX_FURTHER = (20, 400), 1.5  # latents many times too large, and what they may add
STRETCHES = (1.05, 1.1, 1.25, 1.5)
NUM_TURNS, MAX_SECONDS = 300, 0.7  # of two threads
SWITCH_SECONDS = 1e-5  # between threads
MIN_VALUES = 1000  # of media whose memory is measured
GROWTH = 4  # of one side or duration, to measure memory
MAX_GROWTH = 1.6  # of memory, beyond the growth of the media
MIN_BYTES = 1 << 20  # below, what does not grow decides
WEIGHTS = ("*.safetensors", "*.bin", "*.pt")


@rule
def latents_have_the_shape_they_are_said_to(subject: Subject) -> None:
    """`latent_shape` tells the shape of a latent, a float32 (channels, frames, height, width)."""
    for sample in subject.samples:
        told = tuple(subject.modality.vae.latent_shape(tuple(sample.media.shape)))
        demand(
            tuple(sample.latent.shape) == told and len(told) == 4,
            f"latent_shape says {told}, encode makes {tuple(sample.latent.shape)}",
            "let encode make what latent_shape says, with four axes",
        )
        demand(
            sample.latent.dtype == torch.float32 and bool(sample.latent.isfinite().all()),
            f"the latent is {sample.latent.dtype} or not finite",
            "return finite float32 numbers",
        )


@rule
def media_come_back(subject: Subject) -> None:
    """Decoding a latent gives media of the shape and the dtype that were encoded."""
    for sample in subject.samples:
        made = subject.decoded(sample.latent, sample.options)
        demand(
            made.shape == sample.media.shape and made.dtype == sample.media.dtype,
            f"{sample.media.dtype} {tuple(sample.media.shape)} comes back as {made.dtype} "
            f"{tuple(made.shape)}",
            "trim what was rounded up, and return the world's dtype",
        )
        demand(made.device.type == "cpu", f"media are on {made.device}", "bring them to the CPU")


@rule
def vae_is_deterministic(subject: Subject) -> None:
    """Encoding twice gives the same latent, and decoding twice the same media, to the bit."""
    for sample in subject.samples:
        again = subject.modality.vae.encode(sample.media)
        demand(
            torch.equal(again.cpu(), sample.latent),
            "encoding twice gives two latents",
            "use the mean of the posterior, never a sample of it",
        )
        one, other = (subject.decoded(sample.latent, sample.options) for _ in range(2))
        demand(
            torch.equal(one, other),
            "decoding twice gives two media",
            "take randomness from nowhere, and keep no state between calls",
        )


@rule
def samples_do_not_depend_on_each_other(subject: Subject) -> None:
    """What was encoded or decoded before changes nothing."""
    latents = [(sign * one.latent, one) for one in subject.samples for sign in (1, -1)]
    dim = [(one.media / 2).to(one.media.dtype) for one in subject.samples]
    media = [one.media for one in subject.samples] + dim
    modality = subject.new_modality()
    encoded = [modality.vae.encode(one).cpu() for one in media]
    decoded = [subject.decoded(latent, one.options, modality) for latent, one in latents]
    modality = subject.new_modality()  # decodes first, and both the other way round
    other_decoded = [
        subject.decoded(latent, one.options, modality) for latent, one in reversed(latents)
    ]
    other_encoded = [modality.vae.encode(one).cpu() for one in reversed(media)]
    found = (*encoded, *decoded)
    other = (*reversed(other_encoded), *reversed(other_decoded))
    demand(
        all(torch.equal(a, b) for a, b in zip(found, other, strict=True)),
        "a medium comes out differently after others were made",
        "keep nothing of one call for the next",
    )


@rule
def vae_leaves_its_input_alone(subject: Subject) -> None:
    """Neither encoding nor decoding changes what it is given."""
    for sample in subject.samples:
        media, latent = sample.media.clone(), sample.latent.clone()
        subject.modality.vae.encode(media)
        subject.decoded(latent, sample.options)
        demand(
            torch.equal(media, sample.media) and torch.equal(latent, sample.latent),
            "encoding or decoding changes its input",
            "work on a copy; write nothing in place",
        )


@rule
def latents_are_normalised(subject: Subject) -> None:
    """Latents of the plugin's own media have about zero mean and unit variance in each channel."""
    latents = [
        subject.modality.vae.encode(sample.media).cpu().flatten(1)
        for sample in subject.drawn(NUM_LATENTS)
    ]
    values = torch.cat(latents, dim=1)
    advice = "subtract the mean and divide by the standard deviation of many media"
    for number, channel in enumerate(values):
        mean, std = channel.mean().item(), channel.std().item()
        demand(
            abs(mean) <= MAX_MEAN and STDS[0] <= std <= STDS[1],
            f"channel {number} has mean {mean:.2f} and standard deviation {std:.2f}",
            advice,
        )
    mean, std = values.mean().item(), values.std().item()
    demand(
        abs(mean) <= MAX_OVERALL_MEAN and OVERALL_STDS[0] <= std <= OVERALL_STDS[1],
        f"all channels together have mean {mean:.2f} and standard deviation {std:.2f}",
        advice,
    )


@rule
def oracle_recognises_round_trips(subject: Subject) -> None:
    """Media that were encoded and decoded still show their caption, in three of four cases."""
    right, total = 0, 0
    for sample in subject.drawn(NUM_ROUND_TRIPS):
        latent = subject.modality.vae.encode(sample.media)
        made = subject.decoded(latent, sample.options)
        right += all(subject.world.judge(made, sample.caption, sample.options).values())
        total += 1
    demand(
        right >= MIN_RIGHT * total,
        f"the oracle recognises {right} of {total} media after a round trip",
        "use a better autoencoder, or a world that it keeps",
    )


@rule
def wild_latents_become_media(subject: Subject) -> None:
    """Whatever a latent holds becomes media within their range, clamped, never wrapped around."""
    for sample in subject.samples[:2]:
        generator = seeded(3)
        latent = 4 * torch.randn(sample.latent.shape, generator=generator)
        made = subject.decoded(latent, sample.options)
        demand(
            made.shape == sample.media.shape and made.dtype == sample.media.dtype,
            f"a wild latent becomes {made.dtype} {tuple(made.shape)}",
            "decode every latent alike",
        )
        demand(
            bool(made.isfinite().all()),
            "a wild latent becomes numbers that are not finite",
            "clamp",
        )
        large, larger = (
            subject.decoded(x * latent, sample.options).float().abs().max().item() for x in WILD
        )
        demand(
            larger <= MAX_FURTHER * large,
            f"latents of {WILD} become media of up to {large:g} and {larger:g}",
            "clamp",
        )
        usual = subject.decoded(sample.latent, sample.options).float()
        span = _span(sample.media)
        for factor in STRETCHES:
            made = subject.decoded(factor * sample.latent, sample.options).float()
            moved = (made - usual).abs().max().item()
            demand(
                moved <= 0.9 * span,
                f"a latent {factor} times as large moves a value by {moved:g} of {span:g}",
                "clamp before you convert to whole numbers, which wrap around",
            )


@rule
def memory_grows_with_the_size(subject: Subject) -> None:
    """Memory of encoding and decoding grows no faster than the size of the media."""
    for key, small, large in _grown(subject):
        for what, call in (("encoding", _encoding), ("decoding", _decoding)):
            before, after = (peak_bytes(partial(call, subject, one)) for one in (small, large))
            allowed = MAX_GROWTH * large.media.numel() / small.media.numel()
            demand(
                after <= max(allowed * before, MIN_BYTES * allowed),
                f"{what} with {GROWTH} times the {key} takes {after / before:.1f} times the memory "
                f"({after / 1e6:.0f} MB)",
                "work through large media in pieces",
            )


@rule
def weights_wait_for_their_use(subject: Subject) -> None:
    """The modality tells shapes and grids without its weights, which are read at the first use."""
    if subject.vae_folder is None:
        raise NotApplicableError("it has no weights")
    folder = subject.new_folder() / "vae"
    shutil.copytree(subject.vae_folder, folder, ignore=shutil.ignore_patterns(*WEIGHTS))
    modality = subject.new_modality(folder)
    for sample in subject.samples:
        shape = modality.vae.latent_shape(tuple(modality.media_shape(sample.options)))
        demand(
            modality.tokenizer.grid(shape) == sample.grid,
            "without its weights the modality tells another grid",
            "let shapes follow from the config alone",
        )


@rule
def threads_share_the_parts(subject: Subject) -> None:
    """Two threads that encode and decode at once get what one alone gets."""
    modality = subject.new_modality()
    samples = subject.samples[0], subject.samples[-1]
    wanted = [subject.modality.vae.decode(one.latent) for one in samples]
    found: list[bool] = []
    end = time.monotonic() + MAX_SECONDS

    def work(sample: Sample, media: Tensor) -> None:
        is_same = True
        for turn in range(NUM_TURNS):
            if turn and time.monotonic() > end:
                break
            is_same &= torch.equal(modality.vae.encode(sample.media).cpu(), sample.latent)
            is_same &= torch.equal(modality.vae.decode(sample.latent), media)
        found.append(is_same)

    threads = [threading.Thread(target=work, args=one) for one in zip(samples, wanted, strict=True)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    demand(len(found) == 2, "a thread failed", "guard what is read at the first use by a lock")
    demand(
        all(found), "a thread gets what it would not alone", "keep nothing of a call on the object"
    )


def _span(media: Tensor) -> float:
    """Between the least and the largest value that media of this dtype hold."""
    if media.is_floating_point():
        return float(media.max() - media.min())
    return float(torch.iinfo(media.dtype).max - torch.iinfo(media.dtype).min)


def _encoding(subject: Subject, sample: Sample) -> Tensor:
    return subject.modality.vae.encode(sample.media)


def _decoding(subject: Subject, sample: Sample) -> Tensor:
    return subject.decoded(sample.latent, sample.options)


def _drawn(subject: Subject, caption: str, options: Any) -> Sample:
    media = subject.world.draw(caption, options, seeded(4))
    latent = subject.modality.vae.encode(media).cpu()
    return Sample(caption, options, media, latent, subject.grid_of(options))


def _grown(subject: Subject) -> Iterator[tuple[str, Sample, Sample]]:
    """A medium and a larger one, for each option that makes it so."""
    first = subject.samples[0]
    num_found = 0
    for field in dataclasses.fields(first.options):
        value = getattr(first.options, field.name)
        is_number = type(value) in (int, float) and not field.metadata.get("architecture")
        if not is_number or value <= 0:
            continue
        factor = max(1, -(-MIN_VALUES // first.media.numel()))
        try:
            small, large = (
                replace(first.options, **{field.name: value * times})
                for times in (factor, factor * GROWTH)
            )
            grids = subject.grid_of(small), subject.grid_of(large)
        except LuminaError:
            continue
        if grids[1].num_patches < 2 * grids[0].num_patches:
            continue
        num_found += 1
        made = [_drawn(subject, first.caption, one) for one in (small, large)]
        yield field.name, made[0], made[1]
    if not num_found:
        raise NotApplicableError("no option makes its media larger")
