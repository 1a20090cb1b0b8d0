"""For plugins: a diffusers autoencoder applied frame by frame, with its latent statistics.

The folder is an ordinary diffusers folder (config.json and safetensors). Scale and shift come from
its config: `latents_mean` and `latents_std` per channel where they are given, else `shift_factor`
and `scaling_factor`. Weights are read at the first use. It decodes and encodes one sample at a
time, so that a sample does not depend on what else is in its request.
"""

import json
from functools import cached_property
from pathlib import Path
from threading import Lock

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from lumina_core.errors import LuminaError


class FramewiseAutoencoder:
    """Pixels in [-1, 1] <-> latents with zero mean and unit variance per channel."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._device = torch.device("cpu")
        self._model: nn.Module | None = None
        self._lock = Lock()

    @cached_property
    def config(self) -> dict:
        """The folder's config.json.

        Raises:
            LuminaError: there is none, or it is broken.
        """
        path = self.folder / "config.json"
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise LuminaError(
                f"no autoencoder in {self.folder}: {error}; give a diffusers folder"
            ) from error

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

    def model(self) -> nn.Module:
        """The diffusers model; read at the first call."""
        with self._lock:  # two threads must not both read it
            if self._model is None:
                from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

                model = AutoencoderKL.from_pretrained(
                    self.folder, torch_dtype=torch.float32, low_cpu_mem_usage=False
                )
                self._model = model.to(self._device).eval().requires_grad_(False)
            return self._model

    def _statistics(self) -> tuple[Tensor, Tensor]:
        mean, std = self.config.get("latents_mean"), self.config.get("latents_std")
        if mean is None or std is None:
            mean = [self.config.get("shift_factor") or 0.0] * self.channels
            std = [1 / self.config["scaling_factor"]] * self.channels
        return tuple(torch.tensor(x, device=self._device)[:, None, None] for x in (mean, std))

    @torch.no_grad()
    def encode(
        self, pixels: Float[Tensor, "frame 3 height width"]
    ) -> Float[Tensor, "channel frame height width"]:
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
        self, latent: Float[Tensor, "channel frame height width"]
    ) -> Float[Tensor, "frame 3 height width"]:
        """Pixels of each frame, in about [-1, 1]; inverse of `encode` up to its loss."""
        mean, std = self._statistics()
        model = self.model()
        frames = [
            model.decode((frame.to(self._device) * std + mean)[None]).sample[0]
            for frame in latent.unbind(1)
        ]
        return torch.stack(frames)
