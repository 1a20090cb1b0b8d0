"""Notes about a request: texts unlike those of training, and why a repeated file may differ."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lumina_core.checkpoints.manifest import manifest_sha256
from lumina_core.errors import printable
from lumina_core.media.seal import state_of
from lumina_core.plugins import demos
from lumina_core.sampling.adapters import ADAPTERS
from lumina_core.sampling.file_request import read_request
from lumina_core.sampling.given import change_notes
from lumina_core.sampling.regions import parts_of
from lumina_core.sampling.request import num_patches, versions_of
from lumina_core.sampling.resolution import size_notes
from lumina_core.sampling.settings import sampling_of
from lumina_core.text.settings import Negative, Text

if TYPE_CHECKING:
    from lumina_core.checkpoints.model import Model
    from lumina_core.sampling.prompt_file import PromptLine
    from lumina_core.sampling.settings import RunConfig


FORMER_DEMOS = ("b5bc49a367b7", "5e9e42caf3a4", "b61e5f2e9993", "0076bbc91fc6")
"""Of image, video, multiview and audio, when each shipped its own: how their hashes begin."""

NUM_SHOWN_DIGITS = 12  # of a hash
MAX_SHOWN_WORDS = 8  # of those that the checkpoint has never seen
MAX_SHOWN_LINES = 8  # of a file of prompts, each with a note of its own
MAX_SHOWN_TEXT = 100  # characters of a prompt


def request_notes(config: "RunConfig", model: "Model") -> Iterator[str]:
    """What the user should know about the request, one line each."""
    repeated = {} if config.repeat is None else read_request(Path(config.repeat))
    place = f"{config.repeat}: " * (repeated.get("prompt") == config.prompt)
    for number, part in enumerate(parts_of(config.prompt, config.regions)):
        yield from text_notes(model, part, "" if number else config.negative_prompt, place)
    yield from (f"note: {note}" for note in model.notes)
    yield from change_notes(config.condition)
    yield from (f"note: {note}" for note in _size_notes(config, model))
    if config.repeat is not None:
        if state := state_of(Path(config.repeat)):
            yield f"note: {config.repeat} {state}; its request is whole"
        yield from _repeat_notes(config.repeat, repeated, model)


def _size_notes(config: "RunConfig", model: "Model") -> Iterator[str]:
    length = num_patches(model, config.options)
    return size_notes(sampling_of(config), length, model.config)


def _repeat_notes(path: str, request: Mapping[str, Any], model: "Model") -> Iterator[str]:
    """Why a file that is made again may not be the same."""
    made_with = request.get("checkpoint_sha256")
    if made_with != model.checkpoint_sha256:
        short = str(made_with)[:NUM_SHOWN_DIGITS]
        demo = demos.demo_folder(model.name)
        if short in FORMER_DEMOS and not (demo and manifest_sha256(demo) == made_with):
            yield (
                f"note: {path} was made with a demo that another one has replaced ({short}); the "
                "result will differ. For the same file give checkpoint=FOLDER with that demo, from "
                "an earlier version of the project"
            )
        else:
            yield (
                f"note: {path} was made with another checkpoint ({short}); the result "
                "will differ. Give checkpoint=FOLDER"
            )
    if model.adapters and not request.get(ADAPTERS):
        yield f"note: {path} was made without adapters; the result will differ"
    stored, here = request.get("versions"), versions_of(model)
    stored = stored if isinstance(stored, dict) else {}
    changes = [
        f"{key} {stored[key]}, here it is {value}"
        for key, value in here.items()
        if key in stored and stored[key] != value  # earlier versions stored no arithmetic
    ]
    if changes:
        yield f"note: {path} was made with {'; '.join(changes)}: the result may differ a little"


def text_notes(model: "Model", prompt: str, negative_prompt: str, place: str = "") -> Iterator[str]:
    """What one should know about the texts of a request, one line each.

    Args:
        model: the checkpoint.
        prompt: what to show.
        negative_prompt: what guidance moves away from.
        place: the file that they come from, with a colon; empty where they were typed.
    """
    strange = _prompt_note(model, prompt)
    if strange:
        yield f"note: {place}{strange}"
    for name, text in (("prompt", prompt), ("negative prompt", negative_prompt)):
        unknown = model.text_encoder.unknown_words(text)
        if unknown and not (strange and text == prompt):
            yield unknown_words_note(unknown, place)
        cut = model.text_encoder.num_cut_tokens(text if name == "prompt" else Negative(text))
        if cut:
            yield (
                f"note: {place}the {name} is {cut} token{'s' * (cut > 1)} longer than the "
                f"checkpoint's {model.text_encoder.max_tokens}; its end is ignored"
            )


def file_notes(path: Path, model: "Model", lines: Sequence["PromptLine"]) -> Iterator[str]:
    """What one should know about the texts of a file of prompts; each note names a line."""
    yield from (f"note: {note}" for note in model.notes)
    lines = [
        line._replace(config=replace(line.config, prompt=part))
        for line in lines
        for part in parts_of(line.config.prompt, line.config.regions)
    ]
    prompts = {line.config.prompt: line.number for line in reversed(lines)}  # the first of each
    negative = {line.config.negative_prompt: line.number for line in reversed(lines)}
    strange = {
        text: note
        for text in dict.fromkeys(line.config.prompt for line in lines)
        if (note := _prompt_note(model, text))
    }
    for text in list(strange)[:MAX_SHOWN_LINES]:
        yield f"note: {path}, line {prompts[text]}: {strange[text]}"
    if len(strange) > MAX_SHOWN_LINES:
        yield (
            f"note: {path}: {len(strange) - MAX_SHOWN_LINES} other prompts are unlike what the "
            "checkpoint saw"
        )
    texts = sorted((negative | prompts).items(), key=lambda text_and_line: text_and_line[1])
    unknown: dict[str, int] = {}
    for text, number in texts:
        for word in () if text in strange else model.text_encoder.unknown_words(text):
            unknown.setdefault(word, number)
    if unknown:
        first, *others = sorted(set(unknown.values()))
        place = f"{path}, line {first}{' and others' if others else ''}: "
        yield unknown_words_note(list(unknown), place)
    sizes: dict[str, int] = {}  # the first line of each
    for line in lines:
        for note in _size_notes(line.config, model):
            sizes.setdefault(note, line.number)
    for note in list(sizes)[:MAX_SHOWN_LINES]:
        yield f"note: {path}, line {sizes[note]}: {note}"
    if len(sizes) > MAX_SHOWN_LINES:
        yield f"note: {path}: {len(sizes) - MAX_SHOWN_LINES} other sizes are larger than training's"
    asked: list[tuple[Text, int]] = [
        *prompts.items(),
        *((Negative(text), number) for text, number in negative.items()),
    ]
    long = [number for text, number in asked if model.text_encoder.num_cut_tokens(text)]
    if long:
        yield (
            f"note: {path}: {len(long)} texts (the first in line {min(long)}) are longer than the "
            f"checkpoint's {model.text_encoder.max_tokens} tokens; their ends are ignored"
        )


def unknown_words_note(unknown: Sequence[str], place: str = "") -> str:
    """The line about words that the checkpoint's text encoder does not know, at least one."""
    return f"note: {place}the checkpoint has never seen {shown_words(unknown)}"


