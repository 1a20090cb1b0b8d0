"""What texts of people may mean in the audio world."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

from lumina_audio.scene import (
    DIRECTIONS,
    MAX_COUNT,
    MAX_EVENTS,
    REPEATED,
    TREMBLING,
    Event,
    Scene,
    is_possible,
    max_count,
    max_long,
)
from lumina_audio.wordings import (
    ADJECTIVES,
    NOUNS,
    PLURALS,
    RARE_ADJECTIVES,
    RARE_NOUNS,
    RARE_PLURALS,
    RARE_TAILS,
    TAILS,
)
from lumina_core.media.worlds.captions import NUMBERS, by_wording
from lumina_core.media.worlds.lexicon import NUMBER_MEANINGS, Lexicon, Meaning, meant_by, values_of

_NOUNS_TOO = {
    **{"beeping": "beep", "white": "noise", "click": "noise", "clicks": "noise", "tick": "noise"},
    **{"ticks": "noise", "tones": "tone", "notes": "tone", "hum": "tone", "whistle": "tone"},
    **{"drone": "tone", "rumble": "tone", "buzz": "tone", "chords": "chord", "sweep": "rising"},
    **{"siren": "rising", "rising siren": "rising", "falling siren": "falling", "glide": "rising"},
    **{"rising sweeps": "rising", "falling sweeps": "falling", "upward sweep": "rising"},
    **{"downward sweep": "falling", "ascending sweep": "rising", "descending sweep": "falling"},
    **{"rising note": "rising", "falling note": "falling", "rising": "rising"},
    **{"falling": "falling", "ascending": "rising", "descending": "falling"},
    **{"going up": "rising", "going down": "falling"},
}
_LEVELS_TOO = {
    **{"softly": "soft", "quietly": "soft", "quieter": "soft", "softer": "soft"},
    **{"loudly": "loud", "louder": "loud", "loudest": "loud"},
}
_TREMOLOS_TOO = {
    **{"tremolo": "slow", "vibrato": "slow", "shakes": "slow", "wobbles": "slow"},
    **{"trembles": "slow", "slow": "slow", "slowly": "slow"},
    **{"fast": "fast", "quickly": "fast", "rapid": "fast", "quick": "fast"},
}
_ORDER = ("then", "followed by", "before", "and after that", "after that", "and then", "next")


def _adjectives(field: str) -> dict[str, str]:
    """The values of a field of an event by the adjectives for them."""
    return by_wording(RARE_ADJECTIVES[field]) | by_wording(ADJECTIVES[field])


LEXICON = Lexicon(
    meant_by("noun", (), by_wording(RARE_NOUNS) | by_wording(RARE_PLURALS))
    | meant_by("noun", (), by_wording(NOUNS) | by_wording(PLURALS) | _NOUNS_TOO)
    | NUMBER_MEANINGS
    | meant_by("pitch", (), _adjectives("pitch"))
    | meant_by("length", (), _adjectives("length"))
    | meant_by("level", (), _adjectives("level") | _LEVELS_TOO)
    | meant_by("tremolo", (), _adjectives("tremolo") | _TREMOLOS_TOO)
    | meant_by("tremolo", (), by_wording(TAILS) | by_wording(RARE_TAILS["tremolo"]))
    | dict.fromkeys(_ORDER, ("order", "then"))
)


def scenes(meanings: Sequence[Meaning]) -> Iterator[Scene]:
    """As in `Words`."""
    parts = _parts(meanings)
    told = [list(dict.fromkeys(_of_one(part, parts[0]))) for part in parts]
    whole = _of_one([meaning for meaning in meanings if meaning[0] != "order"], parts[0])
    for events in [whole, *told]:
        yield from (Scene("", (event,)) for event in events)
    for num in range(2, len(told) + 1):
        fitting = [
            dict.fromkeys(_fitted(event, num, most) for event in events for most in (MAX_COUNT, 2))
            for events in told[:num]
        ]
        yield from (Scene("", events) for events in product(*fitting) if is_possible(events))


def _fitted(event: Event, num_events: int, most: int) -> Event:
    """An event without what none has in a scene of so many."""
    count = min(event.count, max_count(num_events), most)
    is_long = event.length == "long" and count > max_long(num_events)
    return replace(event, count=count, length=None if is_long else event.length, tremolo=None)


def _parts(meanings: Sequence[Meaning]) -> list[list[Meaning]]:
    """The meanings of each of the first events, which a noun or a word of order ends."""
    parts: list[list[Meaning]] = [[]]
    for meaning in meanings:
        has_noun = any(kind == "noun" for kind, _ in parts[-1])
        if meaning[0] == "order" or (has_noun and meaning[0] != "tremolo"):
            parts.append([])
        if meaning[0] != "order":
            parts[-1].append(meaning)
    return [part for part in parts if part][:MAX_EVENTS] or [[]]


def _of_one(meanings: Sequence[Meaning], first: Sequence[Meaning]) -> Iterator[Event]:
    """The events that a few meanings may stand for; each of these may be left out.

    Args:
        meanings: of the event.
        first: of the first event, whose noun is meant where none is told.
    """
    told = values_of(meanings, "noun", 1) or values_of(first, "noun", 1)
    nouns = told or ("beep", "tone", "chord", "noise", "rising")
    others = (
        (*values_of(meanings, kind, 1), None)
        for kind in ("pitch", "number", "length", "level", "tremolo")
    )
    for noun, pitch, number, length, level, tremolo in product(nouns, *others):
        kind = "sweep" if noun in DIRECTIONS else noun
        count = NUMBERS.index(number) + 1 if number and kind in REPEATED else 1
        yield Event(
            kind,
            pitch,
            noun if kind == "sweep" else None,
            count,
            length if kind in REPEATED else None,
            level,
            tremolo if kind in TREMBLING else None,
        )
