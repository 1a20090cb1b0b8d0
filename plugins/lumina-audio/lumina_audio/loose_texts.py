"""Texts that no sentence fits: words of sounds in any order, as people list them.

Every word must be known, and what they say together must be one thing, or the text is not read:
"beeps, three of them", "sound: tone; pitch: low", "a tone. It is loud."
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, pairwise
from typing import Any

from lumina_audio.event_words import event_from
from lumina_audio.loose_words import FIELDS, READER
from lumina_audio.scene import MAX_EVENTS, REPEATED, Event
from lumina_audio.wordings import IMPLIED
from lumina_core.media.worlds.marks import Marked, Part, Word, marked

# Marks of loose_words.py.
_NOUNS, _COUNTING, _ORDERED = "NPo", "anho", "FZLAJbr"
_PARTING = f",.:&WO{_ORDERED}"
_COUNTED = rf"(?=[^{_PARTING}{_NOUNS}d]?[^{_PARTING}{_COUNTING}{_NOUNS}d]{{0,6}}[{_NOUNS}d])"
"""What stands behind an article or a number of a noun, or of a sweep without one."""
_LEVELS = {"low": "soft", "high": "loud"}
"""What a volume is that is called so."""
_GLIDING = ("sweep", "tone", "whistle")
"""Nouns of what may rise or fall."""


class _UnclearError(Exception):
    """The words may be meant in several ways, or in none."""


@dataclass(frozen=True)
class _Group:
    """Words that stand together."""

    parted: frozenset[str]
    """Marks of what stands before them."""
    words: Marked

    def has(self, marks: str) -> bool:
        return bool(self.words.of(marks))


def told_by(text: str) -> tuple[Event, ...] | None:
    """The events of a text; None where a word is not known, or it may be meant in several ways."""
    words = READER.read(text)
    if words is None:
        return None
    words = words.rewritten("V(?=:?t)").rewritten("V:?([pv])", _level)
    words = words.rewritten("([NPo][^NPof]*)f([^NPof]*)(N)", _inner).rewritten("NN+", _counted)
    try:
        groups, trailing = _groups(words)
        drafts = _drafts(groups, trailing)
        events: list[Event] = []
        for draft in drafts:
            events.append(draft.event(events[-1] if events else None))
        parted = [draft.parted for draft in drafts]
        return _merged(_in_order(events, parted, trailing), parted[1:])
    except _UnclearError:
        return None


def _level(part: Part) -> list[Word] | None:
    """Of "volume: low", which means soft and not low."""
    ((mark, value),) = part.words(1)
    level = value if mark == "v" else _LEVELS.get(value)
    return [("v", level)] if level else None


def _inner(part: Part) -> list[Word] | None:
    """As in "three bursts, very short, of loud noise": without "of" and "noise"."""
    is_noise = {part.said(1)[0], *part.said(3)} == {"noise"}
    return [*part.words(1), *part.words(2)] if is_noise else None


def _counted(part: Part) -> list[Word]:
    """Of "beep beep beep" one noun, which sounds three times."""
    found: list[Word] = []
    for noun, several in groupby(part.words()):
        count = len(list(several))
        found += [noun, ("x", count)] if count > 1 else [noun]
    return found


def _groups(words: Marked) -> tuple[list[_Group], frozenset[str]]:
    """Words that stand together, and what parts the last ones from the end.

    Raises:
        _UnclearError: a word belongs to none of the others.
    """
    if re.search("[Vf]", words.marks):
        raise _UnclearError
    words = words.rewritten(f"[{_COUNTING}]{_COUNTED}", _begun)
    words = words.rewritten(
        rf"(^|(?<=[{_PARTING}|]))([{_COUNTING}]*)\|", lambda part: part.words(2)
    )
    groups: list[_Group] = []
    for part in words.parts(rf"([{_PARTING}|]*)([^{_PARTING}|]+)"):
        parted = frozenset(part.match[1]) - {"|"}
        for several in _apart(marked(part.words(2))):
            groups.append(_Group(parted, several))
            parted = frozenset()
    trailing = words.marks[len(words.marks.rstrip(f"{_PARTING}|")) :]
    return groups, frozenset(trailing) - {"|"}


def _begun(part: Part) -> list[Word]:
    """The first word of a group, with a mark before it. "One beep" is "1 beep"."""
    return [("|", None), *(("n", 1) if word[0] == "o" else word for word in part.words())]


def _apart(words: Marked) -> list[Marked]:
    """The same words, parted where several nouns stand among them, all before or all behind theirs.

    Raises:
        _UnclearError: some of them may belong to one noun or to another.
    """
    if len(words.of(_NOUNS)) < 2:
        return [words]
    is_first = re.match(f"[anh][{_NOUNS}]|[NP]", words.marks) is not None
    is_last = words.marks[-1] in _NOUNS
    if is_first == is_last:
        raise _UnclearError
    pattern = "[^{0}]*[{0}]" if is_last else "(?:^[anh])?[{0}][^{0}]*"
    return [marked(part.words()) for part in words.parts(pattern.format(_NOUNS))]


@dataclass
class _Draft:
    """What is told of an event so far."""

    parted: frozenset[str]
    words: list[Word] = field(default_factory=list)

    def values(self, marks: str) -> list[Any]:
        return marked(self.words).of(marks)

    def value(self, mark: str) -> Any:
        """The one value of a mark. Raises _UnclearError where there are two."""
        values = self.values(mark)
        if len(values) > 1:
            raise _UnclearError
        return values[0] if values else None

    def event(self, before: Event | None) -> Event:
        """The event. Raises _UnclearError where there is no such event."""
        nouns, directions = self._nouns(before), set(self.values("dw"))
        if len(nouns) > 1 or len(directions) > 1:
            raise _UnclearError
        noun = nouns[0] if nouns else "sweep"
        values = {name: value for name, mark in FIELDS.items() if (value := self.value(mark))}
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
        if not self.values("o"):
            return self.values("NP")
        if before is None or self.values("NP"):
            raise _UnclearError
        return [before.kind]

    def _count(self) -> int:
        """How often it sounds. Raises _UnclearError where the noun and the numbers disagree."""
        number, times = self.value("n"), self.value("x")
        is_one = number in (None, 1)
        if self.values("a") and not is_one:
            raise _UnclearError
        is_several = bool(self.values("P"))
        if (times and not is_one) or (is_several and (is_one or self.values("a"))):
            raise _UnclearError
        return times or number or 1

    def _speed(self, noun: str, values: dict[str, str]) -> dict[str, str]:
        """What a fast, a slow or a trembling sound has."""
        speed = self.value("s")
        if self.value("t"):
            return {"tremolo": speed or "slow"}
        if speed is None or noun == "sweep":
            return {}
        if speed == "slow" or "length" in values:
            raise _UnclearError
        return {"length": "short"}


def _drafts(groups: Sequence[_Group], trailing: frozenset[str]) -> list[_Draft]:
    """The events that groups of words begin, each with the words around it that are its own."""
    drafts: list[_Draft] = []
    waiting: list[Word] = []
    of_all: list[Word] = []
    for group, follows in pairwise((*groups, _Group(trailing, marked([])))):
        words = group.words.rewritten("[Bh]").words()
        if group.has("T"):
            if ":" not in follows.parted:
                raise _UnclearError
        elif (draft := _named_again(group, drafts)) is not None:
            draft.words += [word for word in words if word[0] not in "NP"]
        elif _begins_event(group, drafts):
            if waiting and group.parted & set(_ORDERED):
                raise _UnclearError
            drafts.append(_Draft(group.parted, [*waiting, *words]))
            waiting = []
        elif group.has("B") or (not drafts and ":" in follows.parted):
            of_all += words
        elif _belongs_forward(group, follows, drafts):
            waiting += [word for word in words if word[0] != "a"]
        else:
            drafts[-1].words += [word for word in words if word[0] != "a"]
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
    nouns = [word for word in group.words.words() if word[0] in "NP"]
    if "." not in group.parted or group.parted & set(_ORDERED) or not group.has("h") or not nouns:
        return None
    found = [draft for draft in drafts if set(nouns) <= set(draft.words)]
    if len(found) > 1:
        raise _UnclearError
    return found[0] if found else None


def _begins_event(group: _Group, drafts: Sequence[_Draft]) -> bool:
    if group.has(_NOUNS):
        return True
    if not group.has("d"):
        return False
    has_one = not drafts or drafts[-1].values("d") or group.parted & set(_ORDERED)
    return bool(has_one) or not set(drafts[-1].values("N")) & set(_GLIDING)


def _belongs_forward(group: _Group, follows: _Group, drafts: Sequence[_Draft]) -> bool:
    """Whether words without a noun are of the event that follows, and not of the one before.

    Raises:
        _UnclearError: they may be either.
    """
    if not drafts or "O" in follows.parted:
        return True
    if group.has("a") and "W" not in group.parted:
        return True
    if group.parted & set(_ORDERED):
        raise _UnclearError
    is_led = re.match(f"[^{_COUNTING}{_NOUNS}]", follows.words.marks) is not None
    if is_led and follows.has(_NOUNS) and not follows.parted & {*_ORDERED, "."}:
        raise _UnclearError
    return False


def _in_order(
    events: Sequence[Event], parted: Sequence[frozenset[str]], trailing: frozenset[str]
) -> list[Event]:
    """The events as they sound. Raises _UnclearError where words of order contradict each other."""
    first, *between = parted
    turning = set("AbrF")
    at_end = trailing & set(_ORDERED)
    is_turned = "b" in first
    if first & set("ZLJr") or at_end & turning:
        raise _UnclearError
    if (first & set("Ab") or at_end) and len(events) == 1:
        raise _UnclearError
    for number, gap in enumerate(between, 2):
        if gap >= set("FZ") and number == 2:  # "a chord at first, then a beep"
            gap -= {"F"}
        is_clear = len(gap & turning) <= (0 if first & set("Ab") or at_end else 1)
        is_late = number == len(events)
        if not is_clear or "O" in gap or (gap & turning and "Z" in gap):
            raise _UnclearError
        if ("L" in gap and not is_late) or ("W" in gap and not (is_late and at_end)):
            raise _UnclearError
        if "F" in first and "A" in gap:  # "first a beep, after a chord": after it, or before
            raise _UnclearError
        if "b" in first and gap & set("ZL"):
            raise _UnclearError
        is_following = "J" in gap and not (first & set("Ab") or "Z" in gap)
        is_turned |= bool(gap & set("ArF")) or is_following
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
        if is_same and is_single and event.kind in REPEATED and not gap & set(_ORDERED):
            found[-1] = replace(event, count=found[-1].count + 1)
        else:
            found.append(event)
            is_single = event.count == 1
    if len(found) > MAX_EVENTS:
        raise _UnclearError
    return tuple(found)
