"""What `COMMAND --help` says about keys: a view of them, and of the layers of their values."""

from typing import Any

from lumina_core.cli.configured import CONFIGURED
from lumina_core.config.compose import composed
from lumina_core.config.keys import Command, Key
from lumina_core.config.layers import CORE
from lumina_core.config.several import MIXING
from lumina_core.config.words import is_override, modalities_in_use
from lumina_core.errors import printable
from lumina_core.plugins import host
from lumina_core.plugins.yaml_files import MAX_TEXT
from lumina_core.program import program
from lumina_core.records import as_text, flat

_WIDTH = 34  # of the column of keys


def key_lines(name: str, words: list[str]) -> list[str]:
    """The keys of a command, and the values in use where the words name a modality."""
    command = CONFIGURED["run" if name == "infer" else name].command  # a usual one is not asked for
    keys = command.keys
    if names := modalities_in_use(command, words):
        lines = _effective_lines(command, words, names if command.own else names[:1])
    else:
        lines = ["keys:", *(_line(key, key.default) for key in keys), ""]
        lines += [
            f"modality {plugin.name} ({plugin.package} {plugin.version}): "
            + (plugin.summary if plugin.error is None else f"{plugin.status}, {plugin.error}")
            for plugin in host.discover()
        ]
        shown = "shows its keys and the values in use"
        lines += [f"{program()} {name} --help +modality=NAME {shown}."]
    lines += ["-m makes one job of each combination of values, written KEY=A,B or KEY=range(0,3)."]
    if "prompt" in [key.name for key in keys]:
        lines += ["An argument that is no KEY=VALUE is the prompt; -- ends the settings."]
    return lines


def plan_lines() -> list[str]:
    """What `plan` takes, and the keys that it has beside those of what it plans."""
    from lumina_core.training.plan_words import PLANNED

    own = {key.name: key for name in ("run", "train") for key in PLANNED[name].keys}
    for name in ("run", "train"):
        for key in CONFIGURED[name].command.keys:
            own.pop(key.name, None)
    return [
        "It takes the arguments of run, which it plans where no word says it, or of train; no",
        "prompt is needed. backbone=NAME, its keys and text_encoder=NAME plan a new network.",
        "",
        "keys beside those of run and train:",
        *(_line(key, key.default) for key in own.values()),
    ]


def effective(command: Command, words: list[str], name: str) -> list[tuple[Key, Any, str]]:
    """Every key of a command and of a modality with the value that would be used, and its origin.

    Args:
        command: which.
        words: after it; what is no setting of it is left out.
        name: the modality, where the words do not choose it.

    Raises:
        LuminaError: what they name cannot be used, or a value is refused.
    """
    names = [key.name for key in command.keys]
    typed = [word for word in words if is_override(word, [*names, "modality", MIXING])]
    layers = composed(command, [f"modality={name}", *typed])
    values = flat(layers.values)
    found = []
    for key in layers.keys.values():
        if key.name in layers.choices:  # the name of a choice is the choice
            named = layers.keys.get(f"{key.name}.name", key).name
            value = {named: layers.choices[key.name], **values}[named]
            found.append((key, value, layers.origins.get(named, CORE)))
        elif key.name in values:
            found.append((key, values[key.name], layers.origins[key.name]))
    return found


def _effective_lines(command: Command, words: list[str], names: list[str]) -> list[str]:
    plugins = [host.find(name) for name in names]
    found = effective(command, words, f"[{','.join(names)}]")
    origins = [printable(origin, _WIDTH) for _, _, origin in found]
    width = max(map(len, origins))
    used = ", ".join(f"{each.name} ({each.package} {each.version})" for each in plugins)
    return [
        f"values with modality {used}, and whose they are:",
        *(
            _line(key, value, f"{origin:<{width}}  ")
            for (key, value, _), origin in zip(found, origins, strict=True)
        ),
    ]


def _line(key: Key, value: Any, origin: str = "") -> str:
    default, meaning = printable(as_text(value), MAX_TEXT), printable(key.description, MAX_TEXT)
    return f"  {f'{key.name}={default}':<{_WIDTH}}  {origin}{meaning}".rstrip()
