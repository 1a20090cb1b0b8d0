"""For plugins: the autoencoder of a diffusers folder, with its latent statistics.

The folder is an ordinary diffusers folder (config.json and safetensors). Scale and shift come from
its config: `latents_mean` and `latents_std` per channel where they are given, else `shift_factor`
and `scaling_factor`. Weights are read at the first use. It decodes and encodes one sample at a
time, so that a sample does not depend on what else is in its request. Here is the kind that works
frame by frame; a plugin adds others as subclasses of `Autoencoder`, named in its hook
`lumina_autoencoders`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from lumina_core.autoencoder.plain import PlainAutoencoder, is_plain, read_plain
from lumina_core.autoencoder.tiles import decode_in_tiles, has_tiles
from lumina_core.errors import LuminaError, nearest, reason_of
from lumina_core.files.reading import read_json
from lumina_core.files.weights import built_within, weights_in
from lumina_core.plugins import host
from lumina_core.plugins.entry_points import Plugin
from lumina_core.runtime import quiet

PICTURES = "pictures"
"""The medium of what goes frame by frame, as `lumina_autoencoders` names it."""
MAX_WHOLE_PIXELS = 1024 * 1024  # of a frame that is decoded at once: 3 GB with the widths of SDXL
MAX_SHOWN = 60  # characters of a value in a message
MAX_LEVELS = 10  # resolutions; released autoencoders have four
MAX_NUMBER = 1e6  # of statistics and widths, and their inverse; float32 has room for both


class Autoencoder(ABC):
    """The folder of one kind of autoencoder: its config, read with care, and its model."""

    kind: ClassVar[str]
    """What stands in config.json as `_class_name`: the class of diffusers, where it has one."""
    needed: ClassVar[frozenset[str]]
    """Keys that config.json must have."""
    defaults: ClassVar[Mapping[str, Any]] = {"shift_factor": None}
    """Of keys that an older config.json leaves out."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._device = torch.device("cpu")
        self._model: Any = None
        self._lock = Lock()

    @cached_property
    def config(self) -> dict[str, Any]:
        """The folder's config.json.

        Raises:
            LuminaError: there is none, or it is broken, or its numbers describe no autoencoder of
                this kind.
        """
        path = self.folder / "config.json"
        config = {"_class_name": self.kind, **self.defaults, **read_config(self.folder)}
        if config["_class_name"] != self.kind:
            raise LuminaError(
                f"{path} describes a {shown(config['_class_name'])}, not an {self.kind}; give "
                "another folder"
            )
        if not config.keys() >= self.needed:
            raise LuminaError(f"{path} describes no autoencoder; give a diffusers folder")
        for key, wanted in self.faults(config):
            raise LuminaError(
                f"{path} describes no autoencoder: {key} is {shown(config.get(key))}, not "
                f"{wanted}; give a diffusers folder"
            )
        return config

    @abstractmethod
    def faults(self, config: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """The keys of a config.json that cannot be used, each with what it should be.

        The first one ends it: those after it may take it for right.
        """

    @property
    def channels(self) -> int:
        """Channels of the latent."""
        return int(self.config["latent_channels"])

    def to(self, device: torch.device) -> "Autoencoder":
        """Use this device from now on."""
        self._device = device
        if self._model is not None:
            self._model.to(device)
        return self

    def model(self) -> Any:
        """The model; read at the first call."""
        with self._lock:  # two threads must not both read it
            if self._model is None:
                self._model = self.read().to(self._device).eval().requires_grad_(False)
            return self._model

    def read(self) -> Any:
        """The model, as of `read_autoencoder`; a kind that diffusers lacks brings its own."""
        return read_autoencoder(self.folder, self.kind)

    def without_weights(self) -> Any:
        """The model on the meta device, from now on in place of the real one: for plans.

        Raises:
            LuminaError: its class takes no such config.json.
        """
        stored = weights_in(self.folder, "diffusion_pytorch_model")
        try:
            with torch.device("meta"), built_within(stored) if stored else nullcontext():
                self._model = self.built().eval().requires_grad_(False)
        except Exception as error:  # whatever diffusers meets there; all of it is the folder's
            raise LuminaError(
                f"the autoencoder in {self.folder} cannot be built: {reason_of(error)}"
            ) from error
        return self._model

    def built(self) -> Any:
        """A new model as config.json says; a kind that diffusers lacks brings its own."""
        from diffusers.models import autoencoders
        from diffusers.utils import logging

        with quiet(logging):
            return getattr(autoencoders, self.kind).from_config(self.config)

    def statistics(self) -> tuple[Float[Tensor, "channel"], Float[Tensor, "channel"]]:
        """Mean and standard deviation of each channel of what the model calls a latent."""
        mean, std = self.config.get("latents_mean"), self.config.get("latents_std")
        if mean is None or std is None:
            mean = [self.config["shift_factor"] or 0.0] * self.channels
            std = [1 / self.config["scaling_factor"]] * self.channels
        mean, std = (torch.tensor(x, dtype=torch.float32, device=self._device) for x in (mean, std))
        return mean, std


class FramewiseAutoencoder(Autoencoder):
    """Pixels in [-1, 1] <-> latents with zero mean and unit variance per channel."""

    kind = "AutoencoderKL"
    needed = frozenset({"block_out_channels", "latent_channels"})
    defaults: ClassVar[Mapping[str, Any]] = {"scaling_factor": 0.18215, "shift_factor": None}

    def faults(self, config: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """As in Autoencoder."""
        yield from width_faults(config)
        yield from statistic_faults(config)

    @property
    def stride(self) -> int:
        """Pixels per latent cell along each axis."""
        return 2 ** (len(self.config["block_out_channels"]) - 1)

    def read(self) -> Any:
        """As in Autoencoder; the plainest one without diffusers."""
        return read_plain(self.folder, self.config) or super().read()

    def built(self) -> Any:
        """As in Autoencoder; the plainest one without diffusers."""
        return PlainAutoencoder(self.config) if is_plain(self.config) else super().built()

    def _statistics(self) -> tuple[Tensor, Tensor]:
        mean, std = self.statistics()
        return mean[:, None, None], std[:, None, None]

    @torch.no_grad()
    def encode(
        self, pixels: Float[Tensor, "frame colour height width"]
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
    ) -> Float[Tensor, "frame colour height width"]:
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
    ) -> Float[Tensor, "1 colour height width"]:
        model = self.model()
        pixels = latent.shape[2] * latent.shape[3] * self.stride**2
        if pixels > MAX_WHOLE_PIXELS and has_tiles(model):
            return decode_in_tiles(model, latent)
        return model.decode(latent).sample


def open_autoencoder(folder: Path, medium: str, modality: str | None = None) -> Any:
    """The autoencoder of a folder, of the kind that its config.json names; reads no weights.

    Args:
        folder: of diffusers, or like one.
        medium: what goes through it, as plugins name it in `lumina_autoencoders`.
        modality: whose plugin has kinds of its own; None: the core's and those of extensions.

    Raises:
        LuminaError: there is none, or it is of a kind that nobody has for this medium.
    """
    kinds = host.autoencoders(medium, modality)
    own = {FramewiseAutoencoder.kind: FramewiseAutoencoder} if medium == PICTURES else {}
    kind = {"_class_name": FramewiseAutoencoder.kind, **read_config(folder)}["_class_name"]
    if not isinstance(kind, str) or kind not in {*own, *kinds}:
        known = list(own | kinds)
        raise LuminaError(
            f"the autoencoder in {folder} is of kind {shown(kind)}; {medium} take "
            f"{', '.join(known)}; give modality.vae=FOLDER of one of these."
            f"{nearest(str(kind), known)}"
        )
    return (own.get(kind) or autoencoder_class(*kinds[kind]))(folder)


def autoencoder_class(plugin: Plugin, path: str) -> type[Autoencoder]:
    """A kind that a plugin has.

    Raises:
        LuminaError: it cannot be imported, or is no Autoencoder.
    """
    found = host.class_at(plugin, path)
    if not issubclass(found, Autoencoder):
        raise LuminaError(
            f"{plugin.title} is broken: {path} does not inherit Autoencoder of "
            "lumina_core.autoencoder.networks"
        )
    return found


def read_config(folder: Path) -> dict[str, Any]:
    """The config.json of a diffusers folder, whatever it describes.

    Raises:
        LuminaError: there is none, or it holds no keys.
    """
    path = folder / "config.json"
    try:
        config = read_json(path)
    except (OSError, ValueError) as error:
        raise LuminaError(
            f"no autoencoder in {folder}: {error}; give a diffusers folder"
        ) from error
    if not isinstance(config, dict):
        raise LuminaError(f"{path} describes no autoencoder; give a diffusers folder")
    return config


def width_faults(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The widths in a config.json, if they cannot be used."""
    if not are_widths(config["block_out_channels"]):
        yield "block_out_channels", f"a list of 1 to {MAX_LEVELS} widths"


def statistic_faults(
    config: Mapping[str, Any], channels_key: str = "latent_channels"
) -> Iterator[tuple[str, str]]:
    """The statistics in a config.json that cannot be used, each with what it should be."""
    channels = config[channels_key]
    if not is_count(channels):
        yield channels_key, "a whole number of 1 or more"
    if not is_number(config["scaling_factor"], 1 / MAX_NUMBER):
        yield "scaling_factor", "a number above 0"
    if config["shift_factor"] is not None and not is_number(config["shift_factor"]):
        yield "shift_factor", "a number or null"
    for key, least in (("latents_mean", -MAX_NUMBER), ("latents_std", 1 / MAX_NUMBER)):
        values = config.get(key)
        is_fit = isinstance(values, list) and len(values) == channels
        if values is not None and not (is_fit and all(is_number(x, least) for x in values)):
            above = " above 0" * (least > 0)
            yield key, f"a list of {channels} numbers{above}, one per latent channel"


def are_widths(value: Any) -> bool:
    """Whether a value of a config.json is one width per resolution."""
    return isinstance(value, list) and 0 < len(value) <= MAX_LEVELS and all(map(is_count, value))


def is_count(value: Any) -> bool:
    """Whether a value of a config.json is a whole number of 1 or more."""
    return type(value) is int and 1 <= value <= MAX_NUMBER


def is_number(value: Any, least: float = -MAX_NUMBER) -> bool:
    """Whether a value of a config.json is a number of at least `least`."""
    return type(value) in (int, float) and least <= value <= MAX_NUMBER


def shown(value: Any) -> str:
    """A value of a config.json in a message."""
    return repr(str(value)[:MAX_SHOWN])


def read_autoencoder(folder: Path, kind: str = FramewiseAutoencoder.kind) -> Any:
    """The diffusers model in a folder, strictly; safetensors only.

    Args:
        folder: with config.json and the weights.
        kind: its class of diffusers.

    Raises:
        LuminaError: it cannot be read, or its weights do not fit its config.
    """
    from diffusers.models import autoencoders
    from diffusers.utils import logging

    try:
        with quiet(logging), built_within(weights_in(folder, "diffusion_pytorch_model")):
            model, report = getattr(autoencoders, kind).from_pretrained(
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


def is_true(value: torch.Tensor, *, planned: bool) -> bool:
    """Whether a value is true; where tensors have no memory, as in a plan, the usual answer."""
    from torch._subclasses.fake_tensor import FakeTensor

    return planned if isinstance(value, FakeTensor) else bool(value)
