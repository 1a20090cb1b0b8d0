"""Static HTML pages in one file: no script, no network, every text escaped.

The folder html/ holds their markup; gallery.py, report.py and training/report.py say what stands
on them.
"""

import os
from base64 import b64encode
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from jaxtyping import UInt8
from torch import Tensor

from lumina_core.errors import LuminaError, harmless_lines
from lumina_core.files.reading import open_regular
from lumina_core.files.writing import atomic_write
from lumina_core.media.browsers import shown_as
from lumina_core.sampling.output_paths import check_new_file

if TYPE_CHECKING:
    from jinja2 import Environment


MAX_PREVIEW_SIDE = 256  # pixels of an embedded picture, so that a page with hundreds stays small
PAGE_SUFFIXES = (".html", ".htm")
MARK = '<meta name="generator" content="lumina-core">'
"""By which a page of ours is known, and may be replaced."""

_MARK_WITHIN = 400  # bytes from the beginning of a page


class Figure(NamedTuple):
    """One medium with its text below it."""

    source: str
    """A relative address as `link` makes it, or a data URI."""
    suffix: str
    """Of the file, with its dot; says how browsers show it."""
    text: str
    """What it is to show; also its description for those who do not see it."""
    details: list[str]
    """Further short lines."""
    preview: str | None = None
    """Address of a picture that shows the medium at a glance, below it."""


def render(template: str, **values: Any) -> str:
    """A page.

    Args:
        template: a file of the folder html/.
        values: what stands on it.
    """
    return _environment().get_template(template).render(values)


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    def harmless(value: Any) -> Any:  # text of others, which may hold marks of direction
        return value if hasattr(value, "__html__") else harmless_lines(str(value))

    environment = Environment(
        loader=PackageLoader("lumina_core.evaluation", "html"),
        autoescape=True,
        finalize=harmless,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    environment.filters["shown_as"] = shown_as
    return environment


def link(path: Path, page_path: Path) -> str:
    """The address of a file, relative to the page that names it."""
    relative = os.path.relpath(path.absolute(), page_path.absolute().parent)
    return quote(os.fsencode(relative))


def data_uri(preview: UInt8[Tensor, "3 height width"]) -> str:
    """A picture as an address that holds it, made smaller if need be."""
    from lumina_core.media.pictures import as_image

    image = as_image(preview)
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


def check_page(path: Path) -> None:
    """Refuse a name of a page that is none, or that another file has.

    Raises:
        LuminaError: another suffix, no usable path, or a file that is no page of ours.
    """
    if path.suffix.lower() not in PAGE_SUFFIXES:
        raise LuminaError(f"out={path} ends in {path.suffix!r}; a page ends in .html")
    check_new_file(path, overwrite=True)
    if path.exists() and not is_own_page(path):
        raise LuminaError(f"{path} exists already and is no page of ours; use out=FILE.html")


def is_own_page(path: Path) -> bool:
    """Whether a file is a page that `write_page` wrote."""
    if not path.is_file():
        return False
    with open_regular(path) as file:
        return MARK.encode() in file.read(_MARK_WITHIN)
