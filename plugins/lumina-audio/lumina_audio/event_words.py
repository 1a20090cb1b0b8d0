"""One event of the audio world as words, and back: an article or a number, adjectives, a noun.

The first wording of each thing is the plain one. All of them stand in training captions.
"""

import re
from collections.abc import Iterable

import torch

from lumina_audio.scene import DIRECTIONS, Event
from lumina_core.media.worlds.captions import NUMBERS, by_wording, chance, join, one_of, pick

NOUNS = {
    "beep": ("beep", "bleep", "ping"),
    "noise": (
        *("noise burst", "burst of noise", "burst of white noise", "burst of static", "hiss"),
        *("white noise", "static", "noise"),
    ),
    "tone": ("tone", "note"),
    "chord": ("chord",),
    "rising": (
        *("rising sweep", "sweep upwards", "sweep upwards", "sweep up", "rising tone"),
        *("tone going up", "siren going up", "ascending tone"),
    ),
    "falling": (
        *("falling sweep", "sweep downwards", "sweep downwards", "sweep down", "falling tone"),
        *("tone going down", "siren going down", "descending tone"),
    ),
}
"""By kind, sweeps by their direction; what stands here twice is written twice as often."""
PLURALS = {
    "beep": ("beeps", "bleeps", "pings"),
    "noise": ("noise bursts", "bursts of noise", "bursts of white noise", "bursts of static"),
}
BARE = ("white noise", "static", "noise")
"""Nouns that are written without an article."""
PRONOUN = "one"
"""Stands for the noun of the event before: "a soft beep then a loud one"."""
ADJECTIVES = {
    "level": {"soft": ("soft", "quiet"), "loud": ("loud",)},
    "length": {"short": ("short", "brief"), "long": ("long",)},
    "pitch": {
        "low": ("low", "low pitched", "deep"),
        "middle": ("middle", "medium", "middle pitched"),
        "high": ("high", "high pitched"),
    },
    "tremolo": {
        "slow": ("slowly trembling", "slowly wobbling", "trembling", "wobbling"),
        "fast": ("fast trembling", "fast wobbling", "quickly trembling", "quickly wobbling"),
    },
}
"""By field of an event. In this order they are plain."""


def _tremolos(rate: str, adverbs: Iterable[str]) -> tuple[str, ...]:
    said = tuple(f"with {a}{rate} {what}" for what in ("tremolo", "vibrato") for a in ("", "a "))
    return said + tuple(f"{how} {way}" for way in adverbs for how in ("trembling", "wobbling"))


TAILS = {
    "slow": (*_tremolos("slow", ("slowly",)), *("with tremolo", "with vibrato")),
    "fast": _tremolos("fast", ("fast", "quickly")),
}
"""A tremolo behind the noun. Where no rate is named it is slow."""

_DIGITS = tuple(str(number + 1) for number in range(len(NUMBERS)))
_ARTICLES = ("a", "a", "a", "", "one", "1")
"""Before one thing, each as often as it stands here."""


def worded(event: Event, before: Event | None, generator: torch.Generator | None) -> str:
    """An event in words.

    Args:
        event: of a scene.
        before: the event before it in its scene.
        generator: chooses; None takes the plain words.
    """
    tail, adjectives = _described(event, generator)
    noun = _noun(event, generator)
    is_same = before is not None and before.kind == event.kind and event.count == 1
    if is_same and not tail and generator and (adjectives or event.direction):
        noun = pick((noun, join(event.direction, PRONOUN)), generator)
    if event.count > 1:
        number = pick((NUMBERS, NUMBERS, _DIGITS), generator)[event.count - 1]
    else:
        number = "" if noun in BARE else pick(_ARTICLES, generator)
    return join(number, *adjectives, noun, tail)


def _noun(event: Event, generator: torch.Generator | None) -> str:
    if event.count > 1:
        return pick(PLURALS[event.kind], generator)
    return pick(NOUNS[event.direction or event.kind], generator)


def _described(event: Event, generator: torch.Generator | None) -> tuple[str, list[str]]:
    """What stands behind the noun, and before it."""
    values = {field: getattr(event, field) for field in ADJECTIVES}
    tail = ""
    if event.tremolo and (generator is None or chance(0.5, generator)):
        tail = pick(TAILS[event.tremolo], generator)
        values["tremolo"] = None
    adjectives = [
        pick(ADJECTIVES[field][value], generator) for field, value in values.items() if value
    ]
    if generator is None:
        return tail, adjectives
    order = torch.randperm(len(adjectives), generator=generator).tolist()
    return tail, [adjectives[place] for place in order]


def event_of(text: str, before: Event | None) -> Event | None:
    """The event that words name; None where they agree with `EVENT` and mean nothing.

    Args:
        text: that `EVENT` takes.
        before: the event before it.
    """
    match = _EVENT.fullmatch(text)
    assert match is not None  # the sentences hold the same expression
    noun, number = match["noun"], match["number"]
    adjectives = [_ADJECTIVE_OF[words] for words in _ADJECTIVE.findall(match["adjectives"])]
    if match["tail"]:
        adjectives.append(("tremolo", _TAIL_OF[match["tail"].strip()]))
    values = dict(adjectives)
    if len(values) < len(adjectives):
        return None
    count = (NUMBERS if number in NUMBERS else _DIGITS).index(number) + 1 if number else 1
    kind, direction = _KIND_OF.get(noun, noun), None
    if noun in _PRONOUNS:
        if before is None or (noun == PRONOUN and not adjectives):
            return None
        kind = before.kind
        direction = noun.removesuffix(PRONOUN).strip() or None
        if (kind == "sweep") != bool(direction):
            return None
    elif kind in DIRECTIONS:
        kind, direction = "sweep", kind
    if (noun in _PLURAL_NOUNS) != (count > 1):
        return None
    return Event(kind, direction=direction, count=count, **values)


def _longest_first(words: Iterable[str]) -> list[str]:
    return sorted(dict.fromkeys(words), key=len, reverse=True)


_KIND_OF = by_wording(NOUNS) | by_wording(PLURALS)
_TAIL_OF = by_wording(TAILS)
_PRONOUNS = (PRONOUN, *(f"{direction} {PRONOUN}" for direction in DIRECTIONS))
_PLURAL_NOUNS = by_wording(PLURALS)
_ADJECTIVE_OF = {
    words: (field, value)
    for field, values in ADJECTIVES.items()
    for words, value in by_wording(values).items()
}
_ADJECTIVE = re.compile(one_of(_longest_first(_ADJECTIVE_OF)))


def _expression(*names: str) -> str:
    number, adjectives, noun, tail = (f"?P<{name}>" for name in names) if names else ["?:"] * 4
    return (
        f"(?:(?:an?|({number}{'|'.join((*NUMBERS, *_DIGITS))})) )?"
        f"({adjectives}(?:{one_of(_longest_first(_ADJECTIVE_OF))} )*)"
        f"({noun}{'|'.join(_longest_first((*_KIND_OF, *_PRONOUNS)))})"
        f"({tail} {one_of(_longest_first(_TAIL_OF))})?"
    )


_EVENT = re.compile(_expression("number", "adjectives", "noun", "tail"))
EVENT = _expression()
"""A regular expression that takes every wording of an event, and some that mean nothing."""
