"""Texts that no sentence fits: words of sounds in any order, as people list them.

Every word must be known, and what they say together must be one thing, or the text is not read:
"beeps, three of them", "sound: tone; pitch: low", "a tone. It is loud."
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, pairwise

from lumina_audio.event_words import event_from
from lumina_audio.loose_words import MEANINGS, SILENT
from lumina_audio.scene import MAX_EVENTS, REPEATED, Event
from lumina_audio.wordings import IMPLIED
from lumina_core.media.worlds.lexicon import Meaning
from lumina_core.media.worlds.whole_texts import MARK, WholeTexts

_WHOLE = WholeTexts(MEANINGS, SILENT)
_WEAK = frozenset((",", ".", ":", "and"))
_ORDERED = frozenset(("then", "last", "first", "after", "follows", "before", "preceded"))
_PARTING = _WEAK | _ORDERED | {"with", "on"}
_NOUNS = frozenset(("noun", "nouns", "one"))
_FIELDS = frozenset(("pitch", "length", "level"))
_COUNTING = frozenset(("article", "number", "the", "one"))
_LEVELS = {"low": "soft", "high": "loud"}
"""What a volume is that is called so."""
_MAX_BETWEEN = 8  # words between an article and its noun
_GLIDING = ("sweep", "tone", "whistle")
"""Nouns of what may rise or fall."""


class _UnclearError(Exception):
    """The words may be meant in several ways, or in none."""


@dataclass(frozen=True)
class _Group:
    """Words that stand together."""

    parted: frozenset[str]
    """What stands before them."""
    words: tuple[Meaning, ...]

    def has(self, *kinds: str) -> bool:
        return any(kind in kinds for kind, _ in self.words)


def told_by(text: str) -> tuple[Event, ...] | None:
    """The events of a text; None where a word is not known, or it may be meant in several ways."""
    meanings = _WHOLE.meanings(text)
    if meanings is None:
        return None
    try:
        groups, trailing = _groups(_counted(_without_inner_nouns(_without_volume(meanings))))
        drafts = _drafts(groups, trailing)
        events: list[Event] = []
        for draft in drafts:
            events.append(draft.event(events[-1] if events else None))
        parted = [draft.parted for draft in drafts]
        return _merged(_in_order(events, parted, trailing), parted[1:])
    except _UnclearError:
        return None


def _without_volume(meanings: Sequence[Meaning]) -> list[Meaning]:
    """The words, of which "volume: low" means soft and not low."""
    found = list(meanings)
    while ("volume", "") in found:
        place = found.index(("volume", ""))
        behind = place + 2 if found[place + 1 : place + 2] == [(MARK, ":")] else place + 1
        kind, value = found[behind] if behind < len(found) else ("", "")
        if kind == "tremble":
            del found[place]
            continue
        level = value if kind == "level" else _LEVELS.get(value) if kind == "pitch" else None
        if level is None:
            raise _UnclearError
        found[place : behind + 1] = [("level", level)]
    return found


def _without_inner_nouns(meanings: Sequence[Meaning]) -> list[Meaning]:
    """The words without "of" and "noise" in "three bursts, very short, of loud noise"."""
    found = list(meanings)
    while ("of", "") in found:
        place = found.index(("of", ""))
        inner = next((n for n in range(place, len(found)) if found[n][0] in _NOUNS), None)
        outer = [value for kind, value in found[:place] if kind in _NOUNS]
        if inner is None or found[inner] != ("noun", "noise") or outer[-1:] != ["noise"]:
            raise _UnclearError
        del found[inner], found[place]
    return found


def _counted(meanings: Sequence[Meaning]) -> list[Meaning]:
    """The words; of "beep beep beep" one noun is left, which sounds three times."""
    found: list[Meaning] = []
    for meaning, several in groupby(meanings):
        count = len(list(several))
        is_echo = meaning[0] == "noun" and count > 1
        found += [meaning, ("times", str(count))] if is_echo else [meaning] * count
    return found


def _groups(meanings: Sequence[Meaning]) -> tuple[list[_Group], frozenset[str]]:
    """Words that stand together, and what parts the last ones from the end."""
    groups: list[_Group] = []
    parted: set[str] = set()
    words: list[Meaning] = []

    def end_group() -> None:
        for part in _apart(words):
            groups.append(_Group(frozenset(parted), part))
            parted.clear()
        words.clear()

    for place, (kind, value) in enumerate(meanings):
        name = value if kind == MARK else kind
        if name in _PARTING:
            end_group()
            parted.add(name)
        else:
            if kind in _COUNTING and _counts_a_noun(meanings, place):
                if any(found not in _COUNTING for found, _ in words):
                    end_group()
                if kind == "one":
                    kind, value = "number", "1"
            words.append((kind, value))
    end_group()
    return groups, frozenset(parted)


def _counts_a_noun(meanings: Sequence[Meaning], place: int) -> bool:
    """Whether an article or a number belongs to a noun behind it."""
    kinds = [kind for kind, _ in meanings[place + 1 : place + 1 + _MAX_BETWEEN]]
    for number, kind in enumerate(kinds):
        if kind in _NOUNS or kind == "direction":
            return True
        if kind == MARK or kind in _PARTING or (kind in _COUNTING and number):
            return False
    return False


def _apart(words: Sequence[Meaning]) -> list[tuple[Meaning, ...]]:
    """The same words, parted where several nouns stand among them, all before or all behind theirs.

    Raises:
        _UnclearError: some of them may belong to one noun or to another.
    """
    nouns = [place for place, (kind, _) in enumerate(words) if kind in _NOUNS]
    if len(nouns) < 2:
        return [tuple(words)] if words else []
    start = 1 if words[0][0] in _COUNTING else 0
    is_first, is_last = nouns[0] == start, nouns[-1] == len(words) - 1
    if is_first == is_last:
        raise _UnclearError
    ends = [place + 1 for place in nouns[:-1]] if is_last else nouns[1:]
    return [tuple(words[one:other]) for one, other in pairwise((0, *ends, len(words)))]


@dataclass
class _Draft:
    """What is told of an event so far."""

    parted: frozenset[str]
    words: list[Meaning] = field(default_factory=list)

    def values(self, kind: str) -> list[str]:
        return [value for found, value in self.words if found == kind]

    def value(self, *kinds: str) -> str | None:
        """The one value of some kinds. Raises _UnclearError where there are two."""
        values = [value for kind in kinds for value in self.values(kind)]
        if len(values) > 1:
            raise _UnclearError
        return values[0] if values else None

    def event(self, before: Event | None) -> Event:
        """The event. Raises _UnclearError where there is no such event."""
        nouns, directions = self._nouns(before), set(self.values("direction") + self.values("way"))
        if len(nouns) > 1 or len(directions) > 1:
            raise _UnclearError
        noun = nouns[0] if nouns else "sweep"
        values = {name: value for name in _FIELDS if (value := self.value(name))}
        if noun in IMPLIED and not (directions and noun in _GLIDING):
            noun, name, value = IMPLIED[noun]
            values = {name: value} | values
        direction = directions.pop() if directions else None
        if direction and noun in _GLIDING:
            noun = "sweep"
        if (noun == "sweep") != bool(direction):
            raise _UnclearError
        event = event_from(noun, direction, self._count(), values | self._speed(noun, values))
        if event is None:
            raise _UnclearError
        return event

    def _nouns(self, before: Event | None) -> list[str]:
        if not self.values("one"):
            return self.values("noun") + self.values("nouns")
        if before is None or self.values("noun") or self.values("nouns"):
            raise _UnclearError
        return [before.kind]

    def _count(self) -> int:
        """How often it sounds. Raises _UnclearError where the noun and the numbers disagree."""
        number, times = self.value("number"), self.value("times")
        is_one = number in (None, "1")
        if self.values("article") and not is_one:
            raise _UnclearError
        is_several = bool(self.values("nouns"))
        if (times and not is_one) or (is_several and (is_one or self.values("article"))):
            raise _UnclearError
        return int(times or number or 1)

    def _speed(self, noun: str, values: dict[str, str]) -> dict[str, str]:
        """What a fast, a slow or a trembling sound has."""
        speed = self.value("speed")
        if self.value("tremble") is not None:
            return {"tremolo": speed or "slow"}
        if speed is None or noun == "sweep":
            return {}
        if speed == "slow" or "length" in values:
            raise _UnclearError
        return {"length": "short"}


def _drafts(groups: Sequence[_Group], trailing: frozenset[str]) -> list[_Draft]:
    """The events that groups of words begin, each with the words around it that are its own."""
    drafts: list[_Draft] = []
    waiting: list[Meaning] = []
    of_all: list[Meaning] = []
    for group, follows in pairwise((*groups, _Group(trailing, ()))):
        words = [word for word in group.words if word[0] not in ("all", "the")]
        if group.has("title"):
            if ":" not in follows.parted:
                raise _UnclearError
        elif (draft := _named_again(group, drafts)) is not None:
            draft.words += [word for word in words if word[0] not in ("noun", "nouns")]
        elif _begins_event(group, drafts):
            if waiting and group.parted & _ORDERED:
                raise _UnclearError
            drafts.append(_Draft(group.parted, [*waiting, *words]))
            waiting = []
        elif group.has("all") or (not drafts and ":" in follows.parted):
            of_all += words
        elif _belongs_forward(group, follows, drafts):
            waiting += [word for word in words if word[0] != "article"]
        else:
            drafts[-1].words += [word for word in words if word[0] != "article"]
    if waiting or not drafts:
        raise _UnclearError
    for draft in drafts:
        draft.words += of_all
    return drafts


def _named_again(group: _Group, drafts: Sequence[_Draft]) -> _Draft | None:
    """The event of which a group speaks once more: "a beep. The beep is loud".

    Raises:
        _UnclearError: it may be one of several.
    """
    nouns = [word for word in group.words if word[0] in ("noun", "nouns")]
    if group.parted & _ORDERED or "." not in group.parted or not group.has("the") or not nouns:
        return None
    found = [draft for draft in drafts if set(nouns) <= set(draft.words)]
    if len(found) > 1:
        raise _UnclearError
    return found[0] if found else None


def _begins_event(group: _Group, drafts: Sequence[_Draft]) -> bool:
    if group.has(*_NOUNS):
        return True
    if not group.has("direction"):
        return False
    has_one = not drafts or drafts[-1].values("direction") or group.parted & _ORDERED
    return bool(has_one) or not set(drafts[-1].values("noun")) & set(_GLIDING)


def _belongs_forward(group: _Group, follows: _Group, drafts: Sequence[_Draft]) -> bool:
    """Whether words without a noun are of the event that follows, and not of the one before.

    Raises:
        _UnclearError: they may be either.
    """
    if not drafts or "on" in follows.parted:
        return True
    if group.has("article") and "with" not in group.parted:
        return True
    if group.parted & _ORDERED:
        raise _UnclearError
    is_led = bool(follows.words) and follows.words[0][0] not in (*_COUNTING, *_NOUNS)
    if is_led and follows.has(*_NOUNS) and not follows.parted & (_ORDERED | {"."}):
        raise _UnclearError
    return False


def _in_order(
    events: Sequence[Event], parted: Sequence[frozenset[str]], trailing: frozenset[str]
) -> list[Event]:
    """The events as they sound. Raises _UnclearError where words of order contradict each other."""
    first, *between = parted
    turning = {"after", "before", "preceded", "first"}
    at_end = trailing & _ORDERED
    is_turned = "before" in first
    if first & {"then", "last", "follows", "preceded"} or at_end & turning:
        raise _UnclearError
    if (first & {"after", "before"} or at_end) and len(events) == 1:
        raise _UnclearError
    for number, gap in enumerate(between, 2):
        if {"first", "then"} <= gap and number == 2:  # "a chord at first, then a beep"
            gap -= {"first"}
        is_clear = len(gap & turning) <= (0 if first & {"after", "before"} or at_end else 1)
        is_late = number == len(events)
        if not is_clear or "on" in gap or (gap & turning and "then" in gap):
            raise _UnclearError
        if ("last" in gap and not is_late) or ("with" in gap and not (is_late and at_end)):
            raise _UnclearError
        if (
            "first" in first and "after" in gap
        ):  # "first a beep, after a chord": after it, or before
            raise _UnclearError
        if "before" in first and gap & {"then", "last"}:
            raise _UnclearError
        is_following = "follows" in gap and not (first & {"after", "before"} or "then" in gap)
        is_turned |= bool(gap & {"after", "preceded", "first"}) or is_following
    if is_turned and len(events) != 2:
        raise _UnclearError
    return [*events][:: -1 if is_turned else 1]


def _merged(events: Sequence[Event], gaps: Sequence[frozenset[str]]) -> tuple[Event, ...]:
    """The events; one beep or burst, and the same again, are one that sounds twice.

    Args:
        events: as they sound.
        gaps: what parts each from the next, no word of order where they are listed only.
    """
    found = [events[0]]
    is_single = events[0].count == 1
    for event, gap in zip(events[1:], gaps, strict=True):
        is_same = event.count == 1 and replace(found[-1], count=1) == event
        if is_same and is_single and event.kind in REPEATED and not gap & _ORDERED:
            found[-1] = replace(event, count=found[-1].count + 1)
        else:
            found.append(event)
            is_single = event.count == 1
    if len(found) > MAX_EVENTS:
        raise _UnclearError
    return tuple(found)
