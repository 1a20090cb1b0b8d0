"""The contract between the core and a modality plugin: what a plugin states and what it must offer.

The core knows tokens, time and velocity; a plugin knows media and latents. This module holds only
the agreement. It imports nothing heavy, because a plugin's entry module imports it when plugins
are listed; tensor annotations are therefore strings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from lumina_core.decoder import Decoder, Media

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from jaxtyping import Bool, Float
    from torch import Generator, Tensor

    from lumina_core.sequence import Grid

PLUGIN_API = (2, 2)
"""Version of this contract: a plugin needs the same major and at most this minor number."""


@dataclass(frozen=True)
class SizeLimits:
    """Which sizes of media a training run takes; see `Modality.fit`."""

    min_tokens: int
    """Smaller media are refused."""
    max_tokens: int
    """Larger media are made smaller."""
    max_aspect: float
    """Longer over shorter side, for media that have sides; longer ones are refused."""


@dataclass(frozen=True)
class ModalitySpec:
    """What a plugin's hook returns. The two paths are imported only when they are used."""

    summary: str
    """One line for people: what goes in and what comes out."""

    options: str
    """Where the frozen dataclass of the options is, `module:attribute`; importable without torch.

    Each field is a `setting`; one that is `fixed` is fixed by a checkpoint.
    """

    modality: str
    """Where the class called as `Modality(options, vae_folder)` is, `module:attribute`.

    The folder is None where the options have no field `vae`.
    """

    api: tuple[int, int]
    """The PLUGIN_API the plugin was written for, as a literal: never the core's own constant."""

    condition: str | None = None
    """Where the frozen dataclass of what may be given beside the prompt is; None: nothing may.

    Its fields are the keys `condition.KEY`, each a `setting` of null; one that names a file has
    `file=True`. The modality class then has a method `condition`.
    """


@runtime_checkable
class Tokenizer(Protocol):
    """Latent to 1-D token sequence and back, exactly, at every legal size."""

    token_dim: int
    """Number of values in one token."""

    def grid(self, latent_shape: tuple[int, int, int, int]) -> Grid:
        """The arrangement of the tokens, known before anything is allocated.

        Args:
            latent_shape: channels, frames, height, width of the latent.

        Raises:
            LuminaError: for an illegal size, naming the nearest legal one.
        """
        ...

    def tokenize(
        self, latent: Float[Tensor, "channels frames height width"]
    ) -> Float[Tensor, "patch token_dim"]:
        """The tokens of one latent: frame by frame, row by row."""
        ...

    def detokenize(
        self, tokens: Float[Tensor, "patch token_dim"], grid: Grid
    ) -> Float[Tensor, "channels frames height width"]:
        """The inverse of `tokenize`."""
        ...


@runtime_checkable
class VAE(Protocol):
    """Media to latent and back. Loads its weights when first used, and is deterministic.

    One without weights is a formula: its `folder` is None, and the options have no field `vae`.
    """

    folder: Path | None
    """Where its weights are, in the layout that diffusers loads; a checkpoint takes a copy."""

    def latent_shape(self, media_shape: tuple[int, ...]) -> tuple[int, int, int, int]:
        """Channels, frames, height, width of the latent of a medium of this shape.

        Raises:
            LuminaError: for a spatial size that does not fit, naming the nearest legal one.
        """
        ...

    def encode(self, media: Media) -> Float[Tensor, "channels frames height width"]:
        """The float32 latent: zero mean and unit variance per channel."""
        ...

    def decode(self, latent: Float[Tensor, "channels frames height width"]) -> Media:
        """The media of one latent; undoes the scale and shift of `encode`."""
        ...

    def to(self, device: torch.device) -> VAE:
        """Use this device from now on; returns itself."""
        ...


class TrainableVAE(VAE, Protocol):
    """An autoencoder that `train-vae` makes: one with weights."""

    def pixels(self, media: Media) -> Float[Tensor, "frames channels height width"]:
        """Media as the network sees it, in [-1, 1]; what `train-vae` learns to reproduce."""
        ...


@runtime_checkable
class World(Protocol):
    """A small synthetic world: it can draw any caption of its grammar, and judge a file."""

    version: str
    """Rises whenever drawing or judging changes; results of two versions are never compared."""

    splits: tuple[str, ...]
    """Names of the sets of captions; the first is the one that is trained on."""

    def tasks(self, split: str) -> tuple[str, ...]:
        """The kinds of caption that a split has, each measured by itself."""
        ...

    def caption(self, split: str, generator: Generator, task: str | None = None) -> str:
        """A random caption of a split, of one task when it is given."""
        ...

    def task_of(self, caption: str) -> str:
        """The task to which a caption belongs."""
        ...

    def variants(self, split: str) -> Sequence[Mapping[str, Any]]:
        """The options that a split changes (sizes, durations), one mapping per variant."""
        ...

    def draw(self, caption: str, options: Any, generator: Generator) -> Media:
        """Media that shows the caption, with the size or duration that the options say."""
        ...

    def judge(self, media: Media, caption: str, options: Any) -> dict[str, bool]:
        """For each attribute the caption asks for, whether the media shows it.

        Shares no code with `draw`, and sees the media as read back from the file.

        Args:
            media: what to judge.
            caption: what it should show.
            options: those it was made with; for what the media do not say themselves.
        """
        ...


