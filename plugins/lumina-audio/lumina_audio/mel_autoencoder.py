"""The folder of a 1-D VAE of mel spectrograms (mel_vae.py), made by convert_mel_vae.py.

It is like a folder of diffusers: config.json, with the released names of the architecture and the
latent statistics, and the weights under their released names.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from lumina_audio.mel_vae import NUM_GROUPS, MelVAE, MelVAEShape, empty_mel_vae
from lumina_core import LuminaError, built_within
from lumina_core.autoencoder.networks import (
    MAX_LEVELS,
    Autoencoder,
    are_widths,
    is_count,
    statistic_faults,
)

WEIGHTS = "diffusion_pytorch_model.safetensors"
ARCHITECTURE = tuple(MelVAEShape.__dataclass_fields__)
MAX_FACTOR = 64  # of a level's width over `ch`
MAX_KERNEL = 99
NUM_SHOWN = 3  # names of weights in a message


class MelAutoencoder(Autoencoder):
    """Natural logarithms of mel amplitudes <-> latents one column wide, normalised per channel."""

    kind = "MelAutoencoder1D"
    needed = frozenset({*ARCHITECTURE, "scaling_factor"})

    def faults(self, config: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """As in Autoencoder."""
        for key in ("in_channels", "z_channels"):
            if not is_count(config[key]):
                yield key, "a whole number of 1 or more"
        if not (is_count(config["ch"]) and config["ch"] % NUM_GROUPS == 0):
            yield "ch", f"a multiple of {NUM_GROUPS}"
        if not (is_count(config["num_res_blocks"]) and config["num_res_blocks"] <= MAX_LEVELS):
            yield "num_res_blocks", f"a whole number from 1 to {MAX_LEVELS}"
        kernel = config["kernel_size"]
        if not (is_count(kernel) and kernel % 2 and kernel <= MAX_KERNEL):
            yield "kernel_size", f"an odd number up to {MAX_KERNEL}"
        factors = config["ch_mult"]
        if not are_widths(factors) or max(factors) > MAX_FACTOR:
            yield "ch_mult", f"a list of 1 to {MAX_LEVELS} whole numbers from 1 to {MAX_FACTOR}"
        levels, halved = range(len(config["ch_mult"]) - 1), config["down_layers"]
        if not (isinstance(halved, list) and all(type(x) is int and x in levels for x in halved)):
            yield "down_layers", f"a list of levels below {len(levels)}"
        yield from statistic_faults(config, "embed_dim")

    @property
    def shape(self) -> MelVAEShape:
        """Architecture."""
        return shape_from(self.config)

    @property
    def channels(self) -> int:
        """Channels of the latent."""
        return self.shape.embed_dim

    @property
    def num_mels(self) -> int:
        """Mel bands that it takes, no more and no fewer."""
        return self.shape.in_channels

    @property
    def strides(self) -> tuple[int, int]:
        """Rows (hops) of the spectrogram per latent cell, and all of its columns (mel bands)."""
        return 2 ** len(set(self.shape.down_layers)), self.num_mels

    def read(self) -> MelVAE:
        """As in Autoencoder."""
        path = self.folder / WEIGHTS
        try:
            with built_within([path]):
                model = empty_mel_vae(self.shape)
            weights = load_file(path)
        except (OSError, SafetensorError, ValueError) as error:
            raise LuminaError(f"{path} cannot be read: {error}") from error
        check_weights(path, weights, model)
        # copies: a tensor inside the file lies at odd addresses, where kernels round differently
        copies = {key: weight.to(torch.float32, copy=True) for key, weight in weights.items()}
        model.load_state_dict(copies, assign=True)
        return model

    def built(self) -> MelVAE:
        """As in Autoencoder."""
        return empty_mel_vae(self.shape)

    @torch.no_grad()
    def encode(self, pixels: Float[Tensor, "1 1 time mel"]) -> Float[Tensor, "channel 1 row 1"]:
        """The mean of the posterior, normalised."""
        mean, std = (x[:, None] for x in self.statistics())
        mel = rearrange(pixels, "1 1 time mel -> 1 mel time").to(self._device)
        return rearrange((self.model().encode(mel)[0] - mean) / std, "c row -> c 1 row 1")

    @torch.no_grad()
    def decode(self, latent: Float[Tensor, "channel 1 row 1"]) -> Float[Tensor, "1 1 time mel"]:
        """The spectrogram of a latent; inverse of `encode` up to its loss."""
        mean, std = (x[:, None] for x in self.statistics())
        z = rearrange(latent.to(self._device), "c 1 row 1 -> c row") * std + mean
        return rearrange(self.model().decode(z[None]), "1 mel time -> 1 1 time mel")


def shape_from(config: Mapping[str, Any]) -> MelVAEShape:
    """The architecture that a checked config.json describes."""
    found = {key: config[key] for key in ARCHITECTURE}
    return MelVAEShape(**{k: tuple(x) if isinstance(x, list) else x for k, x in found.items()})


def check_weights(path: Path, weights: Mapping[str, Tensor], model: MelVAE) -> None:
    """Refuse the weights of a file that are not those of a model, by name and shape.

    Raises:
        LuminaError: some are missing, unexpected or of another shape; names them.
    """
    wanted = {key: tuple(weight.shape) for key, weight in model.state_dict().items()}
    found = {key: tuple(weight.shape) for key, weight in weights.items()}
    faults = {
        "missing": sorted(wanted.keys() - found.keys()),
        "unexpected": sorted(found.keys() - wanted.keys()),
        "of another shape": [
            f"{key} {list(found[key])}, not {list(wanted[key])}"
            for key in sorted(wanted.keys() & found.keys())
            if found[key] != wanted[key]
        ],
    }
    told = [
        f"{fault}: {', '.join(names[:NUM_SHOWN])}"
        + f" and {len(names) - NUM_SHOWN} more" * (len(names) > NUM_SHOWN)
        for fault, names in faults.items()
        if names
    ]
    if told:
        raise LuminaError(f"the weights in {path} do not fit the model ({'; '.join(told)})")
