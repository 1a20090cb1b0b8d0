"""Rules about a VAE: media to latents and back."""

import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import pairwise
from math import prod
from typing import Any

import torch
from torch import Tensor

from lumina_core.errors import LuminaError, reason_of
from lumina_core.runtime import seeded
from lumina_core.testing.memory import peak_bytes
from lumina_core.testing.rules import builds_on, rule
from lumina_core.testing.samples import Sample, growing_keys, medium
from lumina_core.testing.subject import Subject
from lumina_core.testing.verdicts import BrokenRuleError, NotApplicableError, demand

MAX_MEAN, STDS = 0.5, (0.5, 1.6)  # of a channel of the latents of the world
MAX_OVERALL_MEAN, OVERALL_STDS = 0.25, (0.75, 1.3)  # of all channels together
NUM_LATENTS = 24
NUM_ROUND_TRIPS = 12
MIN_RIGHT = 0.75  # of round trips that the oracle accepts
WILD, MAX_FURTHER = (20, 400), 1.5  # latents many times too large, and what they may add
STRETCHES = (1.05, 1.1, 1.25, 1.5)
NUM_TURNS, MAX_SECONDS = 300, 0.7  # of two threads
SWITCH_SECONDS = 1e-5  # between threads
MIN_VALUES, MAX_VALUES = 1000, 1 << 16  # of media whose memory is measured
MAX_GROWTH = 1.2  # of memory, beyond the growth of the media
FREE_BYTES = 1 << 17  # that no size explains
MAX_MOVED = 0.9  # of the range of a dtype, by a latent that is a little larger
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
@builds_on("vae_is_deterministic")
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
    _ = subject.world  # whose media these are; random latents are normalised whatever encode does
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
    world, right, total = subject.world, 0, 0
    for sample in subject.drawn(NUM_ROUND_TRIPS):
        latent = subject.modality.vae.encode(sample.media)
        made = subject.decoded(latent, sample.options)
        right += all(world.judge(made, sample.caption, sample.options).values())
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
        _does_not_wrap_around(subject, sample)


@rule
def memory_grows_with_the_size(subject: Subject) -> None:
    """Memory of encoding and decoding grows no faster than the size of the media."""
    options = subject.samples[0].options
    keys = growing_keys(subject.modality, options)
    if not keys:
        raise NotApplicableError("no option makes its media larger")
    for key in keys:
        measured = (_measured(subject, one) for one in _doublings(subject, options, key))
        for (size, small), (larger, large) in pairwise(measured):
            growth = larger / size
            for what, least in small.items():
                demand(
                    large[what] <= MAX_GROWTH * growth * least + FREE_BYTES,
                    f"{what} with {growth:g} times the {key} takes {large[what] / least:.1f} times "
                    f"the memory ({large[what] / 1e6:.1f} MB)",
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
def vae_goes_to_a_device(subject: Subject) -> None:
    """`to` returns the VAE, which makes the same there."""
    sample = subject.samples[0]
    vae = subject.new_modality().vae
    remedy = "return self, and use the device from then on"
    try:
        moved = vae.to(torch.device("cpu"))
        latent = moved.encode(sample.media).cpu()
    except Exception as error:
        raise BrokenRuleError(
            f"to(device) and encode raise {type(error).__name__}: {reason_of(error)}; {remedy}"
        ) from error
    demand(torch.equal(latent, sample.latent), "after to(device) another latent is made", remedy)


@rule
@builds_on("vae_is_deterministic")
def threads_share_the_parts(subject: Subject) -> None:
    """Two threads that encode and decode at once get what one alone gets."""
    modality = subject.new_modality()
    samples = subject.samples[0], subject.samples[-1]
    wanted = [subject.modality.vae.decode(one.latent) for one in samples]
    end = time.monotonic() + MAX_SECONDS

    def work(sample: Sample, media: Tensor) -> bool:
        is_same = True
        for turn in range(NUM_TURNS):
            if turn and time.monotonic() > end:
                break
            is_same &= torch.equal(modality.vae.encode(sample.media).cpu(), sample.latent)
            is_same &= torch.equal(modality.vae.decode(sample.latent), media)
        return is_same

    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        with ThreadPoolExecutor(len(samples)) as threads:
            found = list(threads.map(work, samples, wanted))
    except Exception as error:
        raise BrokenRuleError(
            f"a thread raises {type(error).__name__}: {reason_of(error)}; guard what is read at "
            "the first use by a lock"
        ) from error
    finally:
        sys.setswitchinterval(interval)
    demand(
        all(found), "a thread gets what it would not alone", "keep nothing of a call on the object"
    )


def _does_not_wrap_around(subject: Subject, sample: Sample) -> None:
    """Latents a little larger move no whole number from one end of its dtype to the other."""
    dtype = sample.media.dtype
    if dtype.is_floating_point or dtype == torch.bool:
        return
    span = torch.iinfo(dtype).max - torch.iinfo(dtype).min
    usual = subject.decoded(sample.latent, sample.options).double()
    for factor in STRETCHES:
        made = subject.decoded(factor * sample.latent, sample.options).double()
        moved = (made - usual).abs().max().item()
        demand(
            moved <= MAX_MOVED * span,
            f"a latent {factor} times as large moves a value by {moved:g} of {span:g}",
            "clamp before you convert to whole numbers, which wrap around",
        )


def _measured(subject: Subject, sample: Sample) -> tuple[int, dict[str, int]]:
    """The size of a medium, and the memory in bytes of each way."""
    return sample.media.numel(), {
        "encoding": peak_bytes(partial(subject.modality.vae.encode, sample.media)),
        "decoding": peak_bytes(partial(subject.decoded, sample.latent, sample.options)),
    }


def _doublings(subject: Subject, options: Any, key: str) -> Iterator[Sample]:
    """Media whose size doubles from MIN_VALUES to MAX_VALUES, or as far as it may; at least two."""
    value, num_made = getattr(options, key), 0
    while True:
        try:
            one = replace(options, **{key: value})
            grid = subject.grid_of(one)
            size = prod(subject.modality.media_shape(one))
        except LuminaError:
            return
        if size > MAX_VALUES and num_made >= 2:
            return
        if size >= MIN_VALUES:
            num_made += 1
            caption, media = medium(subject.modality, one, seeded(4))
            yield Sample(caption, one, media, subject.modality.vae.encode(media).cpu(), grid)
        value *= 2
