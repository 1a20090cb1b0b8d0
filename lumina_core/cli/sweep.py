"""`-m`: one job for each combination of values, by Hydra's sweeper and launchers.

Hydra sees the settings with several values and its own (`hydra/launcher=...`). All others, prompts
and paths among them, reach each job letter by letter. Each job writes into a folder of its own.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import nullcontext, redirect_stdout, suppress
from functools import partial
from io import StringIO
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from lumina_core import terminal
from lumina_core.cli.configured import CONFIGURED
from lumina_core.cli.faults import report
from lumina_core.config.keys import Command, modality_keys
from lumina_core.config.several import keys_of
from lumina_core.config.values import Job, has_several, multirun, parse_value
from lumina_core.config.words import modalities_in_use, split_override
from lumina_core.errors import LuminaError, when_interrupted
from lumina_core.plugins import host
from lumina_core.sampling.output_paths import OUTPUTS, check_folder

ONE_FILE = ("run", "infer", "evaluate")  # commands whose `out` may name a file
ALWAYS_JSON = ("train", "train-vae", "cache")  # what they print
INTERRUPTED = 130  # exit code of a training that saved and stopped

Execute = Callable[[str, list[str]], int]


class Outcome(NamedTuple):
    """What became of a job."""

    job: Job
    exit_code: int
    printed: str
    """JSON; empty where all was printed at once."""


class _NobodyReads(BaseException):
    """Standard output is closed; no Exception, after which Hydra would do the other jobs."""


def sweep(
    command: str,
    overrides: Sequence[str],
    of_hydra: Sequence[str],
    check: Callable[[str, list[str]], object],
    execute: Execute,
) -> int:
    """Do a command once for each combination of values.

    Args:
        command: which.
        overrides: `key=value` each; some of the values stand for several.
        of_hydra: settings of Hydra.
        check: is given the command and the overrides of each job before the first one starts.
        execute: does the command with the overrides of a job; returns its exit code.

    Returns:
        0 where all jobs are done; 1 if one failed by a fault, else 2: by mistakes of the user.

    Raises:
        LuminaError: a job is refused; none is started then.
    """
    about = CONFIGURED[command].command
    literal = _literal_keys(about, modalities_in_use(about, list(overrides)))
    several = [each for each in overrides if _has_several(each, literal)]
    shared = [each for each in overrides if each not in several]
    several = [each.lstrip("+") for each in several]
    out = _folder(command, shared)
    is_json = command in ALWAYS_JSON or "json=true" in shared
    places: list[Path] = []

    def check_job(number: int, words: list[str]) -> None:
        try:
            check(command, [*shared, *_plain(about, words)])
        except LuminaError as error:
            raise LuminaError(f"{_title(number, words)}: {error}") from error

    def place() -> Path:
        places.append(out or _new_folder())
        return places[0]

    def left() -> str:
        return f"what is finished stays in {places[0]}" if places else "before the first job"

    task = partial(_do, command, shared, execute, is_json)
    try:
        with when_interrupted(left):
            names = host.installed()
            done = multirun(several, of_hydra, about.groups, names, place, check_job, task)
    except _NobodyReads:
        return 0
    except LuminaError:
        if places and out is None:
            with suppress(OSError):  # it is empty where Hydra refused a setting
                places[0].rmdir()
                OUTPUTS.rmdir()
        raise
    if is_json:
        terminal.show_json([_record(outcome) for outcome in done])
    failed = [outcome for outcome in done if outcome.exit_code]
    if failed:
        numbers = ", ".join(str(outcome.job.number) for outcome in failed)
        terminal.tell(f"error: {len(failed)} of {len(done)} jobs failed: {numbers}")
    return min((outcome.exit_code for outcome in failed), default=0)


def _literal_keys(command: Command, names: list[str]) -> set[str]:
    """Keys whose values are texts, letter by letter: a comma in one separates nothing."""
    keys = list(command.keys)
    there = [name for name in names if name in host.installed()]
    for name in there:
        own = modality_keys(name, command)
        keys += own
        whole = f"modality.{name}."  # with one modality this says the same
        keys += [key._replace(name=key.name.replace("modality.", whole)) for key in own]
    if len(there) > 1:
        keys += keys_of(command, there)
    return {key.name for key in keys if key.is_text}


def _plain(command: Command, words: Sequence[str]) -> list[str]:
    """The words of a job as a user writes them: Hydra escapes colons, and lists of files do not."""
    lists = {key.name for key in command.keys if key.is_list and key.about.file}

    def plain(word: str) -> str:
        key, value = split_override(word)
        if key not in lists:
            return word
        found = parse_value(key, value)
        return f"{key}={json.dumps(found if found is None or isinstance(found, list) else [found])}"

    return [plain(word) for word in words]


def _has_several(override: str, literal: set[str]) -> bool:
    key, value = split_override(override)
    return key not in literal and has_several(key, value)


def _folder(command: str, shared: Sequence[str]) -> Path | None:
    """The folder of the sweep, where the words name one.

    Raises:
        LuminaError: they name one file, or it could not be written.
    """
    out = dict(map(split_override, shared)).get("out", "null")
    if out == "null":
        return None
    path = Path(out).expanduser()
    if command in ONE_FILE and path.suffix and not (out.endswith("/") or path.is_dir()):
        raise LuminaError(f"out={out} is one file, -m makes several; name a folder")
    if "${" in out:
        raise LuminaError(f"out={out} has ${{, which Hydra would replace; choose another folder")
    check_folder(path, path)
    return path


def _new_folder() -> Path:
    """A folder for a sweep that names none; two at once never share one."""
    for number in count(1):
        folder = OUTPUTS / f"sweep-{number:04d}"
        with suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder
    raise AssertionError("the numbers never end")


def _do(command: str, shared: list[str], execute: Execute, is_json: bool, job: Job) -> Outcome:
    """Do one job, maybe in a process of its own; its faults are told and end no other one."""
    terminal.tell(f"{_title(job.number, job.words)} in {job.folder}")
    with suppress(OSError):
        job.folder.rmdir()  # which Hydra made; some commands want to make it
    own = _plain(CONFIGURED[command].command, job.words)
    words = [*shared, *own, f"out={job.folder}/"]
    with redirect_stdout(StringIO()) if is_json else nullcontext() as printed:
        try:
            code = execute(command, words)
        except KeyboardInterrupt:
            code = INTERRUPTED
        except BrokenPipeError as error:
            code = report(error)
            if code == 0:
                raise _NobodyReads from error
        except Exception as error:
            code = report(error)
    if code == INTERRUPTED:
        stopped = KeyboardInterrupt()  # a new one: notes of the other say how a command goes on
        stopped.add_note(f"in {_title(job.number, job.words)}")
        raise stopped
    return Outcome(job, code, printed.getvalue() if printed else "")


def _title(number: int, words: Sequence[str]) -> str:
    return f"job {number} ({' '.join(words)})" if words else f"job {number}"


def _record(outcome: Outcome) -> dict[str, Any]:
    job, code, printed = outcome
    return {
        "job": job.number,
        "overrides": job.words,
        "folder": str(job.folder),
        "exit_code": code,
        "result": json.loads(printed) if printed else None,
    }
