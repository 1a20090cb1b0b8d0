"""Files that come with a request: kept for its job, and refused undecoded where they are too large.

A file gets a name of ours in the private folder of its job; of the name that the client gave only
the suffix is kept. A sound is not looked at here: its modality reads no further than the sound to
make is long.
"""

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from PIL import Image
from starlette.datastructures import UploadFile

from lumina_core.errors import MAX_NAME, printable
from lumina_core.media.clips.extent import extent_of
from lumina_core.media.clips.parts import CrowdedError
from lumina_core.server.refusals import RefusedError

MAX_PIXELS = 1 << 24  # of a picture or a frame: 50 MB as RGB
MAX_FRAMES = 10_000  # of a clip
MAX_CLIP_PIXELS = 1 << 30  # of a clip: 500 frames of 1920 x 1080
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
    """Why a file is not decoded, by what stands in it; None where nothing is against it."""
    try:
        width, height, frames, seconds = extent_of(path, MAX_FRAMES)
    except Image.DecompressionBombError:
        return f"is a picture of too many pixels; at most {MAX_PIXELS} are read"
    except CrowdedError:
        return "has far more parts than its size explains; save it anew"
    except Exception:  # a sound, or broken: its modality's reader opens it next, and says so
        return None
    if width * height > MAX_PIXELS:
        return f"has {width} x {height} pixels; at most {MAX_PIXELS} in all are read"
    if frames > MAX_FRAMES:
        return f"has more than {MAX_FRAMES} frames; cut it"
    if width * height * frames > MAX_CLIP_PIXELS:
        text = f"has {frames} frames of {width} x {height} pixels"
        return f"{text}; at most {MAX_CLIP_PIXELS} in all are read"
    if seconds > MAX_SECONDS:
        return f"lasts {seconds:g} seconds; at most {MAX_SECONDS} are read"
    return None
