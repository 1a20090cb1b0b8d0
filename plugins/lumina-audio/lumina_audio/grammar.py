"""The captions of the synthetic audio world: what sounds after what, as words, and back.

The only file that the renderer and the oracle share. Each wording parses back to exactly the scene
it was made from.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from lumina_core import LuminaError
from lumina_core.media.worlds.captions import (
    NUMBERS,
    by_wording,
    chance,
    join,
    one_of,
    pick,
    plain_words,
    with_article,
)

PITCHES = ("low", "middle", "high")
DIRECTIONS = {
    "rising": ("rising sweep", "sweep upwards"),
    "falling": ("falling sweep", "sweep downwards"),
}
REPEATED = {"beep": ("beep", "beeps"), "noise": ("noise burst", "noise bursts")}
"""Kinds that may come several times: one, and many."""
KINDS = (*REPEATED, "tone", "chord", "sweep")
PITCHED = ("beep", "tone", "chord")
LENGTHS = ("short", "long")
LEVELS = ("soft", "loud")
TREMOLOS = ("slow", "fast")
TASKS = ("pitch", "sweep", "counting", "length", "tremolo", "loudness", "order")
HELD_OUT_TASKS = ("counting", "length", "tremolo", "loudness", "order")
"""The others name one thing only, so that no combination can be held out."""
MAX_IN_ORDER = 2
"""How often something sounds that is not alone, so that all fits into a short clip."""

# Combinations that stand in no training caption. A number goes with what is counted, all else with
# what is heard and how high.
HELD_OUT_COUNTS = frozenset({("beep", "low", 2), ("beep", "high", 3), ("noise", None, 4)})
HELD_OUT_LENGTHS = frozenset({("beep", "high", "long"), ("beep", "low", "short")})
HELD_OUT_TREMOLOS = frozenset({("middle", "fast"), ("high", "slow")})
HELD_OUT_LEVELS = frozenset({("chord", "middle", "soft"), ("tone", "high", "loud")})
HELD_OUT_ORDERS = frozenset(
    {("sweep", "chord"), ("chord", "beep"), ("noise", "tone"), ("beep", "noise")}
)

PITCH_NAMED, LENGTH_NAMED = 0.85, 0.5
"""Shares of the captions that say it where they need not; the rest leaves it to the renderer."""

_OPENINGS = ("", "the sound of ", "a recording of ")
_THEN = (" then ", " followed by ", " and then ")


@dataclass(frozen=True)
class Event:
    """Something that sounds once, or several times alike. None means that the caption is silent."""

    kind: str
    """One of KINDS."""
    pitch: str | None = None
    """Of PITCHED; low, middle or high."""
    direction: str | None = None
    """Of a sweep."""
    count: int = 1
    """How often it sounds; more than once only what is REPEATED."""
    length: str | None = None
    """Of what is REPEATED; short or long."""
    level: str | None = None
    """Soft or loud."""
    tremolo: str | None = None
    """Of a tone; slow or fast."""


@dataclass(frozen=True)
class Scene:
    """What a caption says, and no more."""

    task: str
    events: tuple[Event, ...]
    """One, or two in order."""


def max_long(num_events: int) -> int:
    """How often something long may sound, in a scene of so many events."""
    return 2 if num_events == 1 else 1


def parse(caption: str) -> Scene:
    """As in `Grammar`."""
    match = _CAPTION.fullmatch(plain_words(caption))
    events = () if match is None else _events_of(match)
    if not events or None in events:
        raise LuminaError(
            f"{caption!r} is no caption of the audio world, which knows one to four beeps and "
            "noise bursts, short or up to two long, tones (with slow or fast tremolo) and chords, "
            "low, middle or high, soft or loud, rising and falling sweeps, and one after another; "
            "write, say, 'two short high beeps, then a falling sweep'."
        )
    return Scene(_task_of(events), events)


def _events_of(match: re.Match[str]) -> tuple[Event | None, ...]:
    texts = [text for text in (match["first"], match["second"]) if text]
    events = tuple(_event_of(text) for text in texts)
    is_alone = len(events) == 1
    for event in events:
        if event and event.length == "long" and event.count > max_long(len(events)):
            return ()
        if event and not is_alone and (event.count > MAX_IN_ORDER or event.tremolo or event.level):
            return ()
    return () if not is_alone and events[0] == events[1] else events


def _event_of(text: str) -> Event | None:
    """The event that a few words name; None where they agree but mean nothing."""
    match = _EVENT.fullmatch(text)
    assert match is not None  # _CAPTION holds the same expression
    noun = match["noun"]
    kind = _KIND_OF.get(noun, "sweep")
    count = NUMBERS.index(match["number"]) + 1 if match["number"] else 1
    event = Event(
        kind, match["pitch"], _DIRECTION_OF.get(noun), count,
        match["length"], match["level"], match["tremolo"],
    )  # fmt: skip
    fits = (
        (kind in PITCHED or not event.pitch)
        and (kind in REPEATED or not (match["number"] or event.length))
        and (kind == "tone" or not event.tremolo)
        and (noun in _PLURALS) == (count > 1)
        and (kind != "sweep" or not event.level)
        and not (event.level and (event.tremolo or event.length or count > 1))
    )
    return event if fits else None


def _task_of(events: tuple[Event, ...]) -> str:
    event = events[0]
    if len(events) > 1:
        return "order"
    if event.kind == "sweep":
        return "sweep"
    for task, value in (
        ("tremolo", event.tremolo),
        ("loudness", event.level),
        ("length", event.length and event.count == 1),
    ):
        if value:
            return task
    return "counting" if event.kind in REPEATED else "pitch"


def caption_of(scene: Scene, generator: torch.Generator | None) -> str:
    """As in `Grammar`."""
    words = [_worded(event, generator) for event in scene.events]
    return pick(_OPENINGS, generator) + pick(_THEN, generator).join(words)


def _worded(event: Event, generator: torch.Generator | None) -> str:
    if event.kind == "sweep":
        return with_article(pick(DIRECTIONS[event.direction or ""], generator))
    one, many = REPEATED.get(event.kind, (event.kind, ""))
    adjectives = join(event.level, event.length, event.pitch)
    if event.count > 1:
        return join(NUMBERS[event.count - 1], adjectives, many)
    words = with_article(join(adjectives, one))
    return f"{words} with {event.tremolo} tremolo" if event.tremolo else words


def sample_any(generator: torch.Generator, task: str) -> Scene:
    """As in `Grammar`."""
    return Scene(task, _sample_events(generator, task))


def is_held_out(scene: Scene) -> bool:
    """As in `Grammar`."""
    if tuple(event.kind for event in scene.events) in HELD_OUT_ORDERS:
        return True
    return any(
        (event.kind, event.pitch, event.count) in HELD_OUT_COUNTS
        or (event.kind, event.pitch, event.length) in HELD_OUT_LENGTHS
        or (event.pitch, event.tremolo) in HELD_OUT_TREMOLOS
        or (event.kind, event.pitch, event.level) in HELD_OUT_LEVELS
        for event in scene.events
    )


def is_drawn(scene: Scene) -> bool:
    """As in `Grammar`.

    Tones and chords, and whatever is soft or loud, have a pitch; no noise is soft or loud.
    """
    return all(
        event.pitch is not None or (event.kind not in ("tone", "chord") and event.level is None)
        for event in scene.events
    )


def _sample_events(generator: torch.Generator, task: str) -> tuple[Event, ...]:
    if task == "order":
        while True:
            first, second = (_sample_one(generator) for _ in range(2))
            if first != second:
                return first, second
    pitch = pick(PITCHES, generator)
    if task == "pitch":
        return (Event(pick(("tone", "chord"), generator), pitch),)
    if task == "sweep":
        return (Event("sweep", direction=pick(tuple(DIRECTIONS), generator)),)
    if task == "counting":
        count = 1 + int(torch.randint(len(NUMBERS), (), generator=generator))
        return (_repeated(generator, count, LENGTH_NAMED if count > 1 else 0.0, max_long(1)),)
    if task == "length":
        return (_repeated(generator, 1, 1.0, max_long(1)),)
    if task == "tremolo":
        return (Event("tone", pitch, tremolo=pick(TREMOLOS, generator)),)
    return (Event(pick(PITCHED, generator), pitch, level=pick(LEVELS, generator)),)


def _sample_one(generator: torch.Generator) -> Event:
    """An event that need not be alone."""
    kind = pick(KINDS, generator)
    if kind == "sweep":
        return Event(kind, direction=pick(tuple(DIRECTIONS), generator))
    if kind in REPEATED:
        count = 1 + int(torch.randint(MAX_IN_ORDER, (), generator=generator))
        return _repeated(generator, count, LENGTH_NAMED, max_long(2), kind)
    return Event(kind, pick(PITCHES, generator))


def _repeated(
    generator: torch.Generator,
    count: int,
    length_named: float,
    max_long: int,
    kind: str | None = None,
) -> Event:
    kind = kind or pick(tuple(REPEATED), generator)
    has_pitch = kind in PITCHED and chance(PITCH_NAMED, generator)
    pitch = pick(PITCHES, generator) if has_pitch else None
    lengths = LENGTHS if count <= max_long else LENGTHS[:1]
    length = pick(lengths, generator) if chance(length_named, generator) else None
    return Event(kind, pitch, count=count, length=length)


_KIND_OF = by_wording(REPEATED) | {"tone": "tone", "chord": "chord"}
_DIRECTION_OF = by_wording(DIRECTIONS)
_PLURALS = tuple(many for _, many in REPEATED.values())


def _event_expression(named: bool) -> str:
    def group(words: Iterable[str], name: str) -> str:
        return one_of(words, name if named else None)

    nouns = sorted((*_KIND_OF, *_DIRECTION_OF), key=len, reverse=True)
    return (
        f"(?:an? |{group(NUMBERS, 'number')} )"
        f"(?:{group(LEVELS, 'level')} )?(?:{group(LENGTHS, 'length')} )?"
        f"(?:{group(PITCHES, 'pitch')} )?{group(nouns, 'noun')}"
        f"(?: with (?:a )?{group(TREMOLOS, 'tremolo')} tremolo)?"
    )


_EVENT = re.compile(_event_expression(named=True))
_CAPTION = re.compile(
    f"{one_of(_OPENINGS[1:])}?(?P<first>{_event_expression(named=False)})"
    f"(?:{one_of(_THEN)}(?P<second>{_event_expression(named=False)}))?"
)
