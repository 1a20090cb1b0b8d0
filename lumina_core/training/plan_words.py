"""From the words of `plan` to what is planned: those of `run` or `train`, and a few of its own."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from lumina_core.backbone.settings import BackboneConfig
from lumina_core.config.compose import composed
from lumina_core.config.keys import Command
from lumina_core.config.words import ARCHITECTURE_KEYS, modalities_in_use
from lumina_core.errors import LuminaError
from lumina_core.records import block, setting
from lumina_core.sampling.compose import INFER, RUN, composed_request, modalities_named, put_between
from lumina_core.sampling.settings import RunConfig
from lumina_core.text.settings import TextEncoderConfig
from lumina_core.training.compose import TRAIN, composed_training
from lumina_core.training.settings import TrainConfig

MAX_TOKENS = 2**22  # a plan holds a list of them
_LENGTH = "positions of a sample, separators included; null: those of its size"
_ANY_PROMPT = "prompt=a prompt"  # what it says costs nothing


@dataclass(frozen=True)
class RunPlan(RunConfig):
    """A request that is planned."""

    tokens: int | None = setting(None, _LENGTH, at_least=2, at_most=MAX_TOKENS)


@dataclass(frozen=True)
class NewRunPlan(RunPlan):
    """A request to a network that no checkpoint holds."""

    backbone: BackboneConfig = block(BackboneConfig, "tiny")
    # the architecture of one in the place of the name of one
    text_encoder: TextEncoderConfig = block(TextEncoderConfig, "tiny")  # type: ignore[assignment]


@dataclass(frozen=True)
class TrainPlan(TrainConfig):
    """A training that is planned."""

    tokens: int | None = setting(None, _LENGTH, at_least=2, at_most=MAX_TOKENS)
    json: bool = setting(False, "print the result as JSON")


_named = partial(modalities_named, described=True)
PLAN_RUN = RUN._replace(
    record=RunPlan, modalities=_named, between=partial(put_between, described=True)
)
PLAN_INFER = PLAN_RUN._replace(
    name=INFER.name, modalities=lambda values: _named(values) or INFER.modalities(values)
)
PLAN_NEW = RUN._replace(
    record=NewRunPlan, checkpoint=None, read=lambda words: {}, between=lambda layers: None
)
PLAN_TRAIN = TRAIN._replace(record=TrainPlan, own=())
PLANNED = {"run": PLAN_RUN, "infer": PLAN_INFER, "train": PLAN_TRAIN}
"""What can be planned, by the word that stands first."""
_OF_FILES = ("checkpoint", "repeat")  # keys that name something with an architecture of its own


def sorted_words(words: list[str]) -> tuple[Command, list[str]]:
    """What is planned, and the words after it; without a word of its own a run is meant.

    Words that describe a network plan a run of that one, unless they name a checkpoint.
    """
    named = bool(words) and words[0] in PLANNED
    command, rest = PLANNED[words[0] if named else "run"], words[named:]
    is_new = any(key.partition(".")[0] in ARCHITECTURE_KEYS for key in _keys(rest))
    return (PLAN_NEW if is_new and _may_be_new(command, rest) else command), rest


def completed_plan(words: list[str]) -> tuple[Command, list[str]]:
    """As `sorted_words`, of words that may go on with those that describe a network."""
    command, rest = sorted_words(words)
    return (PLAN_NEW if _may_be_new(command, rest) else command), rest


def _may_be_new(command: Command, words: list[str]) -> bool:
    return command is not PLAN_TRAIN and not _keys(words) & set(_OF_FILES)


def _keys(words: list[str]) -> set[str]:
    return {word.lstrip("+").partition("=")[0] for word in words if "=" in word}


def compose_plan(command: Command, overrides: list[str]) -> Any:
    """What is planned, as one of the records of this module.

    Args:
        command: from `sorted_words`.
        overrides: `key=value` each; a prompt may be left out.

    Raises:
        LuminaError: what `run` or `train` would refuse.
    """
    names = modalities_in_use(command, overrides)
    if len(names) > 1:
        raise LuminaError(
            f"plan counts one modality, not {', '.join(names)}. Choose one: +modality={names[0]}"
        )
    if command is PLAN_TRAIN:
        return composed_training(command, overrides)
    values = composed(command, overrides).values
    if values["prompt_file"] is not None:
        raise LuminaError(
            "plan counts the files of one prompt; leave out prompt_file and give num_samples"
        )
    return composed_request(command, [*overrides, *[_ANY_PROMPT] * (values["prompt"] is None)])