class BoundedWorld(World, Protocol):
    """A world that says where it ends: which texts are its captions."""

    def nearest(self, text: str) -> str | None:
        """The caption that says most of what a text says, of any split, in a few milliseconds.

        Args:
            text: of a person, anything. Its case, punctuation and spaces do not matter.

        Returns:
            A caption, the same each time; None where the text is one itself.
        """
        ...


@dataclass(frozen=True)
class Given:
    """A medium of which a part is given."""

    media: Media
    """Of the shape that the options ask for; what is not given holds a likely filling."""

    known: Bool[Tensor, "frames height width"]
    """Cells of the latent that are given as a whole."""


@runtime_checkable
class Modality(Protocol):
    """The parts of a modality; its class is called as `Modality(options, vae_folder)`."""

    options: Any
    """The plugin's own dataclass; its architecture fields decide the parts."""

    tokenizer: Tokenizer
    vae: VAE
    decoder: Decoder

    world: World | None
    """None for a modality without a synthetic world; it cannot be evaluated by an oracle."""

    def media_shape(self, options: Any) -> tuple[int, ...]:
        """Shape of the media that `options` ask for.

        Raises:
            LuminaError: for a size that no latent fits; names the nearest legal ones.
        """
        ...

    def fit(self, media: Media, limits: SizeLimits) -> Media:
        """Media of any size, as a file has them, at a legal size within the limits of a run.

        Keeps size and proportions as far as it can, and never enlarges.

        Raises:
            LuminaError: they are too small or too long; says in which way, without their name.
        """
        ...


class ResizableModality(Modality, Protocol):
    """A modality whose large media can begin small (`coarse.above`)."""

    def coarser(self, options: Any, factor: float) -> Any:
        """Options of a smaller medium of the same proportions, as nearly as it goes.

        Args:
            options: of the medium to make.
            factor: on every length, below 1.
        """
        ...

    def enlarged(self, media: Media, options: Any) -> Media:
        """A small medium at the size that `options` ask for, smoothly."""
        ...


class DecodingModality(Modality, Protocol):
    """A modality whose requests say more about decoding than the latent does.

    A duration that was rounded up is cut to what was asked for; a request may choose how a latent
    becomes media.
    """

    def decode(self, latent: Float[Tensor, "channels frames height width"], options: Any) -> Media:
        """The media of one latent, as `options` ask for them."""
        ...


class TimedModality(Modality, Protocol):
    """A modality whose media run in time: files are read at a rate, no further than asked."""

    def read(self, path: Path, options: Any) -> Media:
        """The beginning of a file at the rate and of at most the length that the options ask for.

        Raises:
            LuminaError: as `Decoder.read`.
        """
        ...


class DescribedModality(Modality, Protocol):
    """A modality whose files say themselves what the options say of media to make."""

    def described(self, path: Path, media: Media, options: Any) -> Any:
        """The options of a medium from a file.

        What the file says of itself (cameras, a rate) stands in place of what the run says.

        Args:
            path: of the file, or of the folder.
            media: as read from there, at the size that it has.
            options: of the run.

        Raises:
            LuminaError: what it says cannot be read, or does not fit its media.
        """
        ...


class FeaturedModality(Modality, Protocol):
    """A modality whose frames carry more than their tokens: a rate, a camera."""

    feature_dim: int
    """Numbers per frame."""

    def features(self, options: Any, grid: Grid) -> Float[Tensor, "frame feature"]:
        """What conditions each frame of the grid beside time and text.

        Args:
            options: of the medium; for one from a file, as in `options_of`.
            grid: of the tokens.
        """
        ...


def feature_dims(name: str, modality: Modality) -> dict[str, int]:
    """The number of a modality's features by its name; empty where it has none."""
    dim = getattr(modality, "feature_dim", 0)
    return {name: dim} if dim else {}


def read_media(modality: Modality, path: Path, options: Any) -> Media:
    """A file as media for training with these options.

    Raises:
        LuminaError: for a file that is broken or of another kind.
    """
    if hasattr(modality, "read"):
        return cast(TimedModality, modality).read(path, options)
    return modality.decoder.read(path)


def options_of(modality: Modality, path: Path, media: Media, options: Any) -> Any:
    """The options of media from a file: those of the run, where it does not say otherwise.

    Raises:
        LuminaError: as `DescribedModality.described`.
    """
    if hasattr(modality, "described"):
        return cast(DescribedModality, modality).described(path, media, options)
    return options


def nearest_caption(modality: Modality, text: str) -> str | None:
    """The caption of a modality's world that is nearest to a text.

    None where the text is one of its captions, or where the world cannot tell.
    """
    if not hasattr(modality.world, "nearest"):
        return None
    return cast(BoundedWorld, modality.world).nearest(text)


def features_of(modality: Modality, options: Any, grid: Grid) -> Tensor | None:
    """The features of a sample; None for a modality that has none."""
    if not feature_dims("", modality):
        return None
    return cast(FeaturedModality, modality).features(options, grid)


class ConditionedModality(Modality, Protocol):
    """A modality whose spec names a `condition`."""

    def condition(self, wanted: Any, options: Any) -> Given:
        """What is given.

        Args:
            wanted: the plugin's own dataclass of conditions, at least one field not None.
            options: of the medium to make.

        Raises:
            LuminaError: a file that cannot be read, or that does not fit the options.
        """
        ...
