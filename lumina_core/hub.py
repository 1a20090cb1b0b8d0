"""Folders of models: a local one as it is, or a snapshot of the Hugging Face hub.

Nothing is fetched unless the user says download=true. Of a snapshot only weights in safetensors,
settings and vocabularies are taken: no pickle and no code. Where the hub keeps its files and which
token it uses is its own business (HF_HOME, `hf auth login`).
"""

from collections.abc import Sequence
from pathlib import Path

from lumina_core.errors import LuminaError
from lumina_core.hub_cache import gap_in, is_hub_id, snapshot

FILES = ("*.safetensors", "*.json", "*.model", "*.txt")  # weights, settings, vocabularies


def local_folder(name: str, *, download: bool, files: Sequence[str] = FILES) -> Path:
    """The folder that a name means: itself, or the snapshot of a hub id.

    Args:
        name: a folder, or an id such as google/gemma-2b.
        download: fetch what is not there yet; else nothing leaves the machine.
        files: patterns of what is wanted of a snapshot.

    Raises:
        LuminaError: it is no folder and no model of the hub's cache, or the hub refuses it.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if not is_hub_id(name):
        raise LuminaError(
            f"{name!r} is no folder and no id of the hub; give a folder that exists, or an id such "
            "as google/gemma-2b"
        )
    found = snapshot(name)
    is_there = found is not None and gap_in(found) is None
    if download:
        from lumina_core.fetching import UnreachableError, Want, fetch

        try:
            return fetch([Want(name, files=tuple(files))])[0]
        except UnreachableError:
            if found is None or not is_there:
                raise
    if found is None or not is_there:
        raise LuminaError(
            f"{name!r} is neither a folder nor a whole model in the hub's cache; give "
            "download=true or a folder"
        )
    return found


def check_whole(what: str, folder: Path, files: Sequence[Path]) -> None:
    """Refuse to copy a model that is no longer in the folder from which it was read.

    Args:
        what: it is, for people.
        folder: where it was.
        files: what is there now.

    Raises:
        LuminaError: the settings or all weights are missing.
    """
    has_settings = any(path.name == "config.json" for path in files)
    if not has_settings or not any(path.suffix == ".safetensors" for path in files):
        raise LuminaError(
            f"the {what} in {folder} is gone, so no checkpoint can be written; put it back, and "
            "keep it while the training runs"
        )
