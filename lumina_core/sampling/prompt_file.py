"""Read a file of prompts: everything in it is checked before anything is computed.

A text file holds one prompt per line, letter by letter; empty lines and lines that start with # are
skipped. A .jsonl file holds one object per line: `prompt`, and if wanted `negative_prompt`, `seed`
and options of the modality such as a size. What a line does not say comes from the command.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lumina_core.config.modality_file import build_options
from lumina_core.errors import LuminaError, reason_of, unknown_key, why
from lumina_core.files.reading import TOO_DEEP, is_deeply_nested, read_regular
from lumina_core.records import build, fixed_names
from lumina_core.sampling.settings import MAX_SAMPLES

if TYPE_CHECKING:
    from lumina_core.sampling.settings import RunConfig


JSON_LINES = ".jsonl"
MAX_FILE_BYTES = 1 << 26  # 6700 for each of MAX_SAMPLES prompts


class PromptLine(NamedTuple):
    """One prompt of a file."""

    number: int
    """Of the line in the file, from 1."""
    config: "RunConfig"
    """The request as if it had been made alone."""


@dataclass(frozen=True)
class _Text:
    """What every line may say, typed; the modality's options come beside it."""

    prompt: str
    negative_prompt: str
    seed: int


def read_prompts(path: Path, config: "RunConfig") -> list[PromptLine]:
    """The prompts of a file.

    Args:
        path: a text file, or one that ends in .jsonl.
        config: gives what a line does not say; each line makes `num_samples` files.

    Raises:
        LuminaError: the file cannot be read, holds no or too many prompts, or a line is wrong,
            which is named by its number.
    """
    if path.suffix.lower() == ".json":
        raise LuminaError(f"prompt_file={path} ends in .json; one object per line ends in .jsonl")
    is_json = path.suffix.lower() == JSON_LINES
    found: list[PromptLine] = []
    for number, text in _lines(path):
        if not text.strip() or (text.startswith("#") and not is_json):
            continue
        with at_line(path, number):
            if is_json:
                asked = _with_values(config, _object(text))
            else:
                asked = replace(config, prompt_file=None, prompt=text)
            found.append(PromptLine(number, asked))
        if len(found) * config.num_samples > MAX_SAMPLES:
            raise LuminaError(
                f"prompt_file={path} with num_samples={config.num_samples} asks for more than "
                f"{MAX_SAMPLES} files; split it"
            )
    if not found:
        raise LuminaError(f"prompt_file={path} holds no prompt; write one per line")
    return found


@contextmanager
def at_line(path: Path, number: int) -> Iterator[None]:
    """Say in a refusal from which line of the file it comes."""
    try:
        yield
    except LuminaError as error:
        raise LuminaError(f"{path}, line {number}: {error}") from error


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines with their numbers, without their ends (LF or CRLF) and byte order mark."""
    try:
        if not path.is_file():
            raise LuminaError(
                f"prompt_file={path} is no file; give a text file with one prompt per line"
            )
        lines = read_regular(path, MAX_FILE_BYTES).split(b"\n")
    except OSError as error:
        raise LuminaError(f"prompt_file={path} cannot be read: {why(error)}") from error
    for number, line in enumerate(lines, 1):
        with at_line(path, number):
            text = _decoded(line, "utf-8-sig" if number == 1 else "utf-8")
        yield number, text


def _decoded(line: bytes, encoding: str) -> str:
    try:
        return line.decode(encoding).rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise LuminaError("no valid UTF-8; save the file as UTF-8") from error


def _object(text: str) -> dict[str, Any]:
    try:
        values = json.loads(text, object_pairs_hook=_without_repetition)
    except (ValueError, RecursionError) as error:
        raise LuminaError(f"no valid JSON: {reason_of(error)}") from error
    if is_deeply_nested(values):
        raise LuminaError(f"no valid JSON: {TOO_DEEP}")
    if not isinstance(values, dict) or "prompt" not in values:
        raise LuminaError('an object with a prompt is wanted, such as {"prompt": "a red circle"}')
    return values


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key stands there twice")
    return values


def _with_values(config: "RunConfig", values: dict[str, Any]) -> "RunConfig":
    """The configuration of the command with what one line says."""
    texts = [field.name for field in fields(_Text)]
    options = fields(config.options)
    fixed = fixed_names(config.options)
    names = [*texts, *(field.name for field in options if field.name not in fixed)]
    for key in values:
        if key in fixed:
            raise LuminaError(f"{key!r} belongs to the architecture, which the checkpoint fixes")
        if key not in names:
            raise unknown_key(key, names)
    own = {key: value for key, value in values.items() if key not in texts}
    text = build(_Text, {key: {key: getattr(config, key), **values}[key] for key in texts})
    if own:
        changed = build_options(config.modality, asdict(config.options) | own, "")
        config = replace(config, options=changed)
    return replace(config, prompt_file=None, **asdict(text))
