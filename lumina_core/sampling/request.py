"""One sample to make, and what is written of it into its file."""

import hashlib
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from torch import Tensor

from lumina_core import __version__
from lumina_core.checkpoints.model import Model
from lumina_core.plugins import host
from lumina_core.records import EXACT, fixed_names, told
from lumina_core.runtime import arithmetic
from lumina_core.sampling.adapters import ADAPTERS
from lumina_core.sampling.given import GivenTokens
from lumina_core.sampling.resolution import at_size
from lumina_core.sampling.settings import SAMPLING_SETTINGS, Sampling


@dataclass(frozen=True)
class Request:
    """One sample to make."""

    prompt: str
    negative_prompt: str
    seed: int
    options: Any
    """Of the modality: what size the medium has."""
    given: GivenTokens | None = None
    """What the medium is made from, beside the prompt."""
    regions: tuple[int, int] | None = None
    """Rows and columns of cells that read one part of the prompt each; None: one prompt."""


def latent_shape(model: Model, options: Any) -> tuple[int, int, int, int]:
    """Shape of the latent of a medium with these options.

    Raises:
        LuminaError: the modality has no medium of that size.
    """
    return model.modality.vae.latent_shape(model.modality.media_shape(options))


def num_patches(model: Model, options: Any) -> int:
    """Positions of a sample with these options that carry content."""
    return model.modality.tokenizer.grid(latent_shape(model, options)).num_patches


def num_positions(model: Model, options: Any) -> int:
    """Positions of a sample with these options, separators included."""
    grid = model.modality.tokenizer.grid(latent_shape(model, options))
    return grid.num_positions(model.backbone.separators)


def sampling_at(model: Model, options: Any, sampling: Sampling) -> Sampling:
    """How a medium with these options is made, by speed and size; see resolution.py."""
    return at_size(sampling.at_speed(), num_patches(model, options), model.config)


def media_sha256(media: Tensor) -> str:
    """Hash of a medium before any container: its type, shape and bytes."""
    array = media.detach().cpu().contiguous()
    header = f"{str(array.dtype).removeprefix('torch.')} {tuple(array.shape)}\n"
    return hashlib.sha256(header.encode() + array.numpy().tobytes()).hexdigest()


def describe(model: Model, request: Request, sampling: Sampling, dtype: str) -> dict[str, Any]:
    """The request of one sample as it stands inside its file: no date, no path."""
    sampling = sampling_at(model, request.options, sampling)
    fixed = fixed_names(request.options)
    options = {key: value for key, value in told(request.options).items() if key not in fixed}
    return {
        "modality": model.name,
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        **({} if request.regions is None else {"regions": request.regions}),
        "seed": request.seed,
        "options": options,
        "condition": None if request.given is None else request.given.request,
        **{key: value for key, value in told(sampling).items() if key in SAMPLING_SETTINGS},
        "dtype": dtype,
        **({} if model.quantise == EXACT else {"quantise": model.quantise}),
        "checkpoint_sha256": model.checkpoint_sha256,
        **({ADAPTERS: [each.told for each in model.adapters]} if model.adapters else {}),
        "versions": versions_of(model),
    }


def versions_of(model: Model) -> dict[str, str]:
    """What the last bits of a medium depend on beside its request."""
    plugin = host.find(model.name)
    return {
        "lumina-core": __version__,
        "torch": metadata.version("torch"),
        plugin.package: plugin.version,
        "arithmetic": arithmetic(model.device),
    }
