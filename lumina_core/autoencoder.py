"""For plugins: a diffusers autoencoder applied frame by frame, with its latent statistics.

The folder is an ordinary diffusers folder (config.json and safetensors). Scale and shift come from
its config: `latents_mean` and `latents_std` per channel where they are given, else `shift_factor`
and `scaling_factor`. Weights are read at the first use. It decodes and encodes one sample at a
time, so that a sample does not depend on what else is in its request.
"""

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from lumina_core.errors import LuminaError, reason_of
from lumina_core.runtime import quiet
from lumina_core.tiled_decoding import decode_in_tiles, has_tiles

MAX_WHOLE_PIXELS = 1024 * 1024  # of a frame that is decoded at once: 3 GB with the widths of SDXL
SHAPE_KEYS = {"block_out_channels", "latent_channels"}  # of config.json; diffusers knows the rest
DEFAULTS = {"scaling_factor": 0.18215, "shift_factor": None}
"""Of diffusers' AutoencoderKL: what an older config.json, such as sd's, leaves out."""
MAX_SHOWN = 60  # characters of a value in a message
MAX_LEVELS = 10  # resolutions; released autoencoders have four
MAX_NUMBER = 1e6  # of statistics and widths, and their inverse; float32 has room for both


class FramewiseAutoencoder:
    """Pixels in [-1, 1] <-> latents with zero mean and unit variance per channel."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._device = torch.device("cpu")
        self._model: Any = None
        self._lock = Lock()

    @cached_property
    def config(self) -> dict:
        """The folder's config.json.

        Raises:
            LuminaError: there is none, or it is broken, or its numbers describe no autoencoder.
        """
        path = self.folder / "config.json"
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise LuminaError(
                f"no autoencoder in {self.folder}: {error}; give a diffusers folder"
            ) from error
        if not isinstance(config, dict) or not config.keys() >= SHAPE_KEYS:
            raise LuminaError(f"{path} describes no autoencoder; give a diffusers folder")
        config = DEFAULTS | config
        for key, wanted in _faults(config):
            raise LuminaError(
                f"{path} describes no autoencoder: {key} is {str(config[key])[:MAX_SHOWN]!r}, not "
                f"{wanted}; give a diffusers folder"
            )
        return config

    @property
    def stride(self) -> int:
        """Pixels per latent cell along each axis."""
        return 2 ** (len(self.config["block_out_channels"]) - 1)

    @property
    def channels(self) -> int:
        """Channels of the latent."""
        return int(self.config["latent_channels"])

    def to(self, device: torch.device) -> "FramewiseAutoencoder":
        """Use this device from now on."""
        self._device = device
        if self._model is not None:
            self._model.to(device)
        return self

    def model(self) -> Any:
        """The diffusers model; read at the first call."""
        with self._lock:  # two threads must not both read it
            if self._model is None:
                model = read_autoencoder(self.folder)
                self._model = model.to(self._device).eval().requires_grad_(False)
            return self._model

    def _statistics(self) -> tuple[Tensor, Tensor]:
        mean, std = self.config.get("latents_mean"), self.config.get("latents_std")
        if mean is None or std is None:
            mean = [self.config["shift_factor"] or 0.0] * self.channels
            std = [1 / self.config["scaling_factor"]] * self.channels
        mean, std = (torch.tensor(x, device=self._device) for x in (mean, std))
        return mean[:, None, None], std[:, None, None]

    @torch.no_grad()
    def encode(
        self, pixels: Float[Tensor, "frame 3 height width"]
    ) -> Float[Tensor, "channel frame row column"]:
        """The mean of the posterior of each frame, normalised."""
        mean, std = self._statistics()
        model = self.model()
        frames = [
            (model.encode(frame[None].to(self._device)).latent_dist.mode()[0] - mean) / std
            for frame in pixels
        ]
        return rearrange(frames, "f c h w -> c f h w")

    @torch.no_grad()
    def decode(
        self, latent: Float[Tensor, "channel frame row column"]
    ) -> Float[Tensor, "frame 3 height width"]:
        """Pixels of each frame, in about [-1, 1]; inverse of `encode` up to its loss.

        A frame of more than MAX_WHOLE_PIXELS is decoded in tiles; see tiled_decoding.py.
        """
        mean, std = self._statistics()
        frames = [
            self._decode_frame((frame.to(self._device) * std + mean)[None])[0]
            for frame in latent.unbind(1)
        ]
        return torch.stack(frames)

    def _decode_frame(
        self, latent: Float[Tensor, "1 channel row column"]
    ) -> Float[Tensor, "1 3 height width"]:
        model = self.model()
        pixels = latent.shape[2] * latent.shape[3] * self.stride**2
        if pixels > MAX_WHOLE_PIXELS and has_tiles(model):
            return decode_in_tiles(model, latent)
        return model.decode(latent).sample


def _faults(config: dict) -> Iterator[tuple[str, str]]:
    """The keys of a config.json that cannot be used, each with what it should be."""
    widths, channels = config["block_out_channels"], config["latent_channels"]
    is_list = isinstance(widths, list) and 0 < len(widths) <= MAX_LEVELS
    if not is_list or not all(_is_count(width) for width in widths):
        yield "block_out_channels", f"a list of 1 to {MAX_LEVELS} widths"
    if not _is_count(channels):
        yield "latent_channels", "a whole number of 1 or more"
        return
    if not _is_number(config["scaling_factor"], 1 / MAX_NUMBER):
        yield "scaling_factor", "a number above 0"
    if config["shift_factor"] is not None and not _is_number(config["shift_factor"]):
        yield "shift_factor", "a number or null"
    for key, least in (("latents_mean", -MAX_NUMBER), ("latents_std", 1 / MAX_NUMBER)):
        values = config.get(key)
        is_fit = isinstance(values, list) and len(values) == channels
        if values is not None and not (is_fit and all(_is_number(x, least) for x in values)):
            above = " above 0" * (least > 0)
            yield key, f"a list of {channels} numbers{above}, one per latent channel"


def _is_count(value: Any) -> bool:
    return type(value) is int and 1 <= value <= MAX_NUMBER


def _is_number(value: Any, least: float = -MAX_NUMBER) -> bool:
    return type(value) in (int, float) and least <= value <= MAX_NUMBER


def read_autoencoder(folder: Path) -> Any:
    """The diffusers model in a folder, strictly; safetensors only.

    Raises:
        LuminaError: it cannot be read, or its weights do not fit its config.
    """
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.utils import logging

    try:
        with quiet(logging):
            model, report = AutoencoderKL.from_pretrained(
                folder,
                torch_dtype=torch.float32,
                low_cpu_mem_usage=False,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
            )
    except Exception as error:  # whatever diffusers meets there; all of it is the folder's
        raise LuminaError(
            f"the autoencoder in {folder} cannot be read: {reason_of(error)}"
        ) from error
    wrong = [*report["missing_keys"], *report["unexpected_keys"], *report["mismatched_keys"]]
    if wrong:
        raise LuminaError(
            f"the weights of the autoencoder in {folder} do not fit its config.json: {wrong[0]}"
        )
    return model
