"""Views of an object written as a mesh, GLB or PLY, with the request inside; the request read back.

Meshes are not read back as views.
"""

import os
from collections.abc import Iterator, Mapping
from itertools import dropwhile, takewhile
from pathlib import Path
from struct import unpack
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from lumina_core import LuminaError, atomic_write, open_regular, parse_json
from lumina_core.media.containers import COMMENT_MARK, comment_with, metadata_in, reading, writing
from lumina_core.media.pixels import MAX_LEVEL
from lumina_multiview.hull import Mesh, carve
from lumina_multiview.picture_reading import Pictures

if TYPE_CHECKING:
    from trimesh import Trimesh

SUFFIXES = (".glb", ".ply")
MAX_HEADER_BYTES = 1 << 24  # of what is read of a file; a request has a few thousand
EXTRAS_KEY = "lumina"  # in the `asset.extras` of a GLB
GLTF_VERSION = 2
JSON_CHUNK = b"JSON"
UNLIT = "KHR_materials_unlit"  # the pictures are shaded already
MAX_COMMENT = 900  # characters; rply, of Open3D and R, takes no line of 1024
CONTINUED_MARK = "lumina+ "
COMMENT = "comment "
HEADER_END = "end_header"


def write_mesh(
    views: Pictures,
    azimuths: tuple[float, ...],
    elevations: tuple[float, ...],
    path: Path,
    metadata: Mapping[str, Any],
) -> None:
    """Carve the object out of its views and write it with a colour for each vertex.

    A unit in the file is a unit of the cameras. In a GLB, y is up and the front is towards z, as
    glTF wants, and colours are linear; in a PLY, z is up, the front is towards negative y, and
    colours are sRGB. Equal views and metadata give equal bytes.

    Args:
        views: of the object, before a plain background.
        azimuths: of each view, in degrees.
        elevations: of each view, in degrees.
        path: its file.
        metadata: the request: `asset.extras.lumina` of a GLB, comments of a PLY.

    Raises:
        LuminaError: the suffix is none of SUFFIXES, no mesh can be carved (see `carve`), or the
            file cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise LuminaError(
            f"out={path} ends in {path.suffix!r}; meshes are written as {', '.join(SUFFIXES)}"
        )
    mesh = carve(views, azimuths, elevations)
    with writing(path):
        data = glb_of(mesh, metadata) if suffix == ".glb" else ply_of(mesh, metadata)
        with atomic_write(path) as file:
            file.write(data)


def read_mesh_metadata(path: Path) -> dict[str, Any] | None:
    """The metadata inside a file, or None where there is none. Reads no more than its beginning.

    Raises:
        LuminaError: no such file, neither GLB nor PLY, cut off in its beginning or damaged there.
    """
    with reading(path, "a mesh"), open_regular(path) as file:
        start = file.read(4)
        file.seek(0)
        if start == b"glTF":
            return _in_glb(file, path)
        if start.startswith((b"ply\n", b"ply\r")):
            return _in_ply(file, path)
        raise ValueError("it is neither GLB nor PLY")


def glb_of(mesh: Mesh, metadata: Mapping[str, Any]) -> bytes:
    """A mesh as binary glTF 2.0.

    Source: Khronos glTF 2.0 specification, 3.4 (axes), 3.9 (COLOR_0 is linear).
    """
    from trimesh.exchange.gltf import export_glb

    def completed(tree: dict[str, Any]) -> None:
        tree["asset"]["extras"] = {EXTRAS_KEY: dict(metadata)}
        tree["extensionsUsed"] = [UNLIT]
        # without a material it would be polished metal; viewers without the extension see chalk
        surface = {"metallicFactor": 0, "roughnessFactor": 1}
        tree["materials"] = [{"pbrMetallicRoughness": surface, "extensions": {UNLIT: {}}}]
        tree["meshes"][0]["primitives"][0]["material"] = 0

    x, y, z = mesh.vertices.T
    levels = (linear(mesh.colours / MAX_LEVEL) * MAX_LEVEL).round().astype(np.uint8)
    turned = _trimesh(np.stack([x, z, -y], 1), mesh.faces, levels)
    return export_glb(turned, include_normals=False, tree_postprocessor=completed)


def ply_of(mesh: Mesh, metadata: Mapping[str, Any]) -> bytes:
    """A mesh as binary PLY, with its request in as many comments as it needs."""
    from trimesh.exchange.ply import export_ply

    data = export_ply(_trimesh(mesh.vertices, mesh.faces, mesh.colours), vertex_normal=False)
    # some readers take this word for the end, in a comment, too
    comment = comment_with(metadata).replace(HEADER_END, HEADER_END.replace("_", "\\u005f"))
    text = comment.removeprefix(COMMENT_MARK)
    parts = [text[start : start + MAX_COMMENT] for start in range(0, len(text), MAX_COMMENT)]
    marks = [COMMENT_MARK] + [CONTINUED_MARK] * (len(parts) - 1)
    lines = [f"{COMMENT}{mark}{part}\n" for mark, part in zip(marks, parts, strict=True)]
    first, second, rest = data.split(b"\n", 2)  # "ply" and the format
    return b"\n".join([first, second, "".join(lines).encode("ascii") + rest])


def linear(colour: np.ndarray) -> np.ndarray:
    """The light of an sRGB colour, both from 0 to 1.

    Source: IEC 61966-2-1: c / 12.92 up to 0.04045, else ((c + 0.055) / 1.055) ** 2.4.
    """
    return np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)


def _trimesh(vertices: np.ndarray, faces: np.ndarray, colours: np.ndarray) -> "Trimesh":
    from trimesh import Trimesh

    return Trimesh(vertices, faces, vertex_colors=colours, process=False)


def _in_glb(file: BinaryIO, path: Path) -> dict[str, Any] | None:
    """The request in the first chunk of a GLB.

    Source: Khronos glTF 2.0 specification, 4.4 (binary file format).
    """
    _, version, length = unpack("<4sII", _exactly(file, 12))
    if version != GLTF_VERSION:  # another program's
        return None
    size = os.fstat(file.fileno()).st_size
    if length != size:
        raise ValueError(f"it has {size} bytes and says {length}")
    count, kind = unpack("<I4s", _exactly(file, 8))
    if kind != JSON_CHUNK or count > length:
        raise ValueError("it does not begin with its description")
    if count > MAX_HEADER_BYTES:
        raise ValueError(f"its description has {count} bytes, more than {MAX_HEADER_BYTES}")
    found: Any = parse_json(_exactly(file, count))
    for key in ("asset", "extras", EXTRAS_KEY):
        found = found.get(key) if isinstance(found, dict) else None
    if found is not None and not isinstance(found, dict):
        raise LuminaError(f"{path} carries a broken request: it is no block of settings")
    return found


def _in_ply(file: BinaryIO, path: Path) -> dict[str, Any] | None:
    """The request in the header of a PLY."""
    comments = dropwhile(lambda comment: not comment.startswith(COMMENT_MARK), _comments_of(file))
    found = next(comments, "")
    rest = takewhile(lambda comment: comment.startswith(CONTINUED_MARK), comments)
    parts = [comment.removeprefix(CONTINUED_MARK) for comment in rest]
    return metadata_in("".join([found, *parts]), path)


def _comments_of(file: BinaryIO) -> Iterator[str]:
    """Comments of a PLY; the whole of its header is read.

    Raises:
        ValueError: it has no end, or none within MAX_HEADER_BYTES.
    """
    while file.tell() < MAX_HEADER_BYTES:
        line = file.readline(MAX_HEADER_BYTES)
        if not line.endswith(b"\n"):
            raise ValueError("it is cut off, or its header has a line without end")
        text = line.rstrip(b"\r\n").decode("ascii", "replace")
        if text == HEADER_END:
            return
        if text.startswith(COMMENT):
            yield text.removeprefix(COMMENT)
    raise ValueError(f"its header has more than {MAX_HEADER_BYTES} bytes")


def _exactly(file: BinaryIO, count: int) -> bytes:
    data = file.read(count)
    if len(data) < count:
        raise ValueError("it is cut off")
    return data
