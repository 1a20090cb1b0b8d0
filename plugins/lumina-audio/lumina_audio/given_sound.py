"""A given sound: one that goes on, or one with a gap to be filled.

What is not known is silence before encoding, so that the model sees nothing of what it is to
replace.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from jaxtyping import Bool
from torch import Tensor

from lumina_audio.options import AudioCondition, AudioOptions
from lumina_audio.samples import Sound
from lumina_core import LuminaError


def place(
    wanted: AudioCondition, options: AudioOptions, read: Callable[[Path, int], Sound]
) -> tuple[Sound, Bool[Tensor, "sample"]]:
    """Put the given sound into one of the duration to make.

    Args:
        wanted: the file, and which part of it is given.
        options: of the sound to make.
        read: gives the beginning of a file, of at most so many samples.

    Returns:
        The sound, silent where nothing is given, and which of its samples are given.

    Raises:
        LuminaError: the file cannot be read, is longer than the sound to make or shorter than what
            is asked of it, or the gap lies outside it.
    """
    assert wanted.sound is not None  # checked by the record
    length, rate = options.num_samples, options.sample_rate
    asked = length if wanted.seconds is None else round(wanted.seconds * rate)
    if asked > length:
        raise LuminaError(
            f"condition.seconds={wanted.seconds:g} is more than the {options.seconds:g} s of the "
            "sound to make; give less, or set a larger modality.seconds"
        )
    found = read(Path(wanted.sound), asked + 1)
    there = found.shape[-1]
    if wanted.seconds is None and there > length:
        raise LuminaError(
            f"condition.sound={wanted.sound} is longer than the {options.seconds:g} s of the sound "
            "to make; set condition.seconds to how much of it is given, or modality.seconds"
        )
    if wanted.seconds is not None and there < asked:
        raise LuminaError(
            f"condition.seconds={wanted.seconds:g}, but {wanted.sound} has {there / rate:g} s"
        )
    known = torch.zeros(length, dtype=torch.bool)
    known[: min(asked, there)] = True
    if wanted.gap is not None:
        start, end = (round(moment * rate) for moment in wanted.gap)
        if start >= there:
            raise LuminaError(
                f"condition.gap={list(wanted.gap)} begins behind the end of {wanted.sound}, which "
                f"has {there / rate:g} s"
            )
        if end > length:
            raise LuminaError(
                f"condition.gap={list(wanted.gap)} ends behind the {options.seconds:g} s of the "
                "sound to make; end it there, or set a larger modality.seconds"
            )
        known[start:end] = False
    sound = torch.zeros(options.shape, dtype=found.dtype)
    sound[..., known] = found[..., :length][..., known[:there]]
    return sound, known


def known_cells(
    known: Bool[Tensor, "sample"], num_cells: int, samples_per_cell: int
) -> Bool[Tensor, "cell"]:
    """Cells of the latent along time of which every sample is given.

    What lies behind the end of the sound is silence that nobody hears; it is as known as the last
    sample.
    """
    missing = num_cells * samples_per_cell - len(known)
    filled = torch.cat([known, known[-1:].expand(missing)])
    return filled.reshape(num_cells, samples_per_cell).all(dim=1)
