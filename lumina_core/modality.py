"""The contract between the core and a modality plugin: what a plugin states and what it must offer.

The core knows tokens, time and velocity; a plugin knows media and latents. This module holds only
the agreement: base classes, whose members a plugin overrides or leaves as they are. It imports
nothing heavy, because a plugin's entry module imports it when plugins are listed; tensor
annotations are therefore strings.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeAlias

from lumina_core.errors import LuminaError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import torch
    from jaxtyping import Bool, Float, UInt8
    from PIL.Image import Image
    from torch import Generator, Tensor

    from lumina_core.sequence import Grid


PLUGIN_API = (3, 0)
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
    `file=True`. The modality class then overrides `condition`.
    """


class Tokenizer(ABC):
    """Latent to 1-D token sequence and back, exactly, at every legal size."""

    token_dim: int
    """Number of values in one token."""

    @abstractmethod
    def grid(self, latent_shape: tuple[int, int, int, int]) -> Grid:
        """The arrangement of the tokens, known before anything is allocated.

        Args:
            latent_shape: channels, frames, height, width of the latent.

        Raises:
            LuminaError: for an illegal size, naming the nearest legal one.
        """

    @abstractmethod
    def tokenize(
        self, latent: Float[Tensor, "channels frames height width"]
    ) -> Float[Tensor, "patch token_dim"]:
        """The tokens of one latent: frame by frame, row by row."""

    @abstractmethod
    def detokenize(
        self, tokens: Float[Tensor, "patch token_dim"], grid: Grid
    ) -> Float[Tensor, "channels frames height width"]:
        """The inverse of `tokenize`."""


class VAE(ABC):
    """Media to latent and back. Loads its weights when first used, and is deterministic.

    One without weights is a formula: it leaves `folder`, `to` and `pixels` as they are, and the
    options have no field `vae`.
    """

    folder: Path | None = None
    """Where its weights are, in the layout that diffusers loads; a checkpoint takes a copy."""

    @abstractmethod
    def latent_shape(self, media_shape: tuple[int, ...]) -> tuple[int, int, int, int]:
        """Channels, frames, height, width of the latent of a medium of this shape.

        Raises:
            LuminaError: for a spatial size that does not fit, naming the nearest legal one.
        """

    @abstractmethod
    def encode(self, media: Media) -> Float[Tensor, "channels frames height width"]:
        """The float32 latent: zero mean and unit variance per channel."""

    @abstractmethod
    def decode(self, latent: Float[Tensor, "channels frames height width"]) -> Media:
        """The media of one latent; undoes the scale and shift of `encode`."""

    def to(self, device: torch.device) -> VAE:
        """Use this device from now on; returns itself. A formula works on any."""
        return self

    def pixels(self, media: Media) -> Float[Tensor, "frames channels height width"]:
        """Media as the network sees it, in [-1, 1]; what `train-vae` learns to reproduce."""
        raise NotImplementedError(f"{type(self).__name__} has no pixels for train-vae to learn")


class World(ABC):
    """A small synthetic world: it can draw any caption of its grammar, and judge a file."""

    version: str
    """Rises whenever drawing or judging changes; results of two versions are never compared."""

    splits: tuple[str, ...]
    """Names of the sets of captions; the first is the one that is trained on."""

    @abstractmethod
    def tasks(self, split: str) -> tuple[str, ...]:
        """The kinds of caption that a split has, each measured by itself."""

    @abstractmethod
    def caption(self, split: str, generator: Generator, task: str | None = None) -> str:
        """A random caption of a split, of one task when it is given."""

    @abstractmethod
    def task_of(self, caption: str) -> str:
        """The task to which a caption belongs.

        Raises:
            LuminaError: it is no caption of this world.
        """

    @abstractmethod
    def variants(self, split: str) -> Sequence[Mapping[str, Any]]:
        """The options that a split changes (sizes, durations), one mapping per variant."""

    @abstractmethod
    def draw(self, caption: str, options: Any, generator: Generator) -> Media:
        """Media that shows the caption, with the size or duration that the options say."""

    @abstractmethod
    def judge(self, media: Media, caption: str, options: Any) -> dict[str, bool]:
        """For each attribute the caption asks for, whether the media shows it.

        Shares no code with `draw`, and sees the media as read back from the file.

        Args:
            media: what to judge.
            caption: what it should show.
            options: those it was made with; for what the media do not say themselves.
        """

    def vocabulary(self) -> frozenset[str]:
        """Every word that stands in captions of the first split, in lower case.

        A new text encoder learns these. Where there are none, it learns the words of a few thousand
        captions, which takes a second or more and misses a rare one.
        """
        return frozenset()

    def writes(self, text: str) -> bool:
        """Whether captions may be worded as a text is, any text of a person.

        A text encoder that learned captions has seen no other wording, even of words that it knows.
        """
        return True

    def plainest(self, text: str) -> str | None:
        """The caption that says the same as a text in the plainest words.

        A text encoder that does not know a word of the text, or its wording (`writes`), is asked
        for this caption instead.

        Args:
            text: of a person, anything.

        Returns:
            A caption of the same meaning; None where the text is no caption of this world.
        """
        return None

    def nearest(self, text: str) -> str | None:
        """The caption that says most of what a text says, of any split, in a few milliseconds.

        Args:
            text: of a person, anything. Its case, punctuation and spaces do not matter.

        Returns:
            A caption, the same each time; None where the text is one itself, or where the world
            cannot tell.
        """
        return None


