"""The command line: `main(argv)` returns an exit code.

faults.py says which code means what. Everything heavy is imported inside the command that needs it.
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from lumina_core import __version__, terminal
from lumina_core.cli import file_commands, help, reports
from lumina_core.cli.faults import report
from lumina_core.cli.options import parted, wants_help
from lumina_core.errors import LuminaError, nearest, unknown_key
from lumina_core.parallel import ranks
from lumina_core.plugins import host

HELP = (["-h"], ["--help"], ["help"])
KEYS = "KEY=VALUE"  # in the usage of commands that are configured by keys
VAE_KEY = "modality.vae="  # of doctor, where it examines parts
CONTRACT = "--contract"
EXAMINATIONS = (CONTRACT, "--learn")  # of doctor


def main(argv: list[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the words after the program's name; None takes those of this process.

    Returns:
        The exit code.
    """
    with terminal.libraries_harmless():
        try:
            return _dispatch(sys.argv[1:] if argv is None else _checked(argv))
        except (Exception, KeyboardInterrupt) as error:
            return report(error)


def _checked(argv: list[str]) -> list[str]:
    from lumina_core.sampling.python_arguments import texts

    return texts("argv", argv)


def _dispatch(words: list[str]) -> int:
    if words[:1] in HELP and words[1:2] and words[1] in help.USAGES:
        words = [words[1], "--help", *words[2:]]
    if not words or words[:1] in HELP:
        terminal.show(*help.main_help())
        return 0 if words else 2
    command, rest = words[0], words[1:]
    if command in ("-V", "--version"):
        command = "version"
    if command not in _COMMANDS:
        raise LuminaError(_unknown_command(words))
    if command not in ("train", "cache"):
        ranks.refuse_many(command)
    return _COMMANDS[command](rest)


def _unknown_command(words: list[str]) -> str:
    command = words[0]
    text = f"unknown command {command!r}."
    from lumina_core.cli.commands import known_names
    from lumina_core.config.words import is_override

    if is_override(command, known_names("run", words)):
        return f"{text} Did you mean: run {' '.join(words)} ?"
    if hint := nearest(command, list(help.SUMMARIES)):
        return text + hint
    if " " in command:
        return f'{text} Did you mean: infer "{command}" ?'
    return f"{text} Commands: {', '.join(help.SUMMARIES)}"


def _configured(command: str, words: list[str]) -> int:
    from lumina_core.cli.commands import configured

    return configured(command, words)


def _config(words: list[str]) -> int:
    if wants_help("config", [word for word in words[:1] if word.startswith("-")], ()):
        return 0
    from lumina_core.cli.commands import show_settings

    return show_settings("".join(words[:1]), words[1:])


def _plan(words: list[str]) -> int:
    from lumina_core.cli.commands import planned

    return planned(words)


def _plugins(words: list[str]) -> int:
    if wants_help("plugins", words, ("--json", "--check")):
        return 0
    is_check = "--check" in words
    plugins = reports.check_plugins() if is_check else reports.all_plugins()
    if "--json" in words:
        terminal.show_json(reports.plugin_records(plugins, is_check=is_check))
    else:
        terminal.show(*reports.plugin_table(plugins))
    return int(is_check and reports.has_faults(plugins))


def _models(words: list[str]) -> int:
    options = [word for word in words if word.startswith("-")]
    if wants_help("models", options, ("--json",)):
        return 0
    names = [word.removeprefix("checkpoint=") for word in words if word not in options]
    if len(names) > 1:
        raise LuminaError(f"models takes one name, got {len(names)}: {', '.join(names)}")
    from lumina_core.cli import models

    if names:
        record = models.record_of(names[0])
        if options:
            terminal.show_json(record)
        else:
            terminal.show(*models.lines_of(record))
        return 0
    found, faults = models.all_models()
    if options:
        terminal.show_json([models.model_record(name, model) for name, model in found.items()])
    else:
        terminal.show(*models.model_table(found))
    terminal.tell(*(f"note: {fault}" for fault in faults))
    return 0


