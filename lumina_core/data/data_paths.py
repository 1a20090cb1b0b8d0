"""Where a data set lies, what it consists of, and where its index is."""

import glob
import os.path
from pathlib import Path

from lumina_core.data.index import Shard
from lumina_core.data.manifests import manifests_at
from lumina_core.data.settings import FOLDER, MANIFEST, SHARDS, FileLimits
from lumina_core.data.tar_shards import SUFFIX
from lumina_core.errors import LuminaError

INDEX = "lumina-index"  # in the name of an index beside its data


def data_path(kind: str, config: FileLimits) -> Path:
    """What `data.path` names.

    Raises:
        LuminaError: nothing.
    """
    if config.path is None:
        wanted = "FILE.jsonl" if kind == MANIFEST else "FOLDER"
        raise LuminaError(f"data={kind} needs to know where: data.path={wanted}")
    return Path(config.path)


def folder_of(kind: str, path: Path) -> Path:
    """The folder where the names of a data set start."""
    if _is_pattern(path):
        return next(folder for folder in path.parents if not _is_pattern(folder))
    return path if path.is_dir() or kind == FOLDER else path.parent


def index_path(kind: str, config: FileLimits, modality: str) -> Path:
    """Where the index of a data set is: beside it, unless `data.index` says where.

    Args:
        kind: of the data.
        config: which data.
        modality: that it is trained as.

    Raises:
        LuminaError: no data are named, or it would lie in a folder whose changes it is to notice.
    """
    path = data_path(kind, config)
    beside = (folder_of(kind, path) if _is_pattern(path) else path).absolute()
    index = beside.with_name(f"{beside.name}.{INDEX}.{modality}.safetensors")
    if config.index is not None:
        index = Path(config.index)
        if kind == FOLDER and index.resolve().is_relative_to(path.resolve()):
            raise LuminaError(
                f"data.index={index} lies in data.path={path}; choose a place outside of it"
            )
    return index


def shards_at(path: Path) -> list[Path]:
    """The tar shards that `data.path` means: those below a folder, one, or those of a pattern.

    Raises:
        LuminaError: there are none.
    """
    if path.is_dir():
        found = [each for each in path.rglob(f"*{SUFFIX}") if not each.name.startswith(".")]
    else:
        names = glob.glob(str(path), recursive=True) if _is_pattern(path) else [str(path)]
        found = [Path(name) for name in names if os.path.lexists(name)]
    shards = sorted(each for each in found if not each.is_dir())
    if not shards:
        raise LuminaError(
            f"data.path={path} leads to no shard; name a folder that holds files ending in "
            f"{SUFFIX}, one of them, or a pattern such as 'FOLDER/train-*{SUFFIX}'"
        )
    return shards


def files_of(kind: str, path: Path) -> list[Path]:
    """The files that hold a data set or tell of it; of a folder the folder itself.

    Raises:
        LuminaError: there are none.
    """
    if kind == SHARDS:
        return shards_at(path)
    return [path] if kind == FOLDER else [manifest.path for manifest in manifests_at(path)]


def state_of(path: Path, folder: Path, num_items: int) -> Shard:
    """A shard as it is now.

    Args:
        path: of the file or folder.
        folder: where names start.
        num_items: that it holds.

    Raises:
        LuminaError: it is not there.
    """
    try:
        status = os.stat(path)
        size = len(os.listdir(path)) if path.is_dir() else status.st_size
    except OSError as error:
        raise LuminaError(f"{path} cannot be read: {error.strerror}") from error
    return Shard(os.path.relpath(path, folder), num_items, size, status.st_mtime_ns)


def _is_pattern(path: Path) -> bool:
    return glob.has_magic(str(path)) and not os.path.lexists(path)
