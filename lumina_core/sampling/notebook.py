"""How a notebook shows what was made: as a file that browsers play, in the page itself.

The file is the one that `save` writes, its request inside, as long as it is small; a large one
would make the notebook unusable, so that a preview stands in its place.
"""

import tempfile
from base64 import b64encode
from collections.abc import Sequence
from html import escape
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lumina_core.errors import LuminaError, harmless, why
from lumina_core.media.browsers import AUDIO, CONTENT_TYPES, VIDEO, shown_as
from lumina_core.media.seal import write_sealed
from lumina_core.modality import Decoder, Media
from lumina_core.terminal import size_text

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_ITEM = 4_000_000  # bytes of a file that stands in a notebook
MAX_CELL = 16_000_000  # bytes of all files of a list
MAX_SHOWN = 64  # items of a list
MAX_STILL_SIDE = 1024  # pixels of a preview
_STYLE = "display:inline-block;vertical-align:top;margin:0 12px 12px 0;max-width:100%"
_MEDIUM = "display:block;min-width:8rem;max-width:100%;border-radius:6px"
_CAPTION = "max-width:24rem;font-size:.85em;overflow-wrap:anywhere"


class Shown(Protocol):
    """What a `Generated` tells of itself; all can be read and none is set."""

    @property
    def media(self) -> Media:
        """What was made."""

    @property
    def options(self) -> Any:
        """Of the modality."""

    @property
    def request(self) -> dict[str, Any]:
        """What stands inside its file."""

    @property
    def media_sha256(self) -> str:
        """Its hash."""

    @property
    def decoder(self) -> Decoder:
        """Writes it."""

    @property
    def prompt(self) -> str:
        """What it shows."""

    @property
    def seed(self) -> int:
        """What it follows from."""

    @property
    def image(self) -> "Image":
        """A picture of it."""
        ...


def item_html(item: Shown) -> str:
    """One medium with its prompt and seed."""
    return _figure(item, MAX_ITEM)[0]


def items_html(items: Sequence[Shown]) -> str:
    """Several media; as many are whole as fit into a cell, the others are previews."""
    left, figures = MAX_CELL, []
    for item in items[:MAX_SHOWN]:
        figure, size = _figure(item, min(MAX_ITEM, left))
        left -= size
        figures.append(figure)
    if len(items) > MAX_SHOWN:
        figures.append(f"<p>{len(items) - MAX_SHOWN} more are not shown.</p>")
    return f"<div>{''.join(figures)}</div>"


def still(item: Shown) -> bytes:
    """A PNG of the medium, made smaller where it is large."""
    image = item.image
    image.thumbnail((MAX_STILL_SIDE, MAX_STILL_SIDE))
    file = BytesIO()
    image.save(file, "png")
    return file.getvalue()


def _figure(item: Shown, max_bytes: int) -> tuple[str, int]:
    """What shows a medium, and the size of its file; 0 where a preview stands for it."""
    suffix, found, reason = _file(item, max_bytes)
    kind = None if suffix is None else shown_as(suffix)
    name = escape(harmless(item.prompt))
    parts = []
    if kind in (None, AUDIO):
        parts.append(_image(_url(".png", still(item)), name))
    if suffix is not None:
        url = _url(suffix, found)
        if kind == AUDIO:
            parts.append(f'<audio controls src="{url}" aria-label="{name}" style="width:100%">')
            parts.append("</audio>")
        elif kind == VIDEO:
            # without a sound, or browsers do not let it start by itself
            parts.append(f'<video controls loop autoplay muted playsinline src="{url}" ')
            parts.append(f'aria-label="{name}" style="{_MEDIUM}"></video>')
        else:
            parts.append(_image(url, name))
    told = [name, f"seed {item.seed}", *([escape(reason)] if reason else [])]
    caption = f'<figcaption style="{_CAPTION}">{"<br>".join(told)}</figcaption>'
    return f'<figure style="{_STYLE}">{"".join(parts)}{caption}</figure>', len(found)


def _file(item: Shown, max_bytes: int) -> tuple[str | None, bytes, str]:
    """The first kind of file that a browser shows and that is small enough.

    Returns:
        Its suffix, its bytes, and, where there is none, a sentence that says why.
    """
    reason = ""
    for suffix in filter(shown_as, item.decoder.suffixes):
        try:
            item.decoder.check_format(suffix, tuple(item.media.shape), item.options)
            found = _written(item, suffix)
        except (LuminaError, OSError) as error:
            reason = reason or f"A preview: {harmless(why(error))}"
            continue
        if len(found) <= max_bytes:
            return suffix, found, ""
        reason = f"A preview: its file has {size_text(len(found))}; .save() writes it."
    return None, b"", reason


def _written(item: Shown, suffix: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"shown{suffix}")
        write_sealed(item.decoder, item.media, path, item.request, item.options, item.media_sha256)
        return path.read_bytes()


def _url(suffix: str, data: bytes) -> str:
    return f"data:{CONTENT_TYPES[suffix]};base64,{b64encode(data).decode()}"


def _image(url: str, name: str) -> str:
    return f'<img src="{url}" alt="{name}" style="{_MEDIUM}">'
