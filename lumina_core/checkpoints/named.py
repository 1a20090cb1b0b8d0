"""Models with a name: a package says in conf/model/NAME.yaml what one is, where it is, how it runs.

A third party adds a model by a package with one such file. obtaining.py finds and fetches its
files, and formats.py reads them. Imports no torch, for `lumina models` and completion need none.
"""

import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from lumina_core.errors import MAX_REASON, LuminaError, nearest, printable
from lumina_core.hub import FILES
from lumina_core.hub_cache import is_hub_id
from lumina_core.plugins import host
from lumina_core.plugins.entry_points import MODALITY_NAME
from lumina_core.plugins.yaml_files import model_files, read_yaml
from lumina_core.records import Settings, build, setting, setting_of, shown
from lumina_core.text.settings import Reading

LAYOUTS = ("diffusers", "released", "comfyui")
"""How the files of a backbone are made: a folder of diffusers, the original's own, one file."""

PICKLES = (".pth", ".ckpt")  # read by torch.load(weights_only=True); taken by whole names alone
SAFE = tuple(pattern.removeprefix("*") for pattern in FILES)
BYTES_PER_WEIGHT = 2  # of bfloat16
_PACKAGE = re.compile(r"[A-Za-z0-9]([\w.-]{0,98}[A-Za-z0-9])?", re.ASCII)
_REVISION = re.compile(r"\w[\w./-]{0,99}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Part(Settings):
    """The files of one part of a model, all in one folder of one repository of the hub."""

    num_bytes: int = setting(MISSING, "of its files, about", at_least=1)
    num_parameters: int = setting(MISSING, "weights of the part", at_least=1)
    hub_id: str | None = setting(None, "its repository on the hub; null: that of the model")
    revision: str | None = setting(None, "commit, branch or tag of its hub_id; null: the newest")
    folder: str = setting("", "of the repository, in which its files are; empty: at the top")
    files: tuple[str, ...] = setting(
        (), "names or patterns in the folder; empty: weights in safetensors, settings, vocabularies"
    )
    gated: bool = setting(False, "whether the hub asks to accept its licence first")

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_repository(self.hub_id, self.revision)
        if self.revision is not None and self.hub_id is None:
            raise LuminaError("revision belongs to hub_id; give both, or neither")
        for key, text in [("folder", self.folder), *(("files", name) for name in self.files)]:
            if text.startswith("/") or "\\" in text or ".." in text.split("/"):
                raise LuminaError(f"{key} is {_quoted(text)}; write a path inside the repository")
        for name in self.files:
            _check_suffix(name)


@dataclass(frozen=True, kw_only=True)
class TextTower(Part, Reading):
    """The text encoder of a model, and how it reads a prompt."""

    tokenizer: str | None = setting(
        None, "folder of its vocabulary in the same repository; null: beside the weights"
    )

    @property
    def reading(self) -> dict[str, Any]:
        """How it reads, as a manifest says it."""
        return {field.name: getattr(self, field.name) for field in fields(Reading)}


@dataclass(frozen=True, kw_only=True)
class Licence(Settings):
    """Under which terms a model may be used."""

    name: str = setting(MISSING, "as its authors call it")
    note: str | None = setting(None, "what to know before use, such as: no commercial use")


@dataclass(frozen=True, kw_only=True)
class NamedModel(Settings):
    """What conf/model/NAME.yaml says of a model."""

    meaning: str = setting(MISSING, "what it makes, one line")
    prompt: str = setting(MISSING, "an example")
    modality: str = setting(MISSING, "what comes out")
    family: str = setting(
        MISSING, "of networks, which backbone/families has; of a package: the kind of its network"
    )
    package: str | None = setting(None, "that has the network; null: this project")
    layout: str = setting(MISSING, "how the files of the backbone are made", choices=LAYOUTS)
    hub_id: str = setting(MISSING, "repository on the hub")
    licence: Licence = setting(MISSING, "of its weights")
    backbone: Part = setting(MISSING, "the network")
    beside: tuple[Part, ...] = setting(
        (), "further networks of its pipeline that belong to the backbone, each in its folder"
    )
    vae: Part | None = setting(
        None, "the autoencoder; null: it is no file by itself, and modality.vae names it"
    )
    text_encoder: TextTower | None = setting(None, "null: it takes the number of a class")
    labels: str | None = setting(None, "names of its classes, conf/labels/NAME.txt of a package")
    revision: str | None = setting(None, "commit, branch or tag of hub_id; null: the newest")
    convert: str | None = setting(
        None, "what makes a folder that is read of its files; null: they are read as they are"
    )
    options: Mapping[str, Any] = setting(MISSING, "of the modality, which the weights fix")
    trained: tuple[Mapping[str, Any], ...] = setting(
        MISSING, "options of the modality with which it was trained, the usual ones first"
    )
    sampling: Mapping[str, Any] = setting(MISSING, "keys of `run` that it recommends")
    configs: Mapping[str, Any] | None = setting(
        None,
        "config.json of the networks of a package and of vae, by folder, and of model_index.json "
        "the plain values as pipeline; without defaults of the classes. For `plan` before a "
        "download; null: it is planned when it is there",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_repository(self.hub_id, self.revision)
        for key in ("options", "sampling"):
            _check_block(key, getattr(self, key))
        if not self.trained:
            raise LuminaError("trained is empty; name the options of one size at least")
        for place, options in enumerate(self.trained):
            _check_block(f"trained[{place}]", options)
        if self.package is not None and not _PACKAGE.fullmatch(self.package):
            raise LuminaError(
                f"package is {_quoted(self.package)}; write the name of a package of Python"
            )
        if self.package is not None and self.text_encoder is None:
            raise LuminaError("a network of a package reads a text; describe its text_encoder")
        if (self.package is not None or self.beside) and self.layout != "diffusers":
            raise LuminaError("the networks of packages are read in layout=diffusers alone")
        if any(not part.folder or part.hub_id is not None for part in self.beside):
            raise LuminaError("beside names folders of the repository of the model itself")
        if self.labels is not None and not MODALITY_NAME.fullmatch(self.labels):
            raise LuminaError(
                f"labels is {_quoted(self.labels)}; write the name of a set of labels"
            )
        if self.labels is not None and self.text_encoder is not None:
            raise LuminaError("labels are for models of classes; leave out text_encoder or labels")
        for name, part in self.parts.items():
            found = [_quoted(file) for file in part.files if is_pickle(file)]
            if found and (name != "backbone" or self.layout != "released"):
                raise LuminaError(
                    f"{name}.files names {found[0]}, a pickle; the backbone of layout=released "
                    "alone may have one"
                )

    @property
    def parts(self) -> dict[str, Part]:
        """Its parts by their keys; of a model of classes there is no text encoder."""
        found: dict[str, Part | None] = {"backbone": self.backbone}
        found |= {"text_encoder": self.text_encoder}
        found |= {part.folder: part for part in self.beside} | {"vae": self.vae}
        return {name: part for name, part in found.items() if part is not None}

    @property
    def num_bytes(self) -> int:
        """Of all its files, about."""
        return sum(part.num_bytes for part in self.parts.values())

    @property
    def num_parameters(self) -> int:
        """Weights of its networks, but for text encoder and autoencoder."""
        return sum(part.num_parameters for part in (self.backbone, *self.beside))

    @property
    def memory_bytes(self) -> int:
        """Of the networks' weights in bfloat16; the text encoder is gone when these run."""
        return self.num_parameters * BYTES_PER_WEIGHT

    @property
    def text_memory_bytes(self) -> int:
        """Of the text encoder's weights in bfloat16; 0 where there is none."""
        return (
            0 if self.text_encoder is None else self.text_encoder.num_parameters * BYTES_PER_WEIGHT
        )


def named_model(name: str) -> NamedModel | None:
    """The model of a name; None where no package has one.

    Raises:
        LuminaError: its description cannot be used.
    """
    path = model_files().get(name)
    return None if path is None else read_model(path)


def known_model(name: str) -> NamedModel:
    """The model of a name.

    Raises:
        LuminaError: no package has one, or its description cannot be used.
    """
    if (found := named_model(name)) is not None:
        return found
    names = list(model_files())
    known = f"known: {', '.join(names)}" if names else "no installed package has one"
    raise LuminaError(f"no model is called {name!r}; {known}.{nearest(name, names)}")


def read_model(path: Path) -> NamedModel:
    """The model that a YAML describes.

    Raises:
        LuminaError: it cannot be read, or lacks a key, or has an unknown or wrong one.
    """
    values = read_yaml(path)
    try:
        _check_whole(NamedModel, values, "")
        return build(NamedModel, values)
    except LuminaError as error:
        raise LuminaError(f"{path}: {error}") from error


def use_words(name: str, model: NamedModel) -> list[str]:
    """The words of a command that makes something with a model, fetched before or converted."""
    prompt = model.prompt if model.text_encoder else f"condition.label={model.prompt}"
    if model.convert is not None:
        return ["infer", "checkpoint=FOLDER", prompt]
    return ["infer", f"checkpoint={name}", "download=true", prompt]


def lack_of_package(name: str, model: NamedModel) -> str | None:
    """What to do about the package that has the network of a model; None: it can be used."""
    way = None if model.package is None else host.way_to_install(model.package)
    return way and f"{name} needs a network that the package {model.package} has. {way}"


_PARTS: dict[str, type] = {
    "backbone": Part,
    "text_encoder": TextTower,
    "vae": Part,
    "licence": Licence,
}


def _check_whole(record: type, values: Mapping[str, Any], prefix: str) -> None:
    """Refuse a block that lacks a key which has no default."""
    for field in fields(record):
        name = f"{prefix}{field.name}"
        is_needed = field.default is MISSING and field.default_factory is MISSING
        if is_needed and values.get(field.name) is None:
            raise LuminaError(f"{name} is missing: {setting_of(field).meaning}")
        inner = values.get(field.name)
        if not prefix and field.name in _PARTS and isinstance(inner, Mapping):
            _check_whole(_PARTS[field.name], inner, f"{name}.")


def _check_repository(hub_id: str | None, revision: str | None) -> None:
    if hub_id is not None and not is_hub_id(hub_id):
        raise LuminaError(
            f"hub_id is {_quoted(hub_id)}; write an id of the hub, such as owner/name"
        )
    if revision is not None and not _REVISION.fullmatch(revision):
        raise LuminaError(f"revision is {_quoted(revision)}; write a commit, a branch or a tag")


def _check_block(key: str, values: Any) -> None:
    if not isinstance(values, Mapping):
        raise LuminaError(f"{key} must be a block of keys, got {shown(values)}.")


def is_pickle(name: str) -> bool:
    """Whether a file of the hub is one of torch.save by its name, which may have no suffix."""
    return name.endswith(PICKLES) or "." not in name.rpartition("/")[2]


def _check_suffix(name: str) -> None:
    if is_pickle(name):
        if re.search(r"[*?\[]", name):
            raise LuminaError(
                f"files has the pattern {_quoted(name)}; write out the name of a pickle"
            )
    elif not name.endswith(SAFE):
        allowed = ", ".join((*SAFE, *PICKLES))
        raise LuminaError(f"files names {_quoted(name)}; allowed are {allowed}")


def _quoted(text: str) -> str:
    return printable(repr(text), MAX_REASON)