@dataclass(frozen=True)
class Given:
    """A medium of which a part is given."""

    media: Media
    """Of the shape that the options ask for; what is not given holds a likely filling."""

    known: Bool[Tensor, "frames height width"]
    """Cells of the latent that are given as a whole."""


class Modality(ABC):
    """The parts of a modality; its class is called as `Modality(options, vae_folder)`."""

    options: Any
    """The plugin's own dataclass; its architecture fields decide the parts."""

    tokenizer: Tokenizer
    vae: VAE
    decoder: Decoder

    world: World | None = None
    """None for a modality without a synthetic world; it cannot be evaluated by an oracle."""

    feature_dim: int = 0
    """Numbers per frame that `features` gives."""

    def __init__(self, options: Any, vae_folder: Path | None = None) -> None:
        """Keep the options. A subclass makes its parts, and reads no weights yet.

        Args:
            options: the plugin's own dataclass.
            vae_folder: with the weights; None where the options have no field `vae`.
        """
        self.options = options

    @abstractmethod
    def media_shape(self, options: Any) -> tuple[int, ...]:
        """Shape of the media that `options` ask for.

        Raises:
            LuminaError: for a size that no latent fits; names the nearest legal ones.
        """

    def fit(self, media: Media, limits: SizeLimits) -> Media:
        """Media of any size, as a file has them, at a legal size within the limits of a run.

        Keeps size and proportions as far as it can, and never enlarges. Unless overridden, media
        stay as they are.

        Raises:
            LuminaError: they are too small or too long; says in which way, without their name.
        """
        count = self.tokenizer.grid(self.vae.latent_shape(tuple(media.shape))).num_patches
        if not limits.min_tokens <= count <= limits.max_tokens:
            raise LuminaError(
                f"it has {count} tokens; a run takes {limits.min_tokens} to {limits.max_tokens}"
            )
        return media

    def decode(self, latent: Float[Tensor, "channels frames height width"], options: Any) -> Media:
        """The media of one latent, as `options` ask for them.

        Overridden where a request says more about decoding than the latent does: a duration that
        was rounded up is cut, or the request chooses how a latent becomes media.
        """
        return self.vae.decode(latent)

    def read(self, path: Path, options: Any) -> Media:
        """A file as media for training with these options.

        Overridden where media run in time: the beginning of a file, at the rate and of at most the
        length that the options ask for.

        Raises:
            LuminaError: as `Decoder.read`.
        """
        return self.decoder.read(path)

    def described(self, path: Path, media: Media, options: Any) -> Any:
        """The options of media from a file.

        What the file says of itself (cameras, a rate) stands in place of what the run says.

        Args:
            path: of the file, or of the folder.
            media: as read from there, at the size that it has.
            options: of the run.

        Raises:
            LuminaError: what it says cannot be read, or does not fit its media.
        """
        return options

    def features(self, options: Any, grid: Grid) -> Float[Tensor, "frame feature"] | None:
        """What conditions each frame of the grid beside time and text: a rate, a camera.

        Args:
            options: of the medium; for one from a file, as `described` gives them.
            grid: of the tokens.

        Returns:
            `feature_dim` numbers for each frame; None where that is 0.
        """
        return None

    def coarser(self, options: Any, factor: float) -> Any:
        """Options of a smaller medium of the same proportions, as nearly as it goes.

        Args:
            options: of the medium to make.
            factor: on every length, below 1.

        Returns:
            None where large media cannot begin small (`coarse.above`).
        """
        return None

    def enlarged(self, media: Media, options: Any) -> Media:
        """A small medium at the size that `options` ask for, smoothly; goes with `coarser`."""
        raise NotImplementedError(f"{type(self).__name__} has `coarser` and lacks `enlarged`")

    def condition(self, wanted: Any, options: Any) -> Given:
        """What is given, where the spec names a `condition`.

        Args:
            wanted: the plugin's own dataclass of conditions, at least one field not None.
            options: of the medium to make.

        Raises:
            LuminaError: a file that cannot be read, or that does not fit the options.
        """
        raise NotImplementedError(
            f"the spec names a condition, and {type(self).__name__} lacks `condition`"
        )


