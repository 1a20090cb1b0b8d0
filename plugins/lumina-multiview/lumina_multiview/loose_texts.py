"""Texts that no sentence fits: words of a solid in any order, as people list them.

Every word must be known, and what they say together must be one thing, or the text is not read:
"large sphere, top purple, bottom green", "object: cone; front: red; back: blue".
"""

import re
from dataclasses import dataclass
from typing import Any

from lumina_core.media.worlds.marks import Marked, Part, Word
from lumina_multiview.loose_words import READER

Coloured = tuple[str, str | None]
"""A colour, and the side that has it; None is the rest, or a half whose place is not told."""

_STRENGTHS = {"&": 1, ",": 2, "W": 2, ".": 3}
"""Of what parts two words. A colour and its side are parted by less than two such pairs."""
MAX_TOLD = 6  # colours and sides: two colours, and both again with their sides
_PART_WITH_SIZE = re.compile("(?:[AWT&,.]|^)ZC?S")
"""A side that is large or small, which no solid has: "with a small red top"."""
_VAGUE = re.compile("W[AT]?C(?![SPHK])")
_DROPPED = (
    "F(?=H)|(?<=H)F[AT]?(?=Z?O)",
    "(?<=S)F[AT]*(?=Z?[Oo])",
    "N(?=[ATK]*[CEHPRS]|[AT]*Z?O)|F(?=[ATK]*[COZSo])",
    "K",
    "(?<=[SPHCR])P+|P(?=[AT]*S)",
    "E|A|T|(?<!C)W",
)
"""What says nothing more where it stands, one step after the other."""
_HALVES = "(?<=S)H|H(?=[,&]?C)|(?<=C)H|H(?=[Oo])"
_HALVED = re.compile("H[,&]?C|CH|H[Oo]")


@dataclass(frozen=True)
class Told:
    """What a text says of a solid."""

    shape: str
    size: str | None
    parts: tuple[Coloured, ...]
    """None: any colour. One without a side: all of it. Two without sides: two halves somewhere."""


def told_by(text: str) -> Told | None:
    """What a text says; None where a word is not known, or it may be meant in several ways."""
    said = READER.read(text)
    words = None if said is None else _one_solid(said)
    if said is None or words is None:
        return None
    sizes = words.of("Z")
    if len(sizes) > 1 or _PART_WITH_SIZE.search(said.marks):
        return None
    (shape,) = {*words.of("Oo")}
    for pattern in _DROPPED:
        words = words.rewritten(pattern)
    is_halved = _HALVED.search(words.marks) is not None
    parts = _Row.of(words.rewritten(_HALVES).rewritten("[Zo]")).parts(is_halved)
    if parts is None or (len(parts) == 1 and _VAGUE.search(said.marks) and parts[0][1] is None):
        return None
    return Told(shape, sizes[0] if sizes else None, parts)


def _one_solid(words: Marked) -> Marked | None:
    """The words, a solid that is named again or whose side is named as o; None where two are."""

    def again(part: Part) -> list[Word]:
        return [*part.words(1), ("o", *part.said(2))]

    def if_again(part: Part) -> list[Word] | None:
        is_again = re.search("[Oo]", part.match.string[: part.match.start()])
        return again(part) if is_again else None

    words = words.rewritten("([SH]F[AT]?Z?)(O)", again).rewritten("(TZ?)(O)", if_again)
    is_one = len({*words.of("Oo")}) == 1 and not re.search("[Oo].*O", words.marks)
    return words if is_one else None


