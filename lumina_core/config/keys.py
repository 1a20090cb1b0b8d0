"""The keys of a command with their defaults and meanings, read from the text of the YAML files.

The comment beside a key in conf/ is its only documentation: help, messages and the argument rules
come from here. Reads the few forms of YAML that conf/ uses, so that help needs no YAML library;
values are never taken from here, only shown.
"""

import re
from pathlib import Path
from typing import NamedTuple

from lumina_core.flow.settings import ADAPTIVE, FIXED_STEP
from lumina_core.plugins.yaml_files import CONDITION, RECOMMENDATION_BLOCKS, read_yaml_text

CONFIG_NAMES = {
    "run": "run",
    "infer": "run",
    "train": "train",
    "train-vae": "train_vae",
    "evaluate": "evaluate",
}
"""Which file in conf/ holds the keys of a command."""

PROMPT_KEYS = ("prompt", "negative_prompt")
PATH_KEYS = (
    *("out", "checkpoint", "repeat", "prompt_file", "compare", "init_from"),
    *("data.path", "text_encoder.path", "text_encoder.cache", "text_cache"),
)
"""`null` is what all of them are when they are not given."""

CHECKPOINT_KEYS = {
    "run": "checkpoint",
    "infer": "checkpoint",
    "evaluate": "checkpoint",
    "train": "init_from",
}
"""The key of a command that names a checkpoint, or a folder of training that holds one."""

RAW_KEYS = (*PROMPT_KEYS, *PATH_KEYS)
"""Their values are taken letter by letter, so that no prompt or path needs quoting."""

NAME_LIST_KEYS = ("splits",)
"""Lists of names; one name needs no brackets."""
IDLE_KEYS: dict[str, tuple[str, tuple[str | int | None, ...]]] = {
    "optimizer.muon_learning_rate": ("optimizer.name", ("adamw",)),
    "num_sample_prompts": ("sample_every", (0,)),
    "num_validation_samples": ("validate_every", (0,)),
    "validation_times": ("validate_every", (0,)),
    "num_evaluation_prompts": ("evaluate_every", (0,)),
    "time.mean": ("time.distribution", ("uniform",)),
    "time.std": ("time.distribution", ("uniform",)),
    "solver.num_steps": ("solver.name", ADAPTIVE),
    "solver.shift": ("solver.name", ADAPTIVE),
    "solver.atol": ("solver.name", FIXED_STEP),
    "solver.rtol": ("solver.name", FIXED_STEP),
    "coarse.tokens": ("coarse.above", (None,)),
    "coarse.strength": ("coarse.above", (None,)),
}
"""Keys that another key switches off, and its values that do; a user who sets both is told."""

TRAINING_SETTINGS = (
    *("max_steps", "token_budget", "gradient_accumulation", "max_nonfinite_steps"),
    *("caption_dropout", "condition_share", "position_jitter"),
    *("backbone", "text_encoder", "optimizer", "time", "data"),
    *("log_every", "sample_every", "num_sample_prompts", "save_every"),
    *("validate_every", "num_validation_samples", "validation_times"),
    *("evaluate_every", "num_evaluation_prompts"),
)
"""Keys that say how a network is trained; a modality's YAML may set these but for PATH_KEYS."""
_LINE = re.compile(r"(?P<indent> *)(?P<name>\w+):(?: (?P<rest>.*))?")
_UNIT = re.compile(r"\[(?P<unit>[^\[\]]+)\] *(?P<meaning>.*)")
_CHOICE = re.compile(r" +- (?P<group>\w+): *(?P<choice>[\w-]+)")


class Key(NamedTuple):
    """One key of a YAML file."""

    name: str
    """Dotted, from the top of the configuration."""

    default: str
    """As written; empty for a block of further keys."""

    meaning: str
    """The comment beside it."""


def conf_root() -> Path:
    """The core's configuration folder: inside the package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def read_keys(path: Path, prefix: str = "") -> list[Key]:
    """Every key of a YAML file in its order, without its defaults list.

    Args:
        path: the file.
        prefix: stands before each name, with its dot.

    Raises:
        LuminaError: as `read_yaml_text`.
    """
    text = read_yaml_text(path)
    keys: list[Key] = []
    parents: list[tuple[int, str]] = []  # indent and name of the blocks we are in
    for line in text.splitlines():
        match = _LINE.fullmatch(line.rstrip())
        if match is None:
            continue
        indent = len(match["indent"])
        parents = [parent for parent in parents if parent[0] < indent]
        name = ".".join([*(parent[1] for parent in parents), match["name"]])
        if name != "defaults":
            value, _, note = f" {match['rest'] or ''}".partition(" #")
            keys.append(Key(prefix + name, value.strip(), note.strip()))
        parents.append((indent, match["name"]))
    return keys


def group_defaults(command: str) -> dict[str, str]:
    """The groups of a command, each with the choice taken when none is named."""
    text = _primary(command).read_text(encoding="utf-8")
    return {match["group"]: match["choice"] for match in _CHOICE.finditer(text)}


def group_choices(group: str) -> list[str]:
    """What can be chosen in a group."""
    return sorted(path.stem for path in (conf_root() / group).glob("*.yaml"))


def command_keys(command: str) -> list[Key]:
    """Every key of the core that a command reads, with the defaults of its default groups.

    Where the choices of a group have different keys, those of the default come first.
    """
    own = {key.name: key for key in read_keys(_primary(command))}
    for group, choice in group_defaults(command).items():
        chosen = read_keys(conf_root() / group / f"{choice}.yaml", f"{group}.")
        own |= {key.name: key for key in [Key(group, "", ""), *chosen]}
        own |= {key.name: key for key in _keys_of_other_choices(group, choice, own)}
    return sorted(own.values(), key=lambda key: "." in key.name)  # plain keys first


def _keys_of_other_choices(group: str, choice: str, known: dict[str, Key]) -> list[Key]:
    """Keys that only other choices of a group have; their meaning says which."""
    found: dict[str, tuple[Key, list[str]]] = {}
    for other in group_choices(group):
        if other != choice:
            for key in read_keys(conf_root() / group / f"{other}.yaml", f"{group}."):
                found.setdefault(key.name, (key, []))[1].append(other)
    return [
        key._replace(meaning=f"with {group}={' or '.join(choices)}: {key.meaning}")
        for name, (key, choices) in found.items()
        if name not in known
    ]


def modality_keys(path: Path) -> list[Key]:
    """The keys of a modality's YAML as one writes them: its options below `modality`."""
    return [
        key
        if key.name.partition(".")[0] in (*RECOMMENDATION_BLOCKS, CONDITION)
        else key._replace(name=full)
        for key in read_keys(path)
        if (full := f"modality.{key.name}")
    ]


def unit_and_meaning(comment: str) -> tuple[str | None, str]:
    """Unit and meaning in the comment beside an option of a modality: `[Hz] lower edge`.

    Args:
        comment: from the YAML; without brackets at its beginning the option has no unit.
    """
    match = _UNIT.fullmatch(comment)
    return (match["unit"], match["meaning"]) if match else (None, comment)


def _primary(command: str) -> Path:
    return conf_root() / f"{CONFIG_NAMES[command]}.yaml"
