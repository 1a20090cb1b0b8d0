"""The YAML that packages ship: found, bounded in size, and read without executing anything."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lumina_core.errors import MAX_REASON, LuminaError, printable, reason_of
from lumina_core.files.reading import read_regular
from lumina_core.plugins import host
from lumina_core.plugins.entry_points import MODALITY_NAME
from lumina_core.records import shown


def read_yaml(path: Path) -> dict[str, Any]:
    """The values of a YAML file. Interpolations stay as written: `${...}` is a text like any other.

    Raises:
        LuminaError: it is broken or too large, has a key twice or one that is no text, an alias,
            or holds a list.
    """
    import yaml  # comes with hydra-core

    text = read_yaml_text(path)
    try:
        if "*" in text and _has_alias(text):  # nine lines of them can stand for 10^9 values
            raise LuminaError("it has an alias (*name); write the value out")
        values = yaml.load(text, _loader())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        problem = printable(error.problem or "it is broken", MAX_REASON)
        raise LuminaError(f"{path} cannot be read: {where}{problem}") from error
    except Exception as error:  # of a parser that gave up: all mean the file
        raise LuminaError(f"{path} cannot be read: {reason_of(error)}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        kind = "a list" if isinstance(values, list) else "one value"
        raise LuminaError(f"{path} holds {kind}; keys with values are wanted.")
    _refuse_strange_keys(values, path)
    return values


def _loader() -> type:
    """Plain YAML, where no key stands twice, 1e-5 is a number and a date is a text."""
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            keys = [key.value for key, _ in node.value]
            for place, (key, _) in enumerate(node.value):
                if key.value in keys[:place]:
                    raise yaml.constructor.ConstructorError(
                        problem=f"found duplicate key {key.value}", problem_mark=key.start_mark
                    )
            return super().construct_mapping(node, deep)

    number = re.compile(r"[-+]?(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)[eE][-+]?\d+")
    resolvers = {
        first: [(tag, pattern) for tag, pattern in those if not tag.endswith("timestamp")]
        for first, those in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    for first in "-+.0123456789":
        resolvers[first] = [("tag:yaml.org,2002:float", number), *resolvers.get(first, ())]
    Loader.yaml_implicit_resolvers = resolvers
    return Loader


def _has_alias(text: str) -> bool:
    import yaml

    return any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader))


def _refuse_strange_keys(values: Mapping[Any, Any], path: Path) -> None:
    for key, value in values.items():
        if not isinstance(key, str):
            raise LuminaError(
                f"{path} has the key {shown(key)}; a key is a text: write a word, or quote it"
            )
        if isinstance(value, Mapping):
            _refuse_strange_keys(value, path)


RECOMMENDATION_BLOCKS = ("sampling", "training")
"""Blocks of a modality's YAML that recommend values for the core."""

CONDITION = "condition"
"""Block of keys with what may be given beside a prompt."""

MAX_YAML_BYTES = 2**16  # 25 times the largest of ours; a file of this size is parsed in 1 s


def read_yaml_text(path: Path) -> str:
    """The text of a YAML file, not parsed.

    Raises:
        LuminaError: the file cannot be read, is not UTF-8, or is too large to be one of settings.
    """
    try:
        content = read_regular(path, MAX_YAML_BYTES)
        return content.decode("utf-8-sig")
    except OSError as error:
        raise LuminaError(
            f"{path} cannot be read: {error.strerror}. Reinstall its package."
        ) from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise LuminaError(
            f"{path} cannot be read: line {line} is not UTF-8; save the file as UTF-8."
        ) from error


MAX_TEXT = 300  # characters of a default or a comment in a plugin's YAML


def modality_yaml(name: str) -> Path | None:
    """The file with what a modality recommends; None where it recommends nothing.

    Raises:
        LuminaError: the modality cannot be used, or the file has another name.
    """
    path = host.conf_folder(name) / "modality" / f"{name}.yaml"
    if path.is_file():
        return path
    others = ", ".join(sorted(each.name for each in path.parent.glob("*.yaml")))
    if others:
        raise LuminaError(
            f"Modality {name!r} ships no conf/modality/{name}.yaml. It holds "
            f"{printable(others, MAX_TEXT)}: the file and the entry point have one name."
        )
    return None


MODELS = "conf/model"
"""The folder of a package with the descriptions of models that have a name."""


LABELS = "conf/labels"
"""The folder of a package with the names of classes, a file `NAME.txt` for each set of them."""


def label_file(name: str) -> Path | None:
    """The file with a set of names of classes; None where no package has it."""
    places = (folder / f"{name}.txt" for _, folder in host.plugin_folders(LABELS))
    is_name = MODALITY_NAME.fullmatch(name) is not None  # and no way out of the folder
    return next((path for path in places if is_name and path.is_file()), None)


def model_files() -> dict[str, Path]:
    """The description of each model by its name; none is read. A modality's own come first."""
    found: dict[str, Path] = {}
    for _, folder in host.plugin_folders(MODELS):
        for path in sorted(folder.glob("*.yaml")):
            if MODALITY_NAME.fullmatch(path.stem):
                found.setdefault(path.stem, path)
    return dict(sorted(found.items()))