def feature_dims(name: str, modality: Modality) -> dict[str, int]:
    """The number of a modality's features by its name; empty where it has none."""
    return {name: modality.feature_dim} if modality.feature_dim else {}


def has_weights(options: Any) -> bool:
    """Whether the VAE of a modality has weights: its options name their folder in a field `vae`."""
    return any(field.name == "vae" for field in fields(options))


def members(base: type) -> frozenset[str]:
    """The public names of a base class of the contract, methods and values."""
    return frozenset(
        name for name in (*vars(base), *base.__annotations__) if not name.startswith("_")
    )


Media: TypeAlias = "Tensor"
"""One picture, clip or sound as one tensor, in the precision that its file keeps (pixels as uint8).

The core hashes it and hands it on; what its axes mean is the plugin's business.
"""


class Decoder(ABC):
    """Media to a file that ordinary players open, and back."""

    suffixes: tuple[str, ...]
    """Suffixes it writes, with their dots; the first where the user names no file."""

    folder_suffixes: tuple[str, ...] = ()
    """Those of `suffixes` that stand for a folder.

    `write` makes such a folder, whole or not at all; the others take it like a file, and
    `read_metadata` refuses one that holds anything but what `write` puts there.
    """

    folder_files: tuple[str, ...] = ()
    """Names of files, each of which makes a folder of any name a medium that `read` takes."""

    has_preview_file: bool = False
    """Whether `run` writes `preview` as a picture beside each file: the media cannot be seen."""

    noun: str = "media"
    """What messages call the media, in the plural."""

    @property
    def read_suffixes(self) -> tuple[str, ...]:
        """Suffixes of every file that `read` takes, in lower case: those it writes, and others."""
        return self.suffixes

    @abstractmethod
    def write(self, media: Media, path: Path, metadata: Mapping[str, Any], options: Any) -> None:
        """Write the file atomically, with `metadata` as JSON inside it.

        Args:
            media: what is in it.
            path: of the file.
            metadata: the request, to be read back as it is.
            options: the plugin's own dataclass, with which the media were made; for what these do
                not say themselves, such as a rate.

        Raises:
            LuminaError: as `check_suffix`, or the kind of file cannot hold the media.
        """

    @abstractmethod
    def read(self, path: Path) -> Media:
        """The media of a file.

        Raises:
            LuminaError: for a file that is broken or of another kind.
        """

    @abstractmethod
    def read_metadata(self, path: Path) -> dict[str, Any] | None:
        """The metadata that `write` put inside the file; None when there is none."""

    @abstractmethod
    def preview(self, media: Media, options: Any) -> UInt8[Tensor, "3 height width"]:
        """An RGB picture that shows the media at a glance; `options` as in `write`."""

    def check_format(self, suffix: str, media_shape: tuple[int, ...], options: Any) -> None:
        """Refuse what a kind of file cannot hold, before anything is computed.

        Args:
            suffix: of the file, one of `suffixes`.
            media_shape: of the medium.
            options: the plugin's own dataclass.

        Raises:
            LuminaError: names the nearest that it can hold, or another kind of file.
        """
        return None

    def check_suffix(self, path: Path) -> None:
        """Refuse a file whose suffix is none of `suffixes`.

        Raises:
            LuminaError: names those that there are.
        """
        if path.suffix.lower() not in self.suffixes:
            raise LuminaError(
                f"out={path} ends in {path.suffix!r}; {self.noun} are written as "
                f"{', '.join(self.suffixes)}"
            )

    def array(self, media: Media) -> np.ndarray:
        """The media as NumPy users expect them; where nothing else is usual, as they are."""
        return media.cpu().numpy()

    def image(self, media: Media, options: Any) -> Image:
        """The media as a picture of Pillow: the preview."""
        from PIL import Image

        pixels = self.preview(media, options).cpu().permute(1, 2, 0)
        return Image.fromarray(pixels.contiguous().numpy())
