"""The commands that are configured by keys: how each is composed, and done."""

from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any, NamedTuple

from lumina_core import terminal
from lumina_core.cli import help
from lumina_core.config.compose import composed
from lumina_core.config.keys import Command, modality_keys
from lumina_core.config.settings_file import settings_text
from lumina_core.config.words import (
    ARCHITECTURE_KEYS,
    modalities_in_use,
    parse,
    without_multirun,
)
from lumina_core.errors import LuminaError, nearest
from lumina_core.evaluation.compose import EVALUATE, compose_evaluate
from lumina_core.plugins import host
from lumina_core.sampling.compose import INFER, RUN, compose_infer, compose_run
from lumina_core.training.compose import TRAIN, TRAIN_VAE, compose_train, compose_train_vae


class Configured(NamedTuple):
    """One of these commands."""

    command: Command
    compose: Callable[[list[str]], Any]
    """From overrides to its record."""
    function: str
    """Module and function that does it; brings torch."""

    def execute(self, config: Any) -> int:
        """Do it; returns the exit code."""
        module, _, name = self.function.partition(":")
        return int(getattr(import_module(f"lumina_core.{module}"), name)(config))


CONFIGURED = {
    each.command.name: each
    for each in (
        Configured(RUN, compose_run, "sampling.run:run_command"),
        Configured(INFER, compose_infer, "sampling.run:run_command"),
        Configured(TRAIN, compose_train, "training.command:train_command"),
        Configured(TRAIN_VAE, compose_train_vae, "training.train_vae:train_vae_command"),
        Configured(EVALUATE, compose_evaluate, "evaluation.evaluate:evaluate_command"),
    )
}


def configured(name: str, words: list[str]) -> int:
    """Do one of these commands, or print its help; returns the exit code."""
    words, of_hydra = without_multirun(words)
    arguments = parse(words, known_names(name, words))
    if arguments.wants_help:
        terminal.show(*help.command_help(name, words))
        return 0
    if of_hydra is None:
        return _execute(name, arguments.overrides)
    from lumina_core.cli.sweep import sweep

    return sweep(name, arguments.overrides, of_hydra, _compose, _execute)


def show_settings(name: str, words: list[str]) -> int:
    """Print the settings that one of these commands would use, as `config=FILE` takes them.

    Raises:
        LuminaError: there is no such command, or it would refuse the words; it needs no prompt.
    """
    if name not in CONFIGURED:
        raise LuminaError(
            f"config takes a command first, {', '.join(CONFIGURED)}, got {name or 'none'!r}."
            + nearest(name, list(CONFIGURED))
        )
    arguments = parse(words, known_names(name, words))
    if arguments.wants_help:
        terminal.show(*help.command_help("config"))
        return 0
    layers = composed(CONFIGURED[name].command, arguments.overrides)
    has_prompt = any(layers.values.get(key, "") is not None for key in ("prompt", "prompt_file"))
    _compose(name, [*arguments.overrides, *["prompt=a prompt"] * (not has_prompt)])  # or refuses
    terminal.show(*settings_text(name, layers.lines()))
    return 0


def _compose(name: str, overrides: list[str]) -> Any:
    return CONFIGURED[name].compose(overrides)


def _execute(name: str, overrides: list[str]) -> int:
    config = _compose(name, overrides)
    terminal.tell(*host.find(config.modality).deprecations)
    return CONFIGURED[name].execute(config)  # only once the request is right


def known_names(name: str, words: list[str]) -> list[str]:
    """Every key that a command knows, those of the modality that the words choose included."""
    command = CONFIGURED[name].command
    names = [key.name for key in command.keys] + ["modality"]
    installed = host.installed()
    for modality in modalities_in_use(command, words):
        if modality in installed:
            with suppress(LuminaError):  # a broken plugin is reported when it is used
                names += [key.name for key in modality_keys(modality, command)]
    return names + list(ARCHITECTURE_KEYS) * command.has_fixed_architecture
