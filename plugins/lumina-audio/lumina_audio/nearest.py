"""What texts of people may mean in the audio world."""

from collections.abc import Iterator, Sequence
from itertools import product

from lumina_audio.grammar import (
    KINDS,
    LENGTHS,
    LEVELS,
    PITCHED,
    PITCHES,
    REPEATED,
    TREMOLOS,
    Event,
    Scene,
)
from lumina_core.media.worlds.captions import NUMBERS, by_wording
from lumina_core.media.worlds.lexicon import NUMBER_MEANINGS, Lexicon, Meaning, meant_by, values_of

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
_PITCHES_TOO = {"deep": "low", "bass": "low", "medium": "middle", "shrill": "high"}
LEXICON = Lexicon(
    meant_by("noun", (), by_wording(_NOUNS))
    | NUMBER_MEANINGS
    | meant_by("pitch", PITCHES, _PITCHES_TOO)
    | meant_by("length", LENGTHS, {"brief": "short"})
    | meant_by("level", LEVELS, {"quiet": "soft", "faint": "soft"})
    | meant_by("tremolo", (), {f"{words} tremolo": words for words in TREMOLOS})
    | meant_by("tremolo", (), {"tremolo": "slow", "vibrato": "slow"})
    | dict.fromkeys(("then", "followed by", "before"), ("order", "then"))
)


def scenes(meanings: Sequence[Meaning]) -> Iterator[Scene]:
    """As in `Words`."""
    told = [list(_of_one(part)) for part in _parts(meanings)]
    for events in told:
        yield from (Scene("", (event,)) for event in events)
    if len(told) == MAX_EVENTS:
        yield from (Scene("", events) for events in product(*told))


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
