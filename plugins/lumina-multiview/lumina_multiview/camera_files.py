"""Files that say where the views of a folder were taken: our cameras.json, those of NeRF.

NeRF's are camera-to-world matrices in a world with z up; a camera looks along its own -z, x is
right and y up in its picture, as in OpenGL. Only directions count: our cameras look from far away,
so distance, perspective and lens are left out.

Source: Mildenhall et al., NeRF, ECCV 2020; the layout of its Blender scenes.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from math import cos, hypot, radians
from pathlib import Path, PurePath
from typing import Any

from lumina_core import LuminaError, read_json
from lumina_core.media.file_names import Find, finder, with_slashes
from lumina_multiview.camera import angles_of, axes
from lumina_multiview.options import MAX_ELEVATION, MAX_VIEWS, TURN, wrapped
from lumina_multiview.request_options import number_in, shown

CAMERAS, TRANSFORMS = "cameras.json", "transforms.json"
TRAINED_TRANSFORMS = "transforms_train.json"  # beside those of the views that NeRF is judged by
CAMERA_FILES = (CAMERAS, TRANSFORMS, TRAINED_TRANSFORMS)
"""The first that a folder holds counts."""

PROJECTION = "orthographic"
NERF_SUFFIXES = ("", ".png", ".jpg", ".jpeg", ".webp")  # which a name of NeRF's leaves out
MAX_BYTES = 16 << 20
MAX_ROLL = 10.0  # degrees by which a picture may be turned about its line of sight


@dataclass(frozen=True)
class Cameras:
    """What a folder says of its views, in their order."""

    files: tuple[Path, ...]
    """The picture of each."""
    azimuths: tuple[float, ...]
    """Degrees, from 0 to below 360."""
    elevations: tuple[float, ...]
    """Degrees."""
    request: dict[str, Any] | None
    """None where there is none."""


def cameras_of(folder: Path) -> Cameras:
    """The cameras of a folder; it need not be ours.

    Args:
        folder: which holds one of CAMERA_FILES.

    Raises:
        LuminaError: it holds none, or one that is broken or leads out of the folder.
        Exception: whatever reading a file raises.
    """
    for name in CAMERA_FILES:
        if (folder / name).exists():
            found = _block(_loaded(folder, name), name)
            return _ours(folder, found) if name == CAMERAS else _nerfs(folder, found, name)
    raise LuminaError(f"it is a folder without {' or '.join(CAMERA_FILES)}")


def cameras_text(
    azimuths: tuple[float, ...], elevations: tuple[float, ...], request: Mapping[str, Any]
) -> str:
    """A cameras.json in ASCII, of views whose pictures are called `view_name`."""
    views = [
        {"file": view_name(number), "azimuth": azimuth, "elevation": elevation}
        for number, (azimuth, elevation) in enumerate(zip(azimuths, elevations, strict=True))
    ]
    found = {"projection": PROJECTION, "views": views, "request": dict(request)}
    return json.dumps(found, indent=1) + "\n"


def view_name(number: int) -> str:
    """How `run` calls the picture of a view; the first view is number 0."""
    return f"{number + 1:04d}.png"


def _ours(folder: Path, found: dict[str, Any]) -> Cameras:
    if found.get("projection") != PROJECTION:
        raise LuminaError(
            f"projection={shown(found.get('projection'))} in {CAMERAS} is not {PROJECTION!r}"
        )
    request = found.get("request")
    if request is not None:
        request = _block(request, f"the request in {CAMERAS}")
    files, azimuths, elevations = [], [], []
    find = finder(folder, is_wanted=os.path.isfile)
    for number, view in enumerate(_listed(found, "views", CAMERAS), start=1):
        where = f"view {number} in {CAMERAS}"
        azimuth = number_in(_value(view, "azimuth", where), f"azimuth of {where}")
        if not -TURN <= azimuth <= TURN:
            raise LuminaError(
                f"azimuth={azimuth:g} of {where} is out of range; use {-TURN:g} to {TURN:g}"
            )
        elevation = number_in(_value(view, "elevation", where), f"elevation of {where}")
        _check_elevation(elevation, where)
        files.append(_picture_file(folder, _value(view, "file", where), where, find))
        azimuths.append(wrapped(azimuth))
        elevations.append(elevation)
    return Cameras(tuple(files), tuple(azimuths), tuple(elevations), request)


def _nerfs(folder: Path, found: dict[str, Any], file_name: str) -> Cameras:
    files, angles = [], []
    find = finder(folder, NERF_SUFFIXES, os.path.isfile)
    for number, frame in enumerate(_listed(found, "frames", file_name), start=1):
        where = f"view {number} in {file_name}"
        name = _value(frame, "file_path", where)
        angles.append(_turned(_value(frame, "transform_matrix", where), where))
        files.append(_picture_file(folder, name, where, find))
    azimuths, elevations = zip(*angles, strict=True)
    return Cameras(tuple(files), azimuths, elevations, None)


def _turned(matrix: Any, where: str) -> tuple[float, float]:
    """Azimuth and elevation of a camera by its matrix.

    Raises:
        LuminaError: it is none, or the camera is mirrored or does not stand upright.
    """
    rows = matrix if isinstance(matrix, list) else []
    if len(rows) != 4 or not all(isinstance(row, list) and len(row) == 4 for row in rows):
        raise LuminaError(f"transform_matrix of {where} is no list of 4 rows with 4 numbers")
    rows = [[number_in(value, f"transform_matrix of {where}") for value in row] for row in rows]
    columns = [tuple(row[index] for row in rows[:3]) for index in range(3)]
    lengths = [hypot(*column) for column in columns]
    if not all(lengths):
        raise LuminaError(f"transform_matrix of {where} turns an axis into nothing")
    azimuth, elevation = angles_of(columns[2])
    _check_elevation(elevation, where)
    upright = axes(azimuth, elevation)[:2].tolist()
    for column, length, axis in zip(columns, lengths, upright, strict=False):
        along = sum(a * b for a, b in zip(column, axis, strict=True)) / length
        if along < cos(radians(MAX_ROLL)):
            raise LuminaError(
                f"{where} is mirrored, or turned about its line of sight by more than "
                f"{MAX_ROLL:g} degrees; turn its picture or the world upright (z up)"
            )
    return azimuth, elevation


def _check_elevation(elevation: float, where: str) -> None:
    if not -MAX_ELEVATION <= elevation <= MAX_ELEVATION:
        raise LuminaError(
            f"elevation={elevation:g} of {where} is out of range; use {-MAX_ELEVATION:g} to "
            f"{MAX_ELEVATION:g} degrees, or leave the view out"
        )


def _picture_file(folder: Path, name: Any, where: str, find: Find) -> Path:
    if not isinstance(name, str) or not name:
        raise LuminaError(f"file={shown(name)} of {where} is no name of a file")
    path = PurePath(with_slashes(name))
    if path.is_absolute() or ".." in path.parts:
        raise LuminaError(f"{shown(name)} leads out of the folder; name a file in it")
    file = find(name)
    if file is None:
        raise LuminaError(f"there is no file {shown(name)} in it, which {where} names")
    _check_inside(folder, file)
    return file


def _check_inside(folder: Path, file: Path) -> None:
    if not file.resolve().is_relative_to(folder.resolve()):
        raise LuminaError(f"{shown(file.name)} is a link out of the folder; copy the file into it")


def _loaded(folder: Path, name: str) -> Any:
    path = folder / name
    _check_inside(folder, path)
    try:
        return read_json(path, MAX_BYTES)
    except OSError as error:
        raise LuminaError(f"{name} in it cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise LuminaError(f"{name} in it is no JSON in UTF-8: {error}") from error


def _listed(found: dict[str, Any], key: str, name: str) -> list[Any]:
    views = found.get(key)
    if not isinstance(views, list) or not 1 <= len(views) <= MAX_VIEWS:
        count = f"{len(views)} views" if isinstance(views, list) else shown(views)
        raise LuminaError(f"{key} in {name} holds {count}; a list of 1 to {MAX_VIEWS} is wanted")
    return views


def _value(view: Any, key: str, where: str) -> Any:
    found = _block(view, where)
    if key not in found:
        raise LuminaError(f"{where} has no {key}")
    return found[key]


def _block(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise LuminaError(f"{where} is no block of settings")
    return value
