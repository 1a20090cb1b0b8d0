"""Static HTML pages in one file: no script, no network, every text escaped.

Knows markup and nothing else; gallery.py and evaluation_report.py say what stands on a page.
"""

import os
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from io import BytesIO
from pathlib import Path
from urllib.parse import quote

from einops import rearrange
from jaxtyping import UInt8
from torch import Tensor

from lumina_core.errors import harmless_lines
from lumina_core.files import atomic_write, open_regular

MAX_PREVIEW_SIDE = 256  # pixels of an embedded picture, so that a page with hundreds stays small
PAGE_SUFFIXES = (".html", ".htm")
MARK = '<meta name="generator" content="lumina-core">'
"""By which a page of ours is known, and may be replaced."""

_MARK_WITHIN = 400  # bytes from the beginning of a page
_MEDIA = {
    **dict.fromkeys(
        (".png", ".jpg", ".jpeg", ".webp", ".gif"), '<img src="{src}" alt="{alt}" loading="lazy">'
    ),
    **dict.fromkeys(
        (".mp4", ".webm"),
        '<video src="{src}" aria-label="{alt}" controls loop preload="metadata"></video>',
    ),
    **dict.fromkeys(
        (".wav", ".flac", ".ogg"),
        '<audio src="{src}" aria-label="{alt}" controls preload="none"></audio>',
    ),
}
"""What browsers show by themselves; any other file becomes a link."""
_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 76rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0 }
caption { text-align: left; font-weight: bold }
th, td { padding: .2rem 1rem .2rem 0; text-align: left; border-bottom: 1px solid #8886 }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: 1rem }
figure { margin: 0 }
img, video, audio { width: 100% }
figcaption { font-size: .85rem; overflow-wrap: anywhere; white-space: pre-wrap }
small { display: block; opacity: .75 }
"""


def page(title: str, body: Iterable[str]) -> str:
    """A whole page.

    Args:
        title: plain text, also the heading.
        body: pieces of HTML.
    """
    text = "\n".join(body)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{MARK}\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_escaped(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{_escaped(title)}</h1>\n{text}\n</body>\n</html>\n"
    )


def heading(text: str) -> str:
    """The heading of a part of the page."""
    return f"<h2>{_escaped(text)}</h2>"


def paragraph(text: str) -> str:
    """A paragraph of plain text."""
    return f"<p>{_escaped(text)}</p>"


def table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of plain texts; the first column names the rows."""
    head = "".join(f'<th scope="col">{_escaped(name)}</th>' for name in columns)
    lines = [
        f'<tr><th scope="row">{_escaped(row[0])}</th>'
        + "".join(f"<td>{_escaped(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    ]
    return "\n".join(
        [f"<table><caption>{_escaped(caption)}</caption>", f"<tr>{head}</tr>", *lines, "</table>"]
    )


def settings_table(caption: str, values: Mapping[str, object]) -> str:
    """Names and values."""
    return table(caption, ("setting", "value"), [(key, str(v)) for key, v in values.items()])


def grid(figures: Iterable[str]) -> str:
    """Figures side by side."""
    return "\n".join(['<div class="grid">', *figures, "</div>"])


def figure(
    source: str, suffix: str, *, text: str, details: Sequence[str], preview: str | None = None
) -> str:
    """One medium with its text below it.

    Args:
        source: a relative address as `link` makes it, or a data URI.
        suffix: of the file, with its dot; says how browsers show it.
        text: what it is to show; also its description for those who do not see it.
        details: further short lines.
        preview: address of a picture that shows the medium at a glance, below it.
    """
    link = f'<a href="{{src}}">{_escaped(source.rpartition("/")[2])}</a>'
    medium = _MEDIA.get(suffix.lower(), link)
    lines = "".join(f"<small>{_escaped(detail)}</small>" for detail in details)
    shown = medium.format(src=_escaped(source), alt=_escaped(text))
    if preview is not None:
        shown += _MEDIA[".png"].format(src=_escaped(preview), alt=_escaped(text))
    return f"<figure>{shown}<figcaption>{_escaped(text)}{lines}</figcaption></figure>"


def _escaped(text: str) -> str:
    """Text of others, which neither markup nor marks of direction leave their place with."""
    return escape(harmless_lines(text))


def link(path: Path, page_path: Path) -> str:
    """The address of a file, relative to the page that names it."""
    relative = os.path.relpath(path.absolute(), page_path.absolute().parent)
    return quote(os.fsencode(relative))


def data_uri(preview: UInt8[Tensor, "3 height width"]) -> str:
    """A picture as an address that holds it, made smaller if need be."""
    from PIL import Image

    pixels = rearrange(preview.cpu(), "c h w -> h w c").contiguous().numpy()
    image = Image.fromarray(pixels)
    image.thumbnail((MAX_PREVIEW_SIDE, MAX_PREVIEW_SIDE))
    buffer = BytesIO()
    image.save(buffer, format="PNG")
    return f"data:image/png;base64,{b64encode(buffer.getvalue()).decode()}"


def write_page(path: Path, text: str) -> None:
    """Write a page atomically; half characters in names of files become question marks.

    Raises:
        LuminaError: it cannot be written.
    """
    with atomic_write(path) as file:
        file.write(text.encode("utf-8", "replace"))


def is_own_page(path: Path) -> bool:
    """Whether a file is a page that `write_page` wrote."""
    if not path.is_file():
        return False
    with open_regular(path) as file:
        return MARK.encode() in file.read(_MARK_WITHIN)
