"""The settings of a training run in its folder, from which `resume=true out=FOLDER` goes on.

Everything that decides what a run does is written, defaults included, so that neither an upgrade
nor a forgotten word changes it. What belongs to a single command is not: where it writes, what it
replaces, whether it fetches models, how ranks share it. Paths are absolute, so that a run goes on
from any folder.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from glob import iglob
from pathlib import Path
from typing import Any

from lumina_core.checkpoints.formats import modalities_of
from lumina_core.checkpoints.newest import CHECKPOINTS, DEMO, finished
from lumina_core.config.keys import record_keys
from lumina_core.config.several import MIXING
from lumina_core.errors import LuminaError, reason_of
from lumina_core.files.reading import read_json
from lumina_core.files.writing import atomic_write
from lumina_core.plugins import host
from lumina_core.program import command_line
from lumina_core.records import plain
from lumina_core.training.settings import OWN, TrainConfig

SETTINGS = "config.json"
OF_A_COMMAND = ("out", "overwrite", "resume", "download", "parallel")
"""Keys of `train` that are neither kept nor taken from a file."""

COMPOSED = ("joint", "note")
"""What is no key of `train`."""

DERIVED = ("token_dims", "feature_dims")  # of the backbone, by start.py


def default_out(names: Sequence[str]) -> str:
    """The folder of a training of these modalities where none is named."""
    return f"outputs/{'-'.join(names)}-checkpoint"


def write_settings(config: TrainConfig) -> None:
    """Keep the settings of a run in its folder.

    Raises:
        LuminaError: they cannot be written.
    """
    values = asdict(config)
    kept = {key: value for key, value in values.items() if key not in (*OF_A_COMMAND, *COMPOSED)}
    kept["backbone"] = {k: v for k, v in kept["backbone"].items() if k not in DERIVED}
    kept["options"] = _placed_options(config.modality, kept["options"])
    kept = _with_places(kept, "")
    if joint := config.joint:
        kept["modality"] = list(joint)
        kept["options"] = {n: _placed_options(n, asdict(each.options)) for n, each in joint.items()}
        own = {name: _with_places(asdict(each), "") for name, each in joint.items()}
        kept |= {key: {name: each[key] for name, each in own.items()} for key in OWN}
        kept[MIXING] = {name: each.share for name, each in joint.items()}
    text = json.dumps(kept, indent=2, ensure_ascii=False)
    with atomic_write(Path(config.out) / SETTINGS) as file:
        file.write(f"{text}\n".encode())


def read_settings(out: Path) -> dict[str, Any]:
    """The settings with which the run in a folder was begun or last went on.

    Returns:
        `modality`, `options` and the keys of `train`; of several modalities a list of names, and
        of each its options, its data and its part in the mixture. Of a run of an older version,
        which kept none, the modality alone.

    Raises:
        LuminaError: there is no run to go on with, or its settings are damaged.
    """
    path = out / SETTINGS
    if not path.exists():
        if not finished(out / CHECKPOINTS):
            raise LuminaError(
                f"out={out} holds no training to go on with; leave out resume=true, or name its "
                "folder"
            )
        names = modalities_of(out)
        return {"modality": names[0]} if len(names) == 1 else {}
    try:
        found = read_json(path)
    except (OSError, ValueError) as error:
        raise _damaged(path, reason_of(error)) from error
    named = found.get("modality") if isinstance(found, dict) else None
    if not isinstance(named, str) and not _are_names(named):
        raise _damaged(path, "it names no modality")
    if not isinstance(found.get("options"), dict):
        raise _damaged(path, "it has no options")
    for block in () if isinstance(named, str) else ("options", "data", MIXING):
        part = found.get(block)
        if not isinstance(part, dict) or part.keys() != set(named or ()):
            raise _damaged(path, f"{block} is not that of its modalities")
    for key in OF_A_COMMAND:
        if key in found:
            raise _damaged(path, f"{key} belongs to a command")
    return found


def _are_names(value: Any) -> bool:
    """Whether it is a list of several texts."""
    return isinstance(value, list) and len(value) > 1 and all(isinstance(n, str) for n in value)


def resume_command(out: str | Path) -> str:
    """The command that goes on with the run in a folder."""
    return command_line("train", "resume=true", f"out={out}")


def _damaged(path: Path, reason: str) -> LuminaError:
    return LuminaError(
        f"{path} is damaged: {reason}. Delete it, and resume with the settings of the start"
    )


def _with_places(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Values whose paths hold in any working folder."""
    paths = [key.name for key in record_keys(TrainConfig) if key.about.file]
    found = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            value = _with_places(value, f"{prefix}{key}.")
        elif prefix + key in paths and value not in (None, DEMO):
            value = placed(value)
        found[key] = value
    return found


def _placed_options(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a modality, the folders among them absolute; a known name is no folder."""
    defaults = plain(host.options_class(name))
    names = host.vae_files(name)
    return {
        key: placed(value)
        if isinstance(value, str) and value not in (*names, defaults.get(key))
        else value
        for key, value in options.items()
    }


def placed(name: str) -> str:
    """A path that is there as it leads from any folder; a hub id, or another name, stays."""
    try:
        path = Path(name).expanduser()
        is_there = path.exists() or any(iglob(str(path)))  # or what a pattern of shards means
        return str(path.absolute()) if is_there else name
    except (OSError, ValueError, RuntimeError):  # a text that is no path
        return name
