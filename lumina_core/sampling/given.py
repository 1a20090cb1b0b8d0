"""What a request gives beside its prompt, as known tokens: to fill, to continue, to change.

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
from lumina_core.files.hashes import sha256_of
from lumina_core.media.seal import CHANGED, check_undamaged, state_of
from lumina_core.records import file_names
from lumina_core.sampling.settings import Condition

if TYPE_CHECKING:
    from lumina_core.checkpoints.model import Model


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
