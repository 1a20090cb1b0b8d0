"""The decoder of a modality: media to files that ordinary programs open, and back.

Imports nothing heavy, as `lumina_core.modality`, of whose contract it is a part.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from lumina_core.errors import LuminaError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from jaxtyping import UInt8
    from PIL.Image import Image
    from torch import Tensor

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
    def write(self, media: Media, path: Path, metadata: Mapping[str, Any]) -> None:
        """Write the file atomically, with `metadata` as JSON inside it.

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
    def preview(self, media: Media) -> UInt8[Tensor, "3 height width"]:
        """An RGB picture that shows the media at a glance."""

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

    def image(self, media: Media) -> Image:
        """The media as a picture of Pillow: the preview."""
        from PIL import Image

        return Image.fromarray(self.preview(media).cpu().permute(1, 2, 0).contiguous().numpy())
