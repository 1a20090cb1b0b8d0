"""The Python API: a checkpoint is loaded once, and each call says what it makes.

A call is composed like a command line, so that it means the same and its refusals read alike.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from lumina_core.checkpoints.formats import find_source, lasting_name
from lumina_core.checkpoints.model import Model as Checkpoint
from lumina_core.checkpoints.source import Source
from lumina_core.config.keys import Command, record_keys
from lumina_core.errors import LuminaError, nearest
from lumina_core.flow.solver import OnStep
from lumina_core.hub import local_folder
from lumina_core.plugins import host
from lumina_core.plugins.yaml_files import model_files
from lumina_core.sampling.adapters import named_adapters
from lumina_core.sampling.compose import RUN, compose_run
from lumina_core.sampling.generate import (
    Generated,
    Items,
    all_requests,
    generate_batches,
    load_model,
    step_bar,
)
from lumina_core.sampling.prompt_notes import request_notes
from lumina_core.sampling.python_arguments import as_overrides, path, prompts, text, words_of
from lumina_core.sampling.sample import batches
from lumina_core.sampling.settings import ModelSource, RunConfig, sampling_of
from lumina_core.sampling.velocity import GuidedVelocity
from lumina_core.terminal import is_notebook

ELSEWHERE = {
    "run": {
        "prompt": "it is the first argument of generate",
        "prompt_file": "give generate a list of prompts",
        "out": "an item has .save(path)",
        "overwrite": "an item has .save(path, overwrite=True)",
        "json": "an item has .request",
    },
    "evaluate": {"json": "an evaluation has .result"},
}
"""Keys of commands that are no settings in Python, and what is there in their place."""
OF_THE_MACHINE = {
    *("modality", "checkpoint", "download"),
    *("device", "attention", "offload", "token_budget", "text_cache", "text_encoder_device"),
    *("adapters", "merge_adapters"),
}
"""Keys of which a file that is repeated says nothing."""
OF_WEIGHTS = (
    *("checkpoint", "adapters", "merge_adapters", "text_encoder"),
    *("device", "dtype", "offload", "quantise", "text_encoder_device"),
)
"""Keys that decide which weights are in memory, and how."""
ANY_PROMPT = "any prompt"  # where a request is composed before there is one


@dataclass(frozen=True, repr=False)
class Model:
    """A checkpoint in memory with settings for its calls; threads may share it."""

    modality: str
    words: Mapping[str, str]
    """The settings: whole keys and values as on a command line."""
    config: RunConfig
    """What they are composed to, with a prompt that stands for those to come."""
    checkpoint: Checkpoint

    def __repr__(self) -> str:
        where = f"{self.config.checkpoint}, {self.config.dtype} on {self.checkpoint.device}"
        return f"<{self.modality} model of {where}>"

    def generate(
        self, prompt: str | Sequence[str] | None = None, **settings: Any
    ) -> list[Generated]:
        """Generate media in memory.

        Args:
            prompt: what to show, one text or several; None with `repeat`.
            settings: keys of `run` or their last parts, for this call alone.

        Returns:
            `num_samples` items of each prompt; the seed of its sample i is `seed + i`.

        Raises:
            LuminaError: whatever `run` would refuse, and arguments of another type.
        """
        return Items(self.stream(prompt, **settings))

    def stream(
        self,
        prompt: str | Sequence[str] | None = None,
        *,
        on_step: OnStep | None = None,
        **settings: Any,
    ) -> Iterator[Generated]:
        """As `generate`, but each item comes as soon as it is ready.

        Args:
            prompt: what to show.
            on_step: called as on_step(step, total) after each step of a sample, or of several that
                are computed together; may raise to cancel.
            settings: keys and values.
        """
        configs = _configs(self.modality, self.words, prompt, settings)
        return _made(self.loaded(configs[0]), configs, on_step)

    def velocity(self, prompt: str | Sequence[str], **settings: Any) -> GuidedVelocity:
        """v(t, x) of all samples of a request in one batch, for a solver of one's own.

        Args:
            prompt: as in `generate`.
            settings: as in `generate`; those of the solver only say where
                `guidance.share_of_steps` ends.

        Returns:
            A function of t in [0, 1] and of x, the tokens of all samples end to end. Its `x_0` is
            where the flow starts, its `media` turns the x where it ends into media.
        """
        configs = _configs(self.modality, self.words, prompt, settings)
        model = self.loaded(configs[0])
        return GuidedVelocity(model, all_requests(model, configs), sampling_of(configs[0]))

    def with_settings(self, **settings: Any) -> "Model":
        """The model with other settings for its calls; it shares the weights where they may stay.

        Args:
            settings: keys of `run` or their last parts.

        Raises:
            LuminaError: as `generate`.
        """
        words = _with(self.words, _words(RUN, self.modality, settings))
        config = _composed({**words, "prompt": ANY_PROMPT})
        return Model(self.modality, words, config, self.loaded(config))

    def overrides(self, command: Command, settings: Mapping[str, Any]) -> list[str]:
        """The words of a command: the settings of the model that it has, and others on top."""
        known = ("modality", *(key.name for key in record_keys(command.record)))
        kept = {k: v for k, v in self.words.items() if k in known or k.startswith("modality.")}
        return as_overrides(_with(kept, _words(command, self.modality, settings)))

    def loaded(self, config: ModelSource) -> Checkpoint:
        """The checkpoint as a request computes it: read anew where another one is asked for."""
        is_own = all(getattr(config, key) == getattr(self.config, key) for key in OF_WEIGHTS)
        return load_model(config, self.checkpoint if is_own else None)


def load(source: str | Path, *, modality: str | None = None, **settings: Any) -> Model:
    """Read a checkpoint into memory.

    Args:
        source: a modality, whose demo is read; the folder of a checkpoint or of a training; or the
            id of a checkpoint on the Hugging Face hub.
        modality: which one, if the checkpoint was trained on several.
        settings: keys of `run` or their last parts, for each call of the model.

    Raises:
        LuminaError: there is no such checkpoint, it is damaged, or cannot be computed as asked; or
            a setting is wrong.
    """
    name = str(path("source", source))
    words: dict[str, str] = {}
    if isinstance(source, str) and name in [plugin.name for plugin in host.discover()]:
        found = [host.find(name).name]
    else:
        opened = _source_of(name, download=settings.get("download") is True)
        words["checkpoint"] = opened.name
        found = list(opened.manifest["modalities"])
    if modality is not None:
        found = [each for each in found if each == text("modality", modality)] or found
    if len(found) > 1 or modality not in (None, *found):
        raise LuminaError(
            f"{name} is of {', '.join(found)}, modality is {modality!r}; choose one of them, such "
            f"as modality={found[0]!r}"
        )
    words |= {"modality": found[0], **_words(RUN, found[0], settings)}
    config = _composed({**words, "prompt": ANY_PROMPT})
    checkpoint = load_model(config)
    words["checkpoint"] = lasting_name(str(config.checkpoint))
    own = replace(config, checkpoint=words["checkpoint"])
    if config.adapters:
        adapters = [each.text for each in named_adapters(config.adapters)]
        words["adapters"] = json.dumps(adapters)
        own = replace(own, adapters=tuple(adapters))
    return Model(found[0], words, own, checkpoint)


def generate(
    prompt: str | Sequence[str] | None = None,
    *,
    modality: str,
    on_step: OnStep | None = None,
    **settings: Any,
) -> list[Generated]:
    """As `load(modality).generate(prompt)`; the checkpoint that was read last is kept.

    Args:
        prompt: what to show, one text or several; None with `repeat`.
        modality: name of an installed modality.
        on_step: as in `Model.stream`.
        settings: keys of `run` or their last parts.

    Raises:
        LuminaError: as `Model.generate`.
    """
    name = host.find(text("modality", modality)).name
    configs = _configs(name, {"modality": name}, prompt, settings)
    return Items(_made(load_model(configs[0]), configs, on_step))


def _source_of(name: str, *, download: bool) -> Source:
    """The checkpoint that a path, the name of a model or an id of the hub means."""
    models = list(model_files())
    if not Path(name).exists() and "/" not in name and name not in models:
        raise LuminaError(
            f"{name!r} is neither a folder nor a modality; {host.present()}."
            + nearest(name, [*host.installed(), *models])
        )
    if not Path(name).exists() and "/" in name:
        local_folder(name, download=download)  # or says why not
    return find_source(lasting_name(name), download=download)


def _words(command: Command, modality: str, settings: Mapping[str, Any]) -> dict[str, str]:
    """Settings as keys and values of a command line."""
    words = words_of(command, modality, settings)
    for key in words.keys() & ELSEWHERE[command.name].keys():
        raise LuminaError(f"{key} is no setting here: {ELSEWHERE[command.name][key]}")
    return words


def _with(words: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """Words with others on top; who chooses a block, such as a solver, takes all of it anew."""
    chosen = {key.removesuffix(".name") for key in more}
    kept = {key: value for key, value in words.items() if key.partition(".")[0] not in chosen}
    return {**kept, **more}


def _composed(words: Mapping[str, str]) -> RunConfig:
    return compose_run(as_overrides(words))


def _configs(
    modality: str,
    words: Mapping[str, str],
    prompt: str | Sequence[str] | None,
    settings: Mapping[str, Any],
) -> list[RunConfig]:
    """The request of each prompt; they differ in it alone."""
    own = _words(RUN, modality, settings)
    is_repeated = settings.get("repeat") is not None
    if is_repeated:  # the file says what a model says else, and the prompt
        words = {key: words[key] for key in words.keys() & OF_THE_MACHINE}
    words = _with(words, own)
    if prompt is None and is_repeated:
        return [_composed(words)]
    first, *others = prompts(prompt)
    config = _composed({**words, "prompt": first})
    return [config, *(replace(config, prompt=other) for other in others)]


def _made(
    model: Checkpoint,
    configs: Sequence[RunConfig],
    on_step: OnStep | None,
) -> Iterator[Generated]:
    """The items of requests with their notes; what is wrong is refused before the first."""

    @cache
    def notes(prompt: str) -> tuple[str, ...]:
        found = request_notes(replace(configs[0], prompt=prompt), model)
        return tuple(note.removeprefix("note: ") for note in found)

    groups = batches(model, all_requests(model, configs), sampling_of(configs[0]))

    def items() -> Iterator[Generated]:
        # in a terminal a program of the user's own shows what it wants
        bar = step_bar(len(groups)) if is_notebook() else nullcontext()
        with bar as fill:

            def step(number: int, total: int) -> None:
                for told in (fill, on_step):
                    if told is not None:
                        told(number, total)

            for item in generate_batches(model, groups, configs[0], step):
                yield replace(item, notes=notes(item.prompt))

    return items()
