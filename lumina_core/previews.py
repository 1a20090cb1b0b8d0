"""Pictures that show media at a glance, in files beside them, where the decoder asks for it.

The command line writes them; `Generated.save` writes the one file that it is told to.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from einops import rearrange
from jaxtyping import UInt8
from torch import Tensor

from lumina_core.decoder import Decoder, Media
from lumina_core.files import new_output
from lumina_core.output_paths import preview_path
from lumina_core.unfinished import discard

if TYPE_CHECKING:
    from lumina_core.run import Generated


def save_with_preview(item: "Generated", path: Path, *, overwrite: bool) -> Path | None:
    """Write a file and the preview that belongs to it: both, or neither.

    Returns:
        The preview; None where the decoder wants none.

    Raises:
        LuminaError: one of them is there already, or cannot be written.
    """
    is_saved = False
    try:
        with new_preview(path, item.media, item.decoder, overwrite=overwrite) as preview:
            item.save(path, overwrite=overwrite)
            is_saved = True
    except BaseException:
        if is_saved and not overwrite:  # the preview did not get its name
            discard(path)
        raise
    return preview


@contextmanager
def new_preview(
    path: Path, media: Media, decoder: Decoder, *, overwrite: bool
) -> Iterator[Path | None]:
    """Write the preview of a file, as a PNG beside it that gets its name when the block ends well.

    So what the block writes, the file itself, is only there if there was room for both.

    Args:
        path: of the file.
        media: what is in it.
        decoder: that writes it.
        overwrite: replace a preview that is there.

    Yields:
        The PNG that will be there; None where the decoder wants none.

    Raises:
        LuminaError: it is there already, or cannot be written.
    """
    preview = preview_path(path, decoder)
    if preview is None:
        yield None
        return
    with new_output(preview, overwrite=overwrite) as temporary:
        _save_png(temporary, decoder.preview(media))
        yield preview


def _save_png(path: Path, picture: UInt8[Tensor, "3 height width"]) -> None:
    from PIL import Image

    pixels = rearrange(picture.cpu(), "rgb height width -> height width rgb").contiguous().numpy()
    Image.fromarray(pixels).save(path)
