"""What the cache of the Hugging Face hub has on this disk: found without network, and quickly.

Where that cache is, is the business of huggingface_hub (HF_HOME); its layout is documented.
"""

import re
from pathlib import Path

from lumina_core.files.reading import read_json

COMMIT = re.compile(r"[0-9a-f]{40}")
MAIN = "main"  # the branch of which one speaks where none is named
_NAME = r"\w[\w.-]{0,95}"
_HUB_ID = re.compile(rf"({_NAME}/)?{_NAME}", re.ASCII)
_SHARD = re.compile(r"(?P<begin>.*-)\d{5}-of-(?P<count>\d{5})(?P<end>\.safetensors)")
_INDEX = ".safetensors.index.json"
_MAX_SHARDS = 1000  # of a model; the largest of text have 200


def is_hub_id(name: str) -> bool:
    """Whether a name can be that of a repository of the hub: owner/name, or a name alone."""
    return _HUB_ID.fullmatch(name) is not None and ".." not in name and "--" not in name


def repository_folder(hub_id: str) -> Path:
    """Where the cache keeps a repository, there or not."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / f"models--{hub_id.replace('/', '--')}"


def snapshot(hub_id: str, revision: str | None = None) -> Path | None:
    """The files of a repository; None where the cache has none of this revision.

    Args:
        hub_id: of the repository.
        revision: a commit, branch or tag; None: the main branch, as it was when last fetched.
    """
    folder = repository_folder(hub_id)
    commit = revision or MAIN
    if not COMMIT.fullmatch(commit):
        try:
            commit = (folder / "refs" / commit).read_text().strip()
        except (OSError, UnicodeDecodeError):
            return None
    found = folder / "snapshots" / commit
    return found if COMMIT.fullmatch(commit) and found.is_dir() else None


def gap_in(folder: Path) -> str | None:
    """A file that belongs to those in a folder and is not there; None: there is no gap.

    The parts of large weights say in their names how many there are, and an index names them.
    """
    for path in sorted(folder.rglob("*.safetensors*")):
        for name in _belonging_to(path):
            if not (path.parent / name).exists():
                return (path.parent / name).relative_to(folder).as_posix()
    return None


def _belonging_to(path: Path) -> list[str]:
    if path.name.endswith(_INDEX):
        try:
            names = set(read_json(path)["weight_map"].values())
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return []  # whoever reads it says what is wrong
        return sorted(name for name in names if isinstance(name, str) and "/" not in name)
    shard = _SHARD.fullmatch(path.name)
    if shard is None or int(shard["count"]) > _MAX_SHARDS:
        return []
    places = range(1, int(shard["count"]) + 1)
    return [f"{shard['begin']}{place:05d}-of-{shard['count']}{shard['end']}" for place in places]
