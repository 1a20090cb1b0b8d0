"""Does the commands that are configured by keys, or shows what they would use."""

from contextlib import suppress
from typing import Any

from lumina_core import terminal
from lumina_core.cli import help
from lumina_core.cli.configured import CONFIGURED
from lumina_core.config.compose import composed
from lumina_core.config.keys import Command
from lumina_core.config.settings_file import settings_text
from lumina_core.config.several import keys_of
from lumina_core.config.words import ARCHITECTURE_KEYS, modalities_in_use, parse, without_multirun
from lumina_core.errors import LuminaError, nearest
from lumina_core.parallel import ranks
from lumina_core.plugins import host


def configured(name: str, words: list[str]) -> int:
    """Do one of these commands, or print its help; returns the exit code."""
    with ranks.joined():
        return _configured(name, words)


def _configured(name: str, words: list[str]) -> int:
    with ranks.agreed():
        words, of_hydra = without_multirun(words)
        arguments = parse(words, known_names(name, words))
        if of_hydra is not None:
            ranks.refuse_many("a sweep")
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
            f"config takes a command first, {', '.join(CONFIGURED)}, got {name!r}."
            + nearest(name, list(CONFIGURED))
        )
    arguments = parse(words, known_names(name, words))
    if arguments.wants_help:
        terminal.show(*help.command_help("config"))
        return 0
    layers = composed(CONFIGURED[name].command, arguments.overrides)
    prompts = [layers.values[key] for key in ("prompt", "prompt_file") if key in layers.values]
    has_prompt = not prompts or any(prompt is not None for prompt in prompts)
    _compose(name, [*arguments.overrides, *["prompt=a prompt"] * (not has_prompt)])  # or refuses
    terminal.show(*settings_text(name, layers.lines()))
    return 0


def planned(words: list[str]) -> int:
    """Print what one of these commands would cost; returns the exit code."""
    from lumina_core.training.plan_words import compose_plan, sorted_words

    command, words = sorted_words(["json=true" if word == "--json" else word for word in words])
    arguments = parse(words, names_of(command, words))
    if arguments.wants_help:
        terminal.show(*help.command_help("plan", words))
        return 0
    config = compose_plan(command, arguments.overrides)
    from lumina_core.training.plan_report import plan_command

    return plan_command(config)


def _compose(name: str, overrides: list[str]) -> Any:
    return CONFIGURED[name].compose(overrides)


def _execute(name: str, overrides: list[str]) -> int:
    with ranks.agreed():
        config = _compose(name, overrides)
        for modality in getattr(config, "joint", {}) or [config.modality]:
            terminal.tell(*host.find(modality).deprecations)
    return CONFIGURED[name].execute(config)  # only once the request is right


def known_names(name: str, words: list[str]) -> list[str]:
    """Every key that a command knows, those of the modality that the words choose included."""
    return names_of(CONFIGURED[name].command, words)


def names_of(command: Command, words: list[str]) -> list[str]:
    """As `known_names`."""
    names = [key.name for key in command.keys] + ["modality"]
    installed = host.installed()
    modalities = [m for m in modalities_in_use(command, words) if m in installed]
    if modalities:
        with suppress(LuminaError):  # a broken plugin is reported when it is used
            names += [key.name for key in keys_of(command, modalities)]
    fixed = [key for key in ARCHITECTURE_KEYS if key not in names]
    return names + fixed * command.has_fixed_architecture
