"""Files of views: grids, folders, turntables and meshes, written with the request inside.

Each kind has its own module; here is what the core sees, and which file is of which kind. A mesh is
carved out of the views and cannot be read back as views.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from einops import rearrange
from jaxtyping import UInt8
from torch import Tensor

from lumina_core import Decoder, LuminaError, open_regular
from lumina_core.media.clips.reading import comment_of
from lumina_core.media.containers import comment_with, metadata_in, writing
from lumina_core.media.png_checksums import SIGNATURE
from lumina_multiview.camera_files import CAMERA_FILES, cameras_of
from lumina_multiview.options import MultiviewOptions
from lumina_multiview.picture_reading import (
    MAX_PICTURE_PIXELS,
    Pictures,
    read_picture,
    reading_views,
)
from lumina_multiview.request_options import options_in
from lumina_multiview.turntable import (
    MAX_FPS,
    check_turntable,
    read_turntable,
    write_turntable,
)
from lumina_multiview.views_folder import Views, folder_request, read_views, write_folder
from lumina_multiview.views_grid import check_grid, cut, grid_of, grid_size, write_grid

GRID, FOLDER = ".png", ".views"
TURNTABLES = tuple(MAX_FPS)
MESHES = (".glb", ".ply")


class MultiviewDecoder(Decoder):
    """Views <-> file."""

    suffixes = (GRID, FOLDER, *TURNTABLES, *MESHES)
    folder_suffixes = (FOLDER,)
    read_suffixes = (GRID, FOLDER, *TURNTABLES)
    folder_files = CAMERA_FILES
    noun = "views"

    def check_format(
        self, suffix: str, media_shape: tuple[int, ...], options: MultiviewOptions
    ) -> None:
        """Refuse what a kind of file cannot hold: odd sides in MP4, views from one side as a mesh.

        Raises:
            LuminaError: names what it can hold, or another kind.
        """
        if suffix in TURNTABLES:
            check_turntable(suffix, options)
        elif suffix in MESHES:
            from lumina_multiview.hull import check_views

            check_views(options.angles, options.elevations)
        elif suffix == GRID:
            check_grid(options)
        elif options.height * options.width > MAX_PICTURE_PIXELS:
            raise LuminaError(
                f"views of {options.width} x {options.height} have more than {MAX_PICTURE_PIXELS} "
                "pixels each; ask for smaller ones"
            )

    def write(
        self, media: Pictures, path: Path, metadata: Mapping[str, Any], options: MultiviewOptions
    ) -> None:
        """Write a PNG grid, a folder of PNG, an MP4 or GIF, or a GLB or PLY, by the suffix.

        Args:
            media: the views.
            path: its file or folder, which appears only once it is whole.
            metadata: the request, to stand inside.
            options: of the views; they say where these are.

        Raises:
            LuminaError: the suffix is another one, or the kind of file holds no such views.
        """
        self.check_suffix(path)
        suffix = path.suffix.lower()
        with writing(path):
            _check_shape(tuple(media.shape), options)
            self.check_format(suffix, tuple(media.shape), options)
            if suffix == GRID:
                write_grid(media, path, metadata)
            elif suffix == FOLDER:
                write_folder(media, path, options, metadata)
            elif suffix in TURNTABLES:
                write_turntable(media, path, options, comment_with(metadata))
            else:
                from lumina_multiview.mesh_files import write_mesh

                write_mesh(media, options.angles, options.elevations, path, metadata)

    def read(self, path: Path) -> Pictures:
        """Read views, in the order of their request or of their folder.

        Raises:
            LuminaError: as `views_in`.
        """
        return views_in(path).pictures

    def read_metadata(self, path: Path) -> dict[str, Any] | None:
        """The metadata inside a file or folder, or None where there is none.

        Raises:
            LuminaError: no such file, none of ours, damaged, or what is there is no JSON; or a
                folder has a request and other things beside what `write` puts there.
        """
        return _request_in(path)

    def preview(
        self, media: Pictures, options: object
    ) -> UInt8[Tensor, "3 total_height total_width"]:
        """All views in one picture."""
        return grid_of(media)

    def array(self, media: Pictures) -> UInt8[np.ndarray, "view height width 3"]:
        """The views, their colours last."""
        return rearrange(media, "view rgb h w -> view h w rgb").contiguous().numpy()


def views_in(path: Path) -> Views:
    """The views of a file or folder, and where each was taken.

    Args:
        path: of a PNG grid, MP4 or GIF of ours, told by its first bytes, or of any folder with one
            of CAMERA_FILES.

    Raises:
        LuminaError: no such file, a mesh or of another kind, without a request, cut off or
            damaged, or too large.
    """
    with reading_views(path):
        if path.is_dir():
            return read_views(path)
        if path.suffix.lower() in MESHES:
            raise LuminaError("a mesh cannot be read back as views; give the .views folder")
        request = _request_in(path)
        is_grid = _is_png(path)
        if request is None:
            kind = "grid" if is_grid else "turntable"
            raise LuminaError(
                f"a {kind} needs its request, and it carries none; give a .views folder"
            )
        options = options_in(request)
        if is_grid:
            check_grid(options)
            pictures = cut(read_picture(path, size=grid_size(options)), options)
        else:
            pictures = read_turntable(path, options)
        return Views(pictures, options.angles, options.elevations)


def cameras_in(path: Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Azimuths and elevations of a file or folder that `views_in` reads, in degrees.

    Raises:
        LuminaError: as `views_in`.
    """
    with reading_views(path):
        if path.is_dir():
            cameras = cameras_of(path)
            return cameras.azimuths, cameras.elevations
        options = options_in(_request_in(path))
        return options.angles, options.elevations


def _is_png(path: Path) -> bool:
    with open_regular(path) as file:
        return file.read(len(SIGNATURE)) == SIGNATURE


def _request_in(path: Path) -> dict[str, Any] | None:
    with reading_views(path):
        if path.is_dir():
            return folder_request(path)
        if path.suffix.lower() in MESHES:
            from lumina_multiview.mesh_files import read_mesh_metadata

            return read_mesh_metadata(path)
        comment = comment_of(path)
    return metadata_in(comment, path)


def _check_shape(shape: tuple[int, ...], options: MultiviewOptions) -> None:
    wanted = (options.num_views, 3, options.height, options.width)
    if shape != wanted:
        raise ValueError(f"views of shape {shape} have options for {wanted}")
