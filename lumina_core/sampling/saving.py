"""Writes what was made, its preview beside it, and tells of the file."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lumina_core.files.hashes import sha256_of
from lumina_core.files.unfinished import discard
from lumina_core.media.previews import new_preview

if TYPE_CHECKING:
    from lumina_core.sampling.generate import Generated


def save_with_preview(item: "Generated", path: Path, *, overwrite: bool) -> Path | None:
    """Write a file and the preview that belongs to it: both, or neither.

    Returns:
        The preview; None where the decoder wants none.

    Raises:
        LuminaError: one of them is there already, or cannot be written.
    """
    is_saved = False
    try:
        with new_preview(
            path, item.media, item.options, item.decoder, overwrite=overwrite
        ) as preview:
            item.save(path, overwrite=overwrite)
            is_saved = True
    except BaseException:
        if is_saved and not overwrite:  # the preview did not get its name
            discard(path)
        raise
    return preview


def file_record(
    path: Path, request: Mapping[str, Any], media_sha256: str | None, preview: Path | None
) -> dict[str, Any]:
    """What the JSON of `run` says of one file, or of one folder that holds a medium."""
    record = {
        "path": str(path),
        "sha256": sha256_of(path),
        "media_sha256": media_sha256,
        **{key: request[key] for key in ("modality", "prompt", "seed")},
    }
    return record if preview is None else record | {"preview": str(preview)}
