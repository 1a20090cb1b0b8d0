"""The decoder of a modality: media to files that ordinary programs open, and back.

Imports nothing heavy, as `lumina_core.modality`, of whose contract it is a part.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from pathlib import Path

    from jaxtyping import UInt8
    from torch import Tensor

Media: TypeAlias = "Tensor"
"""One picture, clip or sound as one tensor, in the precision that its file keeps (pixels as uint8).

The core hashes it and hands it on; what its axes mean is the plugin's business.
"""


@runtime_checkable
class Decoder(Protocol):
    """Media to a file that ordinary players open, and back."""

    suffixes: tuple[str, ...]
    """Suffixes it writes and reads, with their dots; the first where the user names no file."""

    def write(self, media: Media, path: Path, metadata: Mapping[str, Any]) -> None:
        """Write the file atomically, with `metadata` as JSON inside it."""
        ...

    def read(self, path: Path) -> Media:
        """The media of a file.

        Raises:
            LuminaError: for a file that is broken or of another kind.
        """
        ...

    def read_metadata(self, path: Path) -> dict[str, Any] | None:
        """The metadata that `write` put inside the file; None when there is none."""
        ...

    def preview(self, media: Media) -> UInt8[Tensor, "3 height width"]:
        """An RGB picture that shows the media at a glance."""
        ...


class ReadingDecoder(Decoder, Protocol):
    """A decoder that reads more kinds of file than it writes; see `read_suffixes`."""

    read_suffixes: tuple[str, ...]
    """Suffixes of every file that `read` takes, in lower case, with their dots."""


def read_suffixes(decoder: Decoder) -> tuple[str, ...]:
    """Suffixes of the files that a decoder reads: those it writes, unless it names others."""
    return getattr(decoder, "read_suffixes", decoder.suffixes)


class FolderDecoder(Decoder, Protocol):
    """A decoder that also writes a medium as a folder of files; see `folder_suffixes`.

    Its `write` makes the folder, whole or not at all; the others take a folder like a file, and
    `read_metadata` refuses one that holds anything but what `write` puts there.
    """

    folder_suffixes: tuple[str, ...]
    """Those of `suffixes` that stand for a folder."""


def folder_suffixes(decoder: Decoder) -> tuple[str, ...]:
    """Suffixes of the folders that a decoder writes: none, unless it names some."""
    return getattr(decoder, "folder_suffixes", ())


class OpenFolderDecoder(Decoder, Protocol):
    """A decoder that also reads folders of any name; see `folder_files`."""

    folder_files: tuple[str, ...]
    """Names of files, each of which makes a folder of any name a medium."""


def folder_files(decoder: Decoder) -> tuple[str, ...]:
    """Names of files that make a folder a medium: none, unless a decoder names some."""
    return getattr(decoder, "folder_files", ())


class PreviewingDecoder(Decoder, Protocol):
    """A decoder of media that cannot be seen at a glance; see `has_preview_file`."""

    has_preview_file: bool
    """Whether `run` writes `preview` as a picture beside each file."""


def has_preview_file(decoder: Decoder) -> bool:
    """Whether a picture is written beside each file of a decoder: not unless it says so."""
    return getattr(decoder, "has_preview_file", False)


class CheckingDecoder(Decoder, Protocol):
    """A decoder whose kinds of file do not all hold the same media; see `check_format`."""

    def check_format(self, suffix: str, media_shape: tuple[int, ...], options: Any) -> None:
        """Refuse what a kind of file cannot hold, before anything is computed.

        Args:
            suffix: of the file, one of `suffixes`.
            media_shape: of the medium.
            options: the plugin's own dataclass.

        Raises:
            LuminaError: names the nearest that it can hold, or another kind of file.
        """
        ...


def check_format(decoder: Decoder, suffix: str, media_shape: tuple[int, ...], options: Any) -> None:
    """Refuse what a kind of file cannot hold, if the decoder knows such limits.

    Raises:
        LuminaError: as `CheckingDecoder.check_format`.
    """
    if hasattr(decoder, "check_format"):
        decoder.check_format(suffix, media_shape, options)