def _schema(words: list[str]) -> int:
    options = [word for word in words if word.startswith("-")]
    if wants_help("schema", options, ("--json",)):
        return 0
    names = [_modality_name(word) for word in words if word not in options]
    from lumina_core.cli import schema

    found = schema.modality_schema(schema.chosen_name(names))
    if "--json" in options:
        terminal.show_json(schema.schema_records(found))
    else:
        terminal.show(*schema.schema_table(found))
    return 0


def _examples(words: list[str]) -> int:
    options = [word for word in words if word.startswith("-")]
    if wants_help("examples", options, ("--json",)):
        return 0
    names = [_modality_name(word) for word in words if word not in options]
    if len(names) > 1:
        raise LuminaError(f"examples takes one modality, got {len(names)}: {', '.join(names)}")
    if not (names or host.installed()):
        raise LuminaError(f"examples needs a modality; {host.present()}")
    from lumina_core.sampling.examples import example_lines, examples

    found: list[Any] = []
    for name in names or host.installed():
        try:
            found += examples(name)
        except LuminaError as error:
            if names:
                raise
            terminal.tell(f"note: {error}")
    if "--json" in options:
        terminal.show_json([example._asdict() for example in found])
    else:
        terminal.show(*example_lines(found))
    return 0


def _modality_name(word: str) -> str:
    """A name, also where it is written as other commands have it: +modality=NAME."""
    return word.lstrip("+").removeprefix("modality=")


def _doctor(words: list[str]) -> int:
    vaes = [word for word in words if word.startswith(VAE_KEY)]
    options = [word for word in words if word.startswith("-")]
    names = [_modality_name(word) for word in words if word not in (*vaes, *options)]
    if wants_help("doctor", options, (*EXAMINATIONS, "--json", "--trace")):
        return 0
    for name in names:
        if "=" in name:
            raise unknown_key(name.partition("=")[0], [VAE_KEY.removesuffix("=")])
    if len(names) > 1:
        raise LuminaError(f"doctor looks at one modality, got {len(names)}: {', '.join(names)}")
    asked = [option for option in EXAMINATIONS if option in options]
    if asked:
        if len(asked) > 1 or not names:
            said = f"needs the name of a modality; {host.present()}"
            raise LuminaError(f"doctor {' '.join(asked)} {'are two commands' if names else said}")
        examine = _contract if asked == [CONTRACT] else _learn
        return examine(names[0], _vae_folder(vaes), is_json="--json" in options)
    is_traced = options == ["--trace"]
    if (options and not is_traced) or vaes:
        said = " or ".join(EXAMINATIONS)
        raise LuminaError(f"{(options or vaes)[0]} of doctor goes with {said}")
    if is_traced and not names:
        raise LuminaError("--trace of doctor needs a name: whose hooks to watch")
    from lumina_core.plugins.loading import traced

    calls: list[str] = []
    with traced(calls):
        plugins = reports.check_plugins(only=names[0] if names else None)
    if names:
        terminal.show(*reports.diagnosis(names[0], plugins), *(calls if is_traced else ()))
        plugins = [plugin for plugin in plugins if plugin.name == names[0]]
    else:
        terminal.show(*reports.environment(plugins))
    return int(reports.has_faults(plugins))


def _vae_folder(vaes: list[str]) -> Path | None:
    """The folder that the last of such words names."""
    vae = Path(vaes[-1].removeprefix(VAE_KEY)).expanduser() if vaes else None
    if vae is not None and (vaes[-1] == VAE_KEY or not vae.is_dir()):
        raise LuminaError(f"{vaes[-1]} is no folder; give that of an autoencoder")
    return vae


def _contract(name: str, vae: Path | None, *, is_json: bool) -> int:
    """Print what became of every rule; 1 where one is broken."""
    from lumina_core.testing.contract import run_contract
    from lumina_core.testing.report import lines_of, record_of, total_of
    from lumina_core.testing.rules import Result
    from lumina_core.testing.verdicts import BROKEN

    results: list[Result] = []
    for result in run_contract(name, vae=vae):
        if not is_json:
            terminal.show(*lines_of(result, results))
        results.append(result)
    if is_json:
        terminal.show_json([record_of(result) for result in results])
    else:
        terminal.show(total_of(results))
    return int(any(result.status == BROKEN for result in results))


