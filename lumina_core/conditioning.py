"""Known tokens: the one mechanism behind filling, continuing and editing.

A mask over the patches of a sample says which are given. Given patches enter clean, at t = 1, as a
segment of their own; they carry no loss and are not moved by the solver (sequence.py has the
segments). Nothing here knows what a patch shows.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from einops import repeat
from jaxtyping import Bool, Float
from torch import Tensor

from lumina_core.errors import LuminaError
from lumina_core.files import sha256_of
from lumina_core.records import Settings, file_names, setting
from lumina_core.seal import CHANGED, check_undamaged, state_of
from lumina_core.sequence import Grid

if TYPE_CHECKING:
    from lumina_core.checkpoint import Model

MIN_STRENGTH = 1e-6  # of a request; below it 1 - strength rounds to 1 in float32
CUT_SHARE = 0.5  # how often an axis is cut that need not be: else halves, bands, first frames
INSIDE_SHARE = 0.5  # how often the inside of the box is given; else its surroundings
LEADING_SHARE = 0.5  # how often the first frames of several are given; else a box
ONE_FRAME_SHARE = 0.4  # how often that is the first alone


@dataclass(frozen=True)
class Condition(Settings, block="condition"):
    """What a request gives beside its prompt."""

    strength: float = setting(
        1.0,
        "share of the way that starts from noise; below 1 keeps what is given partly",
        at_least=MIN_STRENGTH,
        at_most=1,
    )
    wanted: Any = None
    """The plugin's own dataclass; None: nothing is given."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.strength < 1 and self.wanted is None:
            raise LuminaError(
                f"condition.strength={self.strength} changes something that is given, and nothing "
                "is; give it too, or leave the strength out"
            )


@dataclass(frozen=True)
class GivenTokens:
    """The tokens of a given medium, which of them are to stay, and where the flow starts."""

    tokens: Float[Tensor, "patch token_dim"]
    known: Bool[Tensor, "patch"]
    start: float
    """Time at which noise and what is given are mixed; 0 is noise alone."""
    request: dict[str, Any]
    """What stands in the files that are made from it."""


def given_tokens(model: "Model", condition: Condition, options: Any) -> GivenTokens | None:
    """Read and encode what a request gives; None where it gives nothing.

    A patch is known only if every cell of the latent in it is. A whole medium from which a strength
    below 1 starts leaves none known.

    Args:
        model: the checkpoint.
        condition: of the request.
        options: of the medium to make.

    Raises:
        LuminaError: a file that cannot be read or does not fit, nothing is left to generate, or
            nothing that is given would be kept.
    """
    if condition.wanted is None:
        return None
    modality = model.modality
    for path in given_files(condition).values():
        check_undamaged(path)
    given = modality.condition(condition.wanted, options)
    latent = modality.vae.encode(given.media)
    cells = repeat(given.known, "f h w -> c f h w", c=len(latent)).float()
    known = modality.tokenizer.tokenize(cells).bool().all(dim=1)
    if known.all():
        if condition.strength == 1:
            raise LuminaError(
                "everything is given and nothing is left to generate; give less of it, set a "
                "condition.strength below 1, or ask for a larger medium"
            )
        known = torch.zeros_like(known)
    elif condition.strength == 1 and not known.any():
        raise LuminaError(
            "nothing of what is given would be kept: a token is kept only if all of it is given; "
            "give more of it, or a condition.strength below 1 to start from it"
        )
    return GivenTokens(
        modality.tokenizer.tokenize(latent).cpu(),
        known.cpu(),
        1 - condition.strength,
        _described(condition),
    )


def _described(condition: Condition) -> dict[str, Any]:
    """The condition as files carry it: numbers, and the hashes of the files it read."""
    names = {f.name: getattr(condition.wanted, f.name) for f in fields(condition.wanted)}
    files = file_names(condition.wanted)
    hashes = {name: sha256_of(path) for name, path in given_files(condition).items()}
    numbers = {name: value for name, value in names.items() if name not in files}
    return {"strength": condition.strength, **numbers, "files": hashes}


def change_notes(condition: Condition) -> Iterator[str]:
    """One line for each given file that was changed since we wrote it."""
    for path in given_files(condition).values():
        if state_of(path) == CHANGED:
            yield f"note: {path} {CHANGED}"


def given_files(condition: Condition) -> dict[str, Path]:
    """The files that a request gives, by their fields."""
    if condition.wanted is None:
        return {}
    names = file_names(condition.wanted)
    found = {name: getattr(condition.wanted, name) for name in names}
    return {name: Path(path) for name, path in found.items() if path is not None}


def draw_known(grid: Grid, generator: torch.Generator) -> Bool[Tensor, "patch"]:
    """Which patches of a training sample are given: its first frames, a random box, or all but one.

    The box takes each axis as a whole or an interval of it, so that halves, bands, holes and
    surroundings all occur. At least one patch is given and one is not, if there are two.

    Args:
        grid: patches along each axis.
        generator: a CPU generator; the only source of randomness.
    """
    sizes = (grid.frames, grid.rows, grid.columns)
    box = torch.ones(sizes, dtype=torch.bool)
    axes = [axis for axis, size in enumerate(sizes) if size > 1]
    if not axes:
        return ~box.flatten()
    if grid.frames > 1 and _chance(LEADING_SHARE, generator):
        count = 1
        if not _chance(ONE_FRAME_SHARE, generator):
            count = int(torch.randint(1, grid.frames, (), generator=generator))
        box[count:] = False
        return box.flatten()
    must_cut = axes[int(torch.randint(len(axes), (), generator=generator))]
    for axis in axes:
        interval = _interval(sizes[axis], generator)
        if axis == must_cut or _chance(CUT_SHARE, generator):
            shape = [size if i == axis else 1 for i, size in enumerate(sizes)]
            box &= interval.reshape(shape)
    return (box if _chance(INSIDE_SHARE, generator) else ~box).flatten()


def _interval(size: int, generator: torch.Generator) -> Bool[Tensor, "place"]:
    """A random interval of an axis: not empty, not all of it."""
    length = int(torch.randint(1, size, (), generator=generator))
    start = int(torch.randint(size - length + 1, (), generator=generator))
    place = torch.arange(size)
    return (place >= start) & (place < start + length)


def _chance(share: float, generator: torch.Generator) -> bool:
    return bool(torch.rand((), generator=generator) < share)
