"""Folders of views: a picture for each, and a file that says where it was taken.

Ours are 0001.png and so on with a cameras.json that holds the request, too, so that a single
picture out of the folder carries none and is never taken for a grid. Of others any folder is read
that has such a file, or one of NeRF's (camera_files.py).
"""

import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lumina_core import LuminaError, atomic_folder
from lumina_core.media.pictures import as_image
from lumina_multiview.camera_files import CAMERAS, cameras_of, cameras_text, view_name
from lumina_multiview.options import MAX_PIXELS, MultiviewOptions
from lumina_multiview.picture_reading import (
    MAX_PICTURE_PIXELS,
    Pictures,
    read_picture,
    reading_views,
)


@dataclass(frozen=True)
class Views:
    """Pictures of one object, and where each was taken."""

    pictures: Pictures
    azimuths: tuple[float, ...]
    """Degrees, from 0 to below 360."""
    elevations: tuple[float, ...]
    """Degrees."""


def write_folder(
    media: Pictures,
    path: Path,
    options: MultiviewOptions,
    metadata: Mapping[str, Any],
) -> None:
    """Write a folder of PNG with its cameras.json, whole or not at all.

    Args:
        media: the views.
        path: the folder.
        options: of the views.
        metadata: the request.

    Raises:
        LuminaError: it is there already, or cannot be written.
    """
    with atomic_folder(path) as folder:
        for number, view in enumerate(media):
            as_image(view).save(folder / view_name(number))
        text = cameras_text(options.angles, options.elevations, metadata)
        (folder / CAMERAS).write_text(text, encoding="ascii")


def read_views(path: Path) -> Views:
    """The views of a folder, ours or another's, and where each was taken.

    Raises:
        LuminaError: it is no folder, or says not where they were taken; a picture is missing or
            broken; or they are too large or of several sizes.
    """
    with reading_views(path):
        if not path.is_dir():
            raise LuminaError("it is no folder")
        return _read(path)


def _read(path: Path) -> Views:
    cameras = cameras_of(path)
    count = len(cameras.files)
    max_pixels = min(MAX_PIXELS // count, MAX_PICTURE_PIXELS)
    first = read_picture(cameras.files[0], max_pixels)
    pictures = torch.empty((count, *first.shape), dtype=torch.uint8)
    pictures[0] = first
    for number, file in enumerate(cameras.files[1:], start=1):
        picture = read_picture(file, max_pixels)
        if picture.shape != first.shape:
            raise LuminaError(
                f"{file} is {_size(picture)} pixels, and {cameras.files[0].name} is "
                f"{_size(first)}; views need one size"
            )
        pictures[number] = picture
    return Views(pictures, cameras.azimuths, cameras.elevations)


def folder_request(path: Path) -> dict[str, Any] | None:
    """The request of a folder; None where there is none.

    Raises:
        LuminaError: as `cameras_of`; or there is one, and the folder holds more or other things
            than `write_folder` puts there.
    """
    cameras = cameras_of(path)
    if cameras.request is not None:
        _check_only_ours(path, cameras.files)
    return cameras.request


def _check_only_ours(folder: Path, files: tuple[Path, ...]) -> None:
    names = [view_name(number) for number in range(len(files))]
    for item in sorted(folder.iterdir()):
        is_file = stat.S_ISREG(item.lstat().st_mode)
        is_hidden = item.name.startswith(".") and is_file
        if not is_hidden and not (is_file and item.name in (CAMERAS, *names)):
            raise LuminaError(
                f"{item.name!r} in it is not from `run`, which puts {CAMERAS} and {names[0]} and "
                "so on there; move it away"
            )
    if [file.relative_to(folder).as_posix() for file in files] != names:
        raise LuminaError(f"{CAMERAS} in it names other pictures than {names[0]} and so on")


def _size(picture: Tensor) -> str:
    return f"{picture.shape[2]} x {picture.shape[1]}"
