"""Whether a text is a caption of the audio world, and which caption is nearest to it."""

from collections.abc import Iterator, Sequence
from itertools import product

from lumina_audio.grammar import (
    KINDS,
    LENGTHS,
    LEVELS,
    NUMBERS,
    PITCHED,
    PITCHES,
    REPEATED,
    TREMOLOS,
    Event,
    Scene,
    caption_of,
    is_drawn,
    parse,
)
from lumina_core import LuminaError
from lumina_core.lexicon import Lexicon, Meaning, spoken, values_of

RISING, FALLING = "rising", "falling"
MAX_EVENTS = 2  # that are looked at; no caption names more

_NOUNS = {
    "beep": ("beep", "beeps", "bleep", "bleeps", "blip", "blips", "ping", "pings"),
    "noise": (
        *("noise burst", "noise bursts", "noise", "noises", "burst", "bursts", "hiss", "static"),
        *("burst of noise", "bursts of noise"),
    ),
    "tone": ("tone", "tones", "note", "notes", "hum", "whistle"),
    "chord": ("chord", "chords"),
    RISING: ("rising sweep", "sweep upwards", "sweep", "rising tone", "sweep up", "rising sweeps"),
    FALLING: ("falling sweep", "sweep downwards", "falling tone", "sweep down", "falling sweeps"),
}
_NUMBERS_TOO = {"1": "one", "2": "two", "3": "three", "4": "four", "pair": "two"} | {
    words: "four" for words in ("five", "six", "seven", "eight", "nine", "ten", "many", "several")
}
_PITCHES_TOO = {"deep": "low", "bass": "low", "medium": "middle", "shrill": "high"}
_LEXICON = Lexicon(
    {words: ("noun", noun) for noun, wordings in _NOUNS.items() for words in wordings}
    | {words: ("number", words) for words in NUMBERS}
    | {words: ("number", number) for words, number in _NUMBERS_TOO.items()}
    | {words: ("pitch", words) for words in PITCHES}
    | {words: ("pitch", pitch) for words, pitch in _PITCHES_TOO.items()}
    | {words: ("length", words) for words in LENGTHS}
    | {"brief": ("length", "short")}
    | {words: ("level", words) for words in LEVELS}
    | {"quiet": ("level", "soft"), "faint": ("level", "soft")}
    | {f"{words} tremolo": ("tremolo", words) for words in TREMOLOS}
    | {"tremolo": ("tremolo", "slow"), "vibrato": ("tremolo", "slow")}
    | {"then": ("order", "then"), "followed by": ("order", "then"), "before": ("order", "then")}
)


def nearest(text: str) -> str | None:
    """The caption that says most of what a text says; None where the text is a caption itself."""
    if _is_caption(spoken(text)):
        return None
    meant = _LEXICON.understood(text)
    captions = (caption_of(Scene("", events), None) for events in _events(meant))
    return next(filter(_is_caption, _LEXICON.ranked(meant, captions)))


def _is_caption(words: str) -> bool:
    try:
        return is_drawn(parse(words))
    except LuminaError:
        return False


def _events(meanings: Sequence[Meaning]) -> Iterator[tuple[Event, ...]]:
    """What may be meant; not all of it is a caption."""
    told = [list(_of_one(part)) for part in _parts(meanings)]
    for events in told:
        yield from ((event,) for event in events)
    if len(told) == MAX_EVENTS:
        yield from product(*told)


def _parts(meanings: Sequence[Meaning]) -> list[list[Meaning]]:
    """The meanings of each of the first events: one noun, what stands before it, and a tremolo."""
    parts: list[list[Meaning]] = [[]]
    for meaning in meanings:
        has_noun = any(kind == "noun" for kind, _ in parts[-1])
        if has_noun and meaning[0] not in ("tremolo", "order"):
            parts.append([])
        parts[-1].append(meaning)
    return parts[:MAX_EVENTS]


def _of_one(meanings: Sequence[Meaning]) -> Iterator[Event]:
    """The events that a few meanings may stand for; each of these may be left out."""
    nouns = values_of(meanings, "noun", 1) or ("beep", "tone", "chord", "noise", RISING)
    pitches = values_of(meanings, "pitch", 1) or PITCHES[:1]
    others = (
        (*values_of(meanings, kind, 1), None) for kind in ("number", "length", "level", "tremolo")
    )
    for noun, pitch, number, length, level, tremolo in product(nouns, (*pitches, None), *others):
        kind = noun if noun in KINDS else "sweep"
        count = NUMBERS.index(number) + 1 if number and kind in REPEATED else 1
        yield Event(
            kind,
            pitch if kind in PITCHED else None,
            noun if kind == "sweep" else None,
            count,
            length if kind in REPEATED else None,
            level,
            tremolo if kind == "tone" else None,
        )