@dataclass(frozen=True)
class _Row:
    """Colours, sides and words for the rest in a row, and what stands between them."""

    kinds: str
    values: tuple[Any, ...]
    gaps: tuple[int, ...]
    """How strongly each is parted from the next."""
    solids: frozenset[int]
    """Before which of them the solid stands."""
    tight: frozenset[int]
    """Behind which the solid stands at once."""

    @classmethod
    def of(cls, words: Marked) -> "_Row":
        kinds, values, gaps, solids, tight, gap = "", [], [], set(), set(), 0
        for kind, value in zip(words.marks, words.values, strict=True):
            if kind in _STRENGTHS:
                gap = max(gap, _STRENGTHS[kind])
            elif kind == "O":
                solids.add(len(kinds))
                if not gap:
                    tight.add(len(kinds) - 1)
            else:
                if kinds:
                    gaps.append(gap)
                kinds, gap = kinds + kind, 0
                values.append(value)
        return cls(kinds, tuple(values), tuple(gaps), frozenset(solids), frozenset(tight))

    def parts(self, is_halved: bool) -> tuple[Coloured, ...] | None:
        """Which colour has which side; None where that is not clear."""
        kinds, values, gaps = self.kinds, self.values, self.gaps
        if len(kinds) > MAX_TOLD:
            return None
        if "R" in kinds:
            return self._with_rest(is_halved)
        if kinds in ("", "C"):
            return None if is_halved else tuple((value, None) for value in values)
        if kinds == "CC":
            is_apart = 1 in self.solids and not is_halved
            return None if is_apart else ((values[0], None), (values[1], None))
        if kinds in ("CS", "SC"):
            is_placed = {0, 1} & self.tight or 1 in self.solids or gaps[0]
            return None if is_placed else (self._pair(0),)
        if kinds in ("CSCS", "SCSC", "CSSC", "SCCS"):
            is_inside = {1, 3} & self.solids or (max(gaps[0], gaps[2]) >= (gaps[1] or 1))
            return None if is_inside else (self._pair(0), self._pair(2))
        if kinds == "CCSS":
            return (values[0], values[2]), (values[1], values[3])
        if kinds == "SSCC":
            return (values[2], values[0]), (values[3], values[1])
        if kinds in ("CSC", "CCS", "SCC"):
            return self._with_base()
        return self._said_twice()

    def _pair(self, place: int) -> Coloured:
        """The colour and the side at a place and the next."""
        one, other = self.values[place : place + 2]
        return (one, other) if self.kinds[place] == "C" else (other, one)

    def _with_base(self) -> tuple[Coloured, ...] | None:
        """A colour of the solid, and one of a side: which is which, the solid or a mark tells."""
        first, second = self.gaps
        is_first = self.kinds[1:] in ("CS", "SC") and (0 in self.tight or first > max(second, 1))
        is_last = self.kinds[:2] in ("CS", "SC") and (2 in self.tight or second > max(first, 1))
        if is_first == is_last:
            return None
        base, place = (0, 1) if is_first else (2, 0)
        is_apart = self.gaps[place] or place + 1 in self.solids
        return None if is_apart else (self._pair(place), (self.values[base], None))

    def _with_rest(self, is_halved: bool) -> tuple[Coloured, ...] | None:
        """Of one colour it is said that the rest has it."""
        place = self.kinds.index("R")
        for base in (place + 1, place - 1):
            others = [n for n in range(len(self.kinds)) if n not in (place, base)]
            kinds = "".join(self.kinds[n] for n in others)
            if not 0 <= base < len(self.kinds) or self.kinds[base] != "C":
                continue
            if kinds in ("CS", "SC") and others[1] - others[0] == 1:
                return self._pair(others[0]), (self.values[base], None)
            if kinds == "C" and is_halved:
                return tuple((self.values[n], None) for n in sorted((*others, base)))
        return None

    def _said_twice(self) -> tuple[Coloured, ...] | None:
        """One or both colours of the solid, and then the sides that have them."""
        num = 2 if self.kinds[:2] == "CC" and self.kinds[2:3] != "S" else 1
        if self.kinds[:num] != "C" * num or not (
            num in self.solids or self.gaps[num - 1] >= _STRENGTHS[","]
        ):
            return None
        sides = _Row(
            self.kinds[num:],
            self.values[num:],
            self.gaps[num:],
            frozenset(place - num for place in self.solids if place >= num),
            frozenset(place - num for place in self.tight if place >= num),
        ).parts(is_halved=False)
        named = self.values[:num]
        if not sides or None in dict(sides).values():
            return None
        colours = dict(sides).keys()
        if len(sides) > 1:
            return sides if colours >= set(named) else None
        others = [(colour, None) for colour in named if colour not in colours]
        return (*sides, *others) if len(others) == 1 and num > 1 else None
