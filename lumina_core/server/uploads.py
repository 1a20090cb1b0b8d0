"""Files that come with a request: kept for its job, and refused undecoded where they are too large.

A file gets a name of ours in the private folder of its job; of the name that the client gave only
the suffix is kept. What a file says of its size is looked at here; that it says the truth, its
modality's reader sees, which reads no further than the medium to make is long.
"""

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from PIL import Image
from starlette.datastructures import UploadFile

from lumina_core.errors import MAX_NAME, printable
from lumina_core.media.clips.reading import film_head
from lumina_core.media.pictures import opened
from lumina_core.server.refusals import RefusedError

PICTURES = ("PNG", "WEBP", "JPEG", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
"""Pillow's names of the pictures that are read, as far as Pillow has them."""
MAX_PIXELS = 1 << 24  # of a picture or a frame: 50 MB as RGB
MAX_FRAMES = 10_000  # of a clip
MAX_SECONDS = 600  # of a clip


async def kept_files(
    files: Mapping[str, UploadFile], folder: Path, accepted: Sequence[str]
) -> dict[str, str]:
    """Write the files of a request into a folder; gives the path of each.

    Args:
        files: by their keys.
        folder: of the job.
        accepted: suffixes that are read; the first is that of a file whose name has none.

    Raises:
        RefusedError: a suffix is none of those, or a file is too large.
    """
    found = {}
    for number, (key, file) in enumerate(files.items()):
        suffix = PurePosixPath(file.filename or "").suffix.lower() or next(iter(accepted), "")
        if suffix not in accepted:
            raise RefusedError(
                f"the file {printable(key, MAX_NAME)!r} ends in {printable(suffix, MAX_NAME)!r}; "
                f"send one of {', '.join(accepted)}",
                param=printable(key, MAX_NAME),
                code="invalid_file",
            )
        path = folder / f"given-{number}{suffix}"
        await asyncio.to_thread(_keep, file, path, printable(key, MAX_NAME))
        found[key] = str(path)
    return found


def _keep(file: UploadFile, path: Path, key: str) -> None:
    file.file.seek(0)
    with path.open("xb") as out:
        shutil.copyfileobj(file.file, out)
    if fault := too_large(path):
        raise RefusedError(f"the {key} that was sent {fault}", param=key, code="too_large")


def too_large(path: Path) -> str | None:
    """Why a file is not decoded, by what its head says; None where nothing is against it."""
    try:
        film = film_head(path)
        if film is None:
            with opened(path, PICTURES, "no picture") as picture:
                width, height = picture.size
        else:
            width, height = film.width, film.height
    except Image.DecompressionBombError:
        return f"is a picture of too many pixels; at most {MAX_PIXELS} are read"
    except Exception:  # a sound, or broken: its modality's reader opens it next, and says so
        return None
    if width * height > MAX_PIXELS:
        return f"has {width} x {height} pixels; at most {MAX_PIXELS} in all are read"
    if film and film.frames > MAX_FRAMES:
        return f"has {film.frames} frames; at most {MAX_FRAMES} are read"
    if film and (film.seconds or 0) > MAX_SECONDS:
        return f"lasts {film.seconds:g} seconds; at most {MAX_SECONDS} are read"
    return None
