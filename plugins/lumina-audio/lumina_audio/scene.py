"""What may sound in the synthetic audio world, and which combinations training never shows.

It holds no words of captions but the plain ones, and neither seconds nor Hz.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

PITCHES = ("low", "middle", "high")
DIRECTIONS = ("rising", "falling")
REPEATED = ("beep", "noise")
"""Kinds that may come several times."""
KINDS = (*REPEATED, "tone", "chord", "sweep")
TONAL = ("beep", "tone", "chord")
"""Kinds that have a pitch where none is named, too."""
TREMBLING = ("tone", "chord")
"""Kinds that may have a tremolo."""
LENGTHS = ("short", "long")
LEVELS = ("soft", "loud")
TREMOLOS = ("slow", "fast")
MAX_COUNT = 4
MAX_EVENTS = 3
MAX_SOUNDS = 5  # of a scene, each repetition counted, so that all fits into 1.5 s
THREE_LOUD_LONG = ("noise", 3, "long", "loud")
"""What is not heard as loud: a vocoder gives so much noise peaks that would be cut off."""

# Combinations that stand in no training caption. A number goes with what is counted, all else with
# what is heard and how high.
HELD_OUT_COUNTS = frozenset({("beep", "low", 2), ("beep", "high", 3), ("noise", None, 4)})
HELD_OUT_LENGTHS = frozenset({("beep", "high", "long"), ("beep", "low", "short")})
HELD_OUT_TREMOLOS = frozenset({("middle", "fast"), ("high", "slow")})
HELD_OUT_LEVELS = frozenset({("chord", "middle", "soft"), ("tone", "high", "loud")})
HELD_OUT_ORDERS = frozenset(
    {("sweep", "chord"), ("chord", "beep"), ("noise", "tone"), ("beep", "noise")}
)


@dataclass(frozen=True)
class Event:
    """Something that sounds once, or several times alike. None means that the caption is silent."""

    kind: str
    """One of KINDS."""
    pitch: str | None = None
    """Low, middle or high; of a sweep its lower end, of noise where most of it lies."""
    direction: str | None = None
    """Of a sweep."""
    count: int = 1
    """How often it sounds; more than once only what is REPEATED."""
    length: str | None = None
    """Of what is REPEATED; short or long."""
    level: str | None = None
    """Soft or loud."""
    tremolo: str | None = None
    """Of what is TREMBLING, where nothing else sounds; slow or fast."""


@dataclass(frozen=True)
class Scene:
    """What a caption says, and no more."""

    task: str
    events: tuple[Event, ...]
    """One, or two or three in order."""


def max_count(num_events: int) -> int:
    """How often something may sound in a scene of so many events, so that all fits into 1.5 s."""
    return (MAX_COUNT, 3, 1)[num_events - 1]


def max_long(num_events: int) -> int:
    """How often something long may sound, in a scene of so many events."""
    return (3, 1, 0)[num_events - 1]


def is_possible(events: tuple[Event, ...]) -> bool:
    """Whether the world has such a scene: what sounds alone says most, three in order least."""
    num = len(events)
    return (
        all(_is_one(event, num) for event in events)
        and all(one != other for one, other in pairwise(events))
        and sum(event.count for event in events) <= MAX_SOUNDS
    )


def _is_one(event: Event, num_events: int) -> bool:
    is_repeated = event.kind in REPEATED
    most = max_long(num_events) if event.length == "long" else max_count(num_events)
    return (
        (is_repeated or not event.length)
        and event.count <= (most if is_repeated else 1)
        and not (event.tremolo and (event.kind not in TREMBLING or num_events > 1))
        and (event.kind, event.count, event.length, event.level) != THREE_LOUD_LONG
    )


def is_held_out(scene: Scene) -> bool:
    """As in `Grammar`: it names a held-out combination, or leaves nothing but such ones open."""
    num = len(scene.events)
    orders = pairwise(event.kind for event in scene.events)
    return not HELD_OUT_ORDERS.isdisjoint(orders) or any(
        _held_out(event) or not ways(event, num) for event in scene.events
    )


def ways(event: Event, num_events: int) -> list[Event]:
    """What may be heard where a caption leaves pitch or length open.

    None has a held-out combination that the caption does not name. What may be short is, and long
    only where no short one is left; all of them are equally likely.

    Args:
        event: what the caption names.
        num_events: of its scene.
    """
    is_open = event.pitch is None and event.kind in TONAL
    for length in _lengths(event, num_events):
        filled = [
            replace(event, pitch=pitch, length=length)
            for pitch in (PITCHES if is_open else (event.pitch,))
        ]
        if found := [one for one in filled if _held_out(one) <= _held_out(event)]:
            return found
    return []


def _lengths(event: Event, num_events: int) -> tuple[str | None, ...]:
    if event.length or event.kind not in REPEATED:
        return (event.length,)
    return LENGTHS if event.count <= max_long(num_events) else LENGTHS[:1]


def _held_out(event: Event) -> set[tuple[object, ...]]:
    """The held-out combinations that an event shows."""
    heard = event.kind, event.pitch if event.kind in TONAL else None
    return (
        ({(*heard, event.count)} & HELD_OUT_COUNTS)
        | ({(*heard, event.length)} & HELD_OUT_LENGTHS)
        | ({(event.pitch, event.tremolo)} & HELD_OUT_TREMOLOS)
        | ({(*heard, event.level)} & HELD_OUT_LEVELS)
    )
