"""A given picture, or a folder of views, among the views to make."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from lumina_core import LuminaError
from lumina_multiview.options import (
    TURN,
    MultiviewCondition,
    MultiviewOptions,
    listed,
    wrapped,
)
from lumina_multiview.picture_reading import Pictures, read_picture
from lumina_multiview.request_options import options_in
from lumina_multiview.views_files import GRID, MultiviewDecoder
from lumina_multiview.views_folder import read_views

TOLERANCE = 0.5  # degrees by which a given view may be off the one to make


def place(
    wanted: MultiviewCondition,
    options: MultiviewOptions,
    media_shape: Callable[[MultiviewOptions], tuple[int, ...]],
) -> tuple[Pictures, Bool[Tensor, "view"]]:
    """All views, each the given one or, where none is given, the nearest that is; and which are.

    Args:
        wanted: what is given.
        options: of the views to make.
        media_shape: refuses options of an illegal size.

    Raises:
        LuminaError: a file that holds no views, of another size, or views that are not to be made.
    """
    path = Path(str(wanted.view))
    if path.is_dir():
        pictures, places = _from_folder(path, wanted, options)
    else:
        pictures, places = _one_picture(path)[None], [_view_at(wanted, options)]
    _check_size(path, pictures, options, media_shape)
    known = torch.zeros(options.num_views, dtype=torch.bool)
    known[places] = True
    nearest = [
        min(range(len(places)), key=lambda which: _apart(options.angles[places[which]], azimuth))
        for azimuth in options.angles
    ]
    canvas = pictures[nearest]
    canvas[places] = pictures
    return canvas, known


def _from_folder(
    path: Path, wanted: MultiviewCondition, options: MultiviewOptions
) -> tuple[Pictures, list[int]]:
    """The views of a folder, and which of the views to make each of them is."""
    if wanted.azimuth is not None:
        raise LuminaError(
            f"condition.azimuth={wanted.azimuth}: the folder {path} says itself where its views "
            "were taken; leave condition.azimuth out, or give one picture of it"
        )
    found = read_views(path)
    cameras = list(zip(options.angles, options.elevations, strict=True))
    places: list[int] = []
    for azimuth, elevation in zip(found.azimuths, found.elevations, strict=True):
        free = [number for number in range(len(cameras)) if number not in places]
        fits = [n for n in free if _is_near(cameras[n], (azimuth, elevation))]
        if not fits and any(_is_near(camera, (azimuth, elevation)) for camera in cameras):
            raise LuminaError(
                f"{path} has more views at azimuth {azimuth:g} and elevation {elevation:g} than "
                "are to be made there; leave all but one out of the folder"
            )
        if not fits:
            raise LuminaError(
                f"{path} has a view at azimuth {azimuth:g} and elevation {elevation:g}, which is "
                f"none of those to make (azimuths {listed(options.angles)}, elevation "
                f"{listed(sorted(set(options.elevations)))}); set modality.azimuths and "
                "modality.elevation to those of the folder and the others that you want"
            )
        places.append(min(fits, key=lambda n: _apart(cameras[n][0], azimuth)))
    return found.pictures, places


def _one_picture(path: Path) -> UInt8[Tensor, "3 height width"]:
    """A picture of one view."""
    picture = read_picture(path)
    count = _num_views(path)
    if count > 1:
        raise LuminaError(
            f"condition.view={path} is a grid of {count} views; give one of them, or write them "
            "with out=NAME.views and give that folder"
        )
    return picture


def _num_views(path: Path) -> int:
    """How many views a picture shows by its request; 1 where that is none of views."""
    if path.suffix.lower() != GRID:
        return 1
    request = MultiviewDecoder().read_metadata(path)
    try:
        return options_in(request).num_views
    except LuminaError:
        return 1


def _view_at(wanted: MultiviewCondition, options: MultiviewOptions) -> int:
    """Which of the views to make a picture is; the first unless its azimuth is given."""
    if wanted.azimuth is None:
        return 0
    azimuth = wrapped(wanted.azimuth)
    fits = [n for n, other in enumerate(options.angles) if _apart(other, azimuth) <= TOLERANCE]
    if not fits:
        raise LuminaError(
            f"condition.azimuth={wanted.azimuth} is none of the views to make "
            f"({listed(options.angles)}); use one of them, or add it to modality.azimuths"
        )
    if len({options.elevations[n] for n in fits}) > 1:
        raise LuminaError(
            f"condition.azimuth={wanted.azimuth} is the azimuth of {len(fits)} views to make, at "
            "several elevations; give a .views folder, whose cameras.json tells which"
        )
    return min(fits, key=lambda n: _apart(options.angles[n], azimuth))


def _check_size(
    path: Path,
    pictures: Pictures,
    options: MultiviewOptions,
    media_shape: Callable[[MultiviewOptions], tuple[int, ...]],
) -> None:
    height, width = pictures.shape[2:]
    if (height, width) == (options.height, options.width):
        return
    advice = f"set modality.width={width} modality.height={height}, or scale the file"
    try:
        media_shape(replace(options, height=height, width=width))
    except LuminaError:
        advice = "scale the file"
    raise LuminaError(
        f"condition.view={path} is {width} x {height} pixels, the views to make {options.width} x "
        f"{options.height}; {advice}"
    )


def _is_near(camera: tuple[float, float], other: tuple[float, float]) -> bool:
    is_turned = _apart(camera[0], other[0]) > TOLERANCE
    return not is_turned and abs(camera[1] - other[1]) <= TOLERANCE


def _apart(azimuth: float, other: float) -> float:
    """Degrees between two azimuths, the short way round."""
    difference = abs(azimuth - other) % TURN
    return min(difference, TURN - difference)