def _learn(name: str, vae: Path | None, *, is_json: bool) -> int:
    """Print whether a modality can be learned; 1 where something keeps it from that."""
    from lumina_core.testing.learning import learn_findings
    from lumina_core.training.latents import FAULT

    found = []
    for finding in learn_findings(name, vae):
        if not is_json:
            terminal.show(finding.line())
        found.append(finding)
    if is_json:
        terminal.show_json([finding._asdict() for finding in found])
    return int(any(finding.verdict == FAULT for finding in found))


def _gallery(words: list[str]) -> int:
    paths = _paths("gallery", words, "out=")
    if paths is not None:
        from lumina_core.evaluation.gallery import write_gallery

        terminal.show(str(write_gallery(*paths)))
    return 0


def _report(words: list[str]) -> int:
    paths = _paths("report", words, "compare=", "out=")
    if paths is not None:
        from lumina_core.training.report import write_report

        terminal.show(str(write_report(*paths)))
    return 0


def _paths(
    command: str, words: list[str], *keys: str
) -> tuple[Path, *tuple[Path | None, ...]] | None:
    """The folder that a command takes, and the path of each key; None where help was printed."""
    given = {
        key: [word.removeprefix(key) for word in words if word.startswith(key)] for key in keys
    }
    others = [word for word in words if not word.startswith(keys)]
    folders = [word for word in others if not word.startswith("-")]
    if wants_help(command, [word for word in others if word not in folders], ()):
        return None
    if len(folders) != 1 or any(len(values) > 1 or "" in values for values in given.values()):
        usage = help.USAGES[command]
        raise LuminaError(f"{command} takes {usage}, got {' '.join(words) or 'nothing'}")
    paths = (Path(values[0]).expanduser() if values else None for values in given.values())
    return Path(folders[0]), *paths


def _serve(words: list[str]) -> int:
    if wants_help("serve", [word for word in words if "=" not in word], ()):
        return 0
    from lumina_core.cli.serve import serve

    return serve(words)


def _new_modality(words: list[str]) -> int:
    words = [part for word in words for part in parted(word, "--shape")]
    options = [word for word in words if word.startswith("-")]
    if wants_help("new-modality", options, ("--shape",)):
        return 0
    names, shapes = list(words), []
    if options == ["--shape"] and words[-1] != "--shape":
        at = words.index("--shape")
        shapes = [words[at + 1]]
        del names[at : at + 2]
    is_wrong = options != ["--shape"] * len(shapes) or any("=" in name for name in names)
    if is_wrong or not 1 <= len(names) <= 2:
        usage = help.USAGES["new-modality"]
        raise LuminaError(f"new-modality takes {usage}, got {' '.join(words) or 'nothing'}")
    from lumina_core.cli.new_modality import new_modality, next_commands

    if "" in names[1:]:
        raise LuminaError("DIR is empty; name a folder, or leave it out for the current one")
    folder = new_modality(names[0], Path(*names[1:]).expanduser(), *shapes)
    terminal.show(str(folder), "", "next:", *next_commands(names[0], folder))
    return 0


def _completion(words: list[str]) -> int:
    shells = [word for word in words if not word.startswith("-")]
    if not wants_help("completion", [word for word in words if word not in shells], ()):
        from lumina_core.cli import completion

        terminal.show(*completion.script(shells).splitlines())
    return 0


def _complete(words: list[str]) -> int:
    """Hidden: what the scripts of `completion` call with the words of a command line after --."""
    from lumina_core.cli import completion

    terminal.show(*completion.complete(words[1:]))
    return 0


def _version(words: list[str]) -> int:
    if not wants_help("version", words, ()):
        terminal.show(f"lumina-core {__version__}")
    return 0


_COMMANDS: dict[str, Callable[[list[str]], int]] = {
    **{name: partial(_configured, name) for name, usage in help.USAGES.items() if KEYS in usage},
    "config": _config,
    "models": _models,
    "plan": _plan,
    "plugins": _plugins,
    "schema": _schema,
    "examples": _examples,
    "doctor": _doctor,
    "info": file_commands.info,
    "convert": file_commands.convert,
    "gallery": _gallery,
    "report": _report,
    "serve": _serve,
    "new-modality": _new_modality,
    "completion": _completion,
    "complete": _complete,
    "version": _version,
}