def shown_words(words: Sequence[str]) -> str:
    """The first words of a list, and how many more there are."""
    shown = ", ".join(repr(word) for word in words[:MAX_SHOWN_WORDS])
    return shown + f" and {len(words) - MAX_SHOWN_WORDS} more" * (len(words) > MAX_SHOWN_WORDS)


def _prompt_note(model: "Model", prompt: str) -> str | None:
    """What one should know of a prompt's words as a whole; None where its checkpoint knows them."""
    if outside := _outside_note(model, prompt):
        return outside
    read = model.read_as(prompt)
    if read == prompt:
        return None
    unknown = shown_words(model.text_encoder.unknown_words(prompt)) or "words in this order"
    return f"the checkpoint has never seen {unknown}; it reads {read!r} instead"


def _outside_note(model: "Model", prompt: str) -> str | None:
    """Of a prompt outside of the captions that the checkpoint learned; None where it is inside.

    None, too, where the checkpoint knows more than a world's captions. The empty prompt is inside:
    training leaves captions out.
    """
    world = model.modality.world if model.is_of_world else None
    found = None if world is None or not prompt else world.nearest(prompt)
    if found is None:
        return None
    unknown = model.text_encoder.unknown_words(prompt)
    new = f" (new to it: {shown_words(unknown)})" if unknown else ""
    return (
        f"the checkpoint never saw anything like {printable(prompt, MAX_SHOWN_TEXT)!r}{new}; "
        f"the nearest that it knows: {found!r}"
    )
