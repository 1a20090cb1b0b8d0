"""What a server makes: its models, and what a request may say to each modality.

A request may say how a medium is made, and nothing that acts for the one who started the server:
no path, no model, no device. One rule decides it from the declaration of a key, so that the keys
of a plugin that nobody knows here fall under it, too.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from os.path import normpath
from pathlib import Path
from typing import Any

from lumina_core.checkpoints.formats import find_source, lasting_name
from lumina_core.config.keys import Key, modality_keys, record_keys
from lumina_core.config.words import PROMPT_KEYS
from lumina_core.errors import LuminaError
from lumina_core.flow.settings import ADAPTIVE
from lumina_core.modality import Decoder
from lumina_core.plugins import demos, host
from lumina_core.plugins.parts import make_modality
from lumina_core.plugins.yaml_files import CONDITION
from lumina_core.records import flat, told
from lumina_core.sampling.compose import LABEL, RUN, compose_run
from lumina_core.sampling.examples import NO_FOLDER, examples
from lumina_core.sampling.python_api import ANY_PROMPT, ELSEWHERE, OF_THE_MACHINE
from lumina_core.sampling.python_arguments import as_overrides
from lumina_core.sampling.settings import ModelSource, RunConfig
from lumina_core.server.settings import ServeConfig

TEXTS = (*PROMPT_KEYS, f"{CONDITION}.{LABEL}")  # that say what to show
MAX_SAMPLES = 10  # of a request
MAX_EXAMPLES = 12  # of a modality
NO_EXAMPLES = "held_out"  # the first split that a demo was not trained on


@dataclass(frozen=True)
class Served:
    """A model that requests may name."""

    id: str
    modality: str
    checkpoint: str | None
    """As a command line names it; None: the demo."""

    @property
    def words(self) -> dict[str, str]:
        """Its part of a request, as keys and values of a command line."""
        named = {} if self.checkpoint is None else {"checkpoint": self.checkpoint}
        return {"modality": self.modality, **named}


def served_models(config: ServeConfig) -> dict[str, Served]:
    """The models of a server by their names.

    Raises:
        LuminaError: a checkpoint cannot be read, two have one name, or there is none.
    """
    found: dict[str, Served] = {}
    for name in config.checkpoint or ():
        lasting = lasting_name(str(Path(name).expanduser()))
        folder = Path(normpath(lasting)).name  # of . and .., too
        modalities = list(find_source(lasting, download=False).manifest["modalities"])
        for modality in modalities:
            own = folder if len(modalities) == 1 else f"{folder}-{modality}"
            if own in found:
                raise LuminaError(
                    f"two checkpoints are called {own}; requests name them so: rename one"
                )
            found[own] = Served(own, modality, lasting)
    if config.checkpoint is None:
        shown = [name for name in host.installed() if demos.demo_folder(name) is not None]
        found = {name: Served(name, name, None) for name in shown}
    if not found:
        raise LuminaError(f"there is no model to serve; {host.present()}; give checkpoint=FOLDER")
    return found


def is_open(key: Key) -> bool:
    """Whether a request may set a key: it names no file, and no text that might be one."""
    about = key.about
    if about.file or about.fixed:
        return False
    is_free_text = "str" in re.findall(r"\w+", key.type) and not about.choices
    return not is_free_text or key.name in TEXTS


@lru_cache
def open_keys(modality: str) -> Mapping[str, Key]:
    """The keys that a request may set, by their names: of its modality first."""
    closed = {key.name for key in record_keys(ModelSource)} | OF_THE_MACHINE | set(ELSEWHERE["run"])
    keys = [*modality_keys(modality, RUN), *record_keys(RunConfig)]
    return {
        key.name: key
        for key in keys
        if is_open(key) and key.name.partition(".")[0] not in closed - {"modality"}
    }


@lru_cache
def file_keys(modality: str) -> Mapping[str, Key]:
    """What may be given beside a prompt as a file, by its last part."""
    keys = modality_keys(modality, RUN)
    given = [key for key in keys if key.about.file and key.name.startswith(f"{CONDITION}.")]
    return {key.name.rpartition(".")[2]: key for key in given}


def composed(model: Served, words: Mapping[str, str], prompt: str) -> RunConfig:
    """The request for a model.

    Raises:
        LuminaError: as `run` refuses it.
    """
    return compose_run(as_overrides({**model.words, **words, "prompt": prompt}))


def described(models: Mapping[str, Served]) -> list[dict[str, Any]]:
    """Each modality with its models, keys and examples, for a page that knows none of them."""
    names = dict.fromkeys(model.modality for model in models.values())
    return [_described(name, [m for m in models.values() if m.modality == name]) for name in names]


def _described(name: str, models: list[Served]) -> dict[str, Any]:
    config = composed(models[0], {}, ANY_PROMPT)
    used = flat(told(config)) | flat(told(config.options), "modality.")
    decoder = make_modality(name, config.options, NO_FOLDER).decoder
    accepts = of_files(decoder, decoder.read_suffixes)
    return {
        "modality": name,
        "models": [model.id for model in models],
        "summary": host.find(name).summary,
        "formats": of_files(decoder, decoder.suffixes),
        "examples": list(_examples(name)),
        "settings": [_setting(key, used) for key in open_keys(name).values()],
        "conditions": [
            {"key": short, "accepts": accepts, "meaning": key.about.meaning}
            for short, key in file_keys(name).items()
        ],
    }


def of_files(decoder: Decoder, suffixes: tuple[str, ...]) -> tuple[str, ...]:
    """The suffixes that stand for one file."""
    return tuple(each for each in suffixes if each not in decoder.folder_suffixes)


def _examples(name: str) -> Iterator[str]:
    try:
        found = [each.caption for each in examples(name) if each.split != NO_EXAMPLES]
    except LuminaError:  # it has no world
        return
    step = max(1, len(found) // MAX_EXAMPLES)  # of every task
    yield from list(dict.fromkeys(found))[::step][:MAX_EXAMPLES]


def _setting(key: Key, used: Mapping[str, Any]) -> dict[str, Any]:
    about = key.about
    most = about.at_most if about.at_most is not None else about.below
    return {
        "key": key.name,
        "type": _type_name(key.type),
        "default": _plain(used.get(key.name, key.default)),
        "unit": about.unit,
        "meaning": about.meaning,
        "choices": [each for each in about.choices if each not in ADAPTIVE],
        "least": about.at_least if about.at_least is not None else about.above,
        "most": MAX_SAMPLES if key.name == "num_samples" else most,
    }


def _plain(value: Any) -> Any:
    """A value of JSON, which has neither tuples nor infinite numbers."""
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, float) and not isfinite(value) else value


def _type_name(annotation: str) -> str:
    """An annotation as `schema` writes it: [int, int] | null."""
    return re.sub(r"\bNone\b", "null", annotation.replace("tuple[", "["))
