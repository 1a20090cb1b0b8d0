"""Turntables: views as a clip, in the order of their azimuths from the front on.

The file keeps no camera but in its request, from which the order of the views follows again.
"""

from itertools import islice
from pathlib import Path

import torch

from lumina_core import LuminaError
from lumina_core.media.clips.reading import frames_of, held
from lumina_core.media.clips.writing import check_kind, write_clip
from lumina_multiview.options import MAX_PIXELS, TURN, MultiviewOptions
from lumina_multiview.picture_reading import Pictures

TURN_SECONDS = 4.0  # of one turn; many views take longer
MAX_FPS = {".mp4": 30.0, ".gif": 50.0}
"""Of each kind of file; browsers show a GIF of more in slow motion."""


def check_turntable(suffix: str, options: MultiviewOptions) -> None:
    """Refuse views that make no turntable, or that a kind of file cannot hold.

    Raises:
        LuminaError: names what would do.
    """
    if options.num_views < 2:
        raise LuminaError("a turntable needs 2 views or more, and one is asked for; write a .png")
    if len(set(options.elevations)) > 1:
        raise LuminaError(
            f"views at elevations from {min(options.elevations):g} to {max(options.elevations):g} "
            "make no turntable; give one elevation for all, or write a .png or .views"
        )
    shape = (options.num_views, 3, options.height, options.width)
    check_kind(suffix, shape, _rate(suffix, options))


def write_turntable(media: Pictures, path: Path, options: MultiviewOptions, comment: str) -> None:
    """Write views as a clip that turns once around the object.

    Args:
        media: the views.
        path: an MP4 or a GIF.
        options: of the views.
        comment: with the request.

    Raises:
        LuminaError: as `write_clip`.
    """
    turned = media[turning_order(options.angles)]
    write_clip(turned, path, _rate(path.suffix.lower(), options), comment)


def read_turntable(path: Path, options: MultiviewOptions) -> Pictures:
    """The views of a turntable in the order of its request.

    Args:
        path: an MP4 or a GIF.
        options: of its request.

    Raises:
        LuminaError: it has other views than its request says.
        Exception: as `lumina_core.media.clips.reading.frames_of`.
    """
    fps = _rate(path.suffix.lower(), options)
    frames = islice(held(frames_of(path, fps, MAX_PIXELS), fps), options.num_views + 1)
    size = (options.height, options.width)
    media = torch.empty((options.num_views, 3, *size), dtype=torch.uint8)
    count = 0
    for place, frame in zip([*turning_order(options.angles), None], frames, strict=False):
        if frame.shape[1:] != size:
            raise LuminaError(
                f"its views are {frame.shape[2]} x {frame.shape[1]} pixels, not {options.width} x "
                f"{options.height} as its request says"
            )
        count += 1
        if place is not None:
            media[place] = frame
    if count != options.num_views:
        found = "more than" if count > options.num_views else f"{count} of"
        raise LuminaError(f"it has {found} the {options.num_views} views that its request names")
    return media


def turning_order(azimuths: tuple[float, ...]) -> list[int]:
    """Numbers of the views by their azimuths, the one that is nearest to the front first.

    Args:
        azimuths: degrees of each view, from 0 to below 360.
    """
    order = sorted(range(len(azimuths)), key=azimuths.__getitem__)
    away = [min(azimuths[number], TURN - azimuths[number]) for number in order]
    first = away.index(min(away))
    return order[first:] + order[:first]


def _rate(suffix: str, options: MultiviewOptions) -> float:
    """Frames per second."""
    return min(options.num_views / TURN_SECONDS, MAX_FPS[suffix])
