"""The texts of --help, but for the keys."""

from collections.abc import Sequence

from lumina_core.program import program

USAGES = {
    "run": '+modality=NAME "PROMPT" [KEY=VALUE ...]',
    "infer": '"PROMPT" [KEY=VALUE ...]',
    "train": "+modality=NAME [KEY=VALUE ...]",
    "train-vae": "+modality=NAME [KEY=VALUE ...]",
    "index": "+modality=NAME [KEY=VALUE ...]",
    "cache": "+modality=NAME [KEY=VALUE ...]",
    "evaluate": "+modality=NAME [KEY=VALUE ...]",
    "config": "run|infer|train|train-vae|index|cache|evaluate [ARGUMENT ...]",
    "models": "[NAME] [--json]",
    "plan": "[run|infer|train] [ARGUMENT ...] [--json]",
    "plugins": "[--json] [--check]",
    "schema": "NAME [--json]",
    "examples": "[NAME] [--json]",
    "doctor": "[NAME [--trace] [--contract | --learn [--json] [modality.vae=FOLDER]]]",
    "info": "FILE [--json] [--sheet FILE.png]",
    "convert": "SRC DST [--to LAYOUT] [--dtype DTYPE] [--merge ADAPTER[:STRENGTH]]",
    "gallery": "FOLDER [out=FILE.html]",
    "report": "FOLDER [compare=FOLDER] [out=FILE.html]",
    "serve": "[checkpoint=FOLDER ...] [host=ADDRESS] [port=NUMBER] [...]",
    "new-modality": "NAME [DIR] [--shape line|grid]",
    "completion": "bash|zsh",
    "version": "",
}
SUMMARIES = {
    "run": "make something from a prompt",
    "infer": "run with the modality of the checkpoint; without one the only installed, or image",
    "train": "train a checkpoint",
    "train-vae": "train the small autoencoder of a modality",
    "index": "write down of each item of a large data set where it lies and how long it is",
    "cache": "encode the media and captions of a data set once, for many trainings",
    "evaluate": "measure how often a checkpoint shows what the prompt asked for",
    "config": "the values that a command would use, and whose they are, as config=FILE takes them",
    "models": "released models that have a name: size, memory, licence, and whether on disk",
    "plan": "what a run or a training would cost: tokens, operations, memory and time",
    "plugins": "list the installed modalities; --check imports each one",
    "schema": "the options of a modality with their types, units and defaults",
    "examples": "captions of the worlds, for each task of one or all installed modalities",
    "doctor": "what is wrong, with a name in one plugin; --contract checks every rule, --learn "
    "whether its captions can be learned",
    "info": "the request inside a file that we made, or what a checkpoint or a cache holds",
    "convert": "write a model or an adapter in another layout: lumina, diffusers, comfyui, ...",
    "gallery": "write a page that shows the results in a folder with their settings",
    "report": "write a page of a training: samples, curves, whether it over-fits, settings",
    "serve": "answer requests over HTTP, of programs and of a page in a browser",
    "new-modality": "write the package of a new modality, complete and working, to start from",
    "completion": "a script that teaches a shell to complete commands, keys and values",
    "version": "the version of lumina-core",
}


def main_help() -> list[str]:
    """The lines that `--help` without a command prints."""
    lines = [f"usage: {program()} COMMAND ...", "", "commands:"]
    lines += [f"  {name:<14}{summary}" for name, summary in SUMMARIES.items()]
    return [*lines, "", f"{program()} COMMAND --help tells more."]


def command_help(command: str, words: Sequence[str] = ()) -> list[str]:
    """The lines that `COMMAND --help` prints. No plugin is imported unless the words choose one.

    Args:
        command: whose.
        words: beside --help. Where they name a modality, or something that has one, its keys are
            shown, too, and each with the value that would be used and where that comes from.

    Raises:
        LuminaError: what the words name cannot be used.
    """
    lines = [f"usage: {program()} {command} {USAGES[command]}".rstrip(), "", SUMMARIES[command]]
    if "KEY=VALUE" in USAGES[command]:
        from lumina_core.cli.key_help import key_lines

        lines += ["", *key_lines(command, list(words))]
    if command == "serve":
        from lumina_core.config.keys import record_keys
        from lumina_core.server.settings import ServeConfig

        keys = {f"{key.name}={key.type}": key for key in record_keys(ServeConfig)}
        width = max(map(len, keys))
        lines += ["", *(f"  {name:<{width}}  {key.description}" for name, key in keys.items())]
    if command == "plan":
        from lumina_core.cli.key_help import plan_lines

        lines += ["", *plan_lines()]
    return lines
