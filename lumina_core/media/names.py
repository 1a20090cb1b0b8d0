"""Names of the files that stand beside others: previews and contact sheets."""

from pathlib import Path

from lumina_core.modality import Decoder

PREVIEW, SHEET = "-preview.png", "-sheet.png"
"""Ends of the names of pictures beside media."""


def sheet_path(first: Path) -> Path:
    """The contact sheet beside several samples, the first of which is given."""
    return first.with_name(f"{first.stem}{SHEET}")


def preview_path(path: Path, decoder: Decoder) -> Path | None:
    """The picture beside a file; None for media that need none."""
    return path.with_name(f"{path.name}{PREVIEW}") if decoder.has_preview_file else None
