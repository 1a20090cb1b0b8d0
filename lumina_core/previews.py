"""Pictures that show media at a glance, in files beside them, where the decoder asks for it.

The command line writes them; `Generated.save` writes the one file that it is told to.
"""

from pathlib import Path

from einops import rearrange
from jaxtyping import UInt8
from torch import Tensor

from lumina_core.decoder import Decoder, Media
from lumina_core.files import new_output
from lumina_core.output_paths import preview_path


def save_preview(path: Path, media: Media, decoder: Decoder, *, overwrite: bool) -> Path | None:
    """Write the preview of a file beside it, as a PNG.

    Args:
        path: of the file.
        media: what is in it.
        decoder: that wrote it.
        overwrite: replace a preview that is there.

    Returns:
        The PNG; None where the decoder wants none.

    Raises:
        LuminaError: it is there already, or cannot be written.
    """
    preview = preview_path(path, decoder)
    if preview is not None:
        with new_output(preview, overwrite=overwrite) as temporary:
            _save_png(temporary, decoder.preview(media))
    return preview


def _save_png(path: Path, picture: UInt8[Tensor, "3 height width"]) -> None:
    from PIL import Image

    pixels = rearrange(picture.cpu(), "rgb height width -> height width rgb").contiguous().numpy()
    Image.fromarray(pixels).save(path)
