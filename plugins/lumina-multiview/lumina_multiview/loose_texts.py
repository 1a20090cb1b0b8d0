"""Texts that no sentence fits: words of a solid in any order, as people list them.

Every word must be known, and what they say together must be one thing, or the text is not read:
"large sphere, top purple, bottom green", "object: cone; front: red; back: blue".
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lumina_core.media.worlds.lexicon import Meaning
from lumina_core.media.worlds.whole_texts import MARK, WholeTexts
from lumina_multiview.loose_words import MEANINGS, SILENT

Part = tuple[str, str | None]
"""A colour, and the side that has it; None is the rest, or a half whose place is not told."""

_WHOLE = WholeTexts(MEANINGS, SILENT)
_STRENGTHS = {"&": 1, ",": 2, "W": 2, ".": 3}
"""Of what parts two words. A colour and its side are parted by less than two such pairs."""
MAX_TOLD = 6  # colours and sides: two colours, and both again with their sides
_PART_WITH_SIZE = re.compile("(?:[AWT&,.]|^)ZC?S")
"""A side that is large or small, which no solid has: "with a small red top"."""
_VAGUE = re.compile("W[AT]?C(?![SPHK])")
_DROPPED = (
    "(F)(?=H)|(?<=H)(F[AT]?)(?=Z?O)",
    "(?<=S)(F[AT]*)(?=Z?[Oo])",
    "(N)(?=[ATK]*[CEHPRS]|[AT]*Z?O)|(F)(?=[ATK]*[COZSo])",
    "(K)",
    "(?<=[SPHCR])(P+)|(P)(?=[AT]*S)",
    "(E)|(A)|(T)|(?<!C)(W)",
)
"""What says nothing more where it stands, one step after the other; each group of a match goes."""
_HALVED = re.compile("H[,&]?C|CH|H[Oo]")


@dataclass(frozen=True)
class Told:
    """What a text says of a solid."""

    shape: str
    size: str | None
    parts: tuple[Part, ...]
    """None: any colour. One without a side: all of it. Two without sides: two halves somewhere."""


def told_by(text: str) -> Told | None:
    """What a text says; None where a word is not known, or it may be meant in several ways."""
    meanings = _WHOLE.meanings(text)
    if meanings is None:
        return None
    words = [
        (value, "") if kind == MARK else (kind, value)
        for kind, value in meanings
        if (kind, value) != (MARK, ":")
    ]
    letters = _letters(words)
    sizes = [value for kind, value in words if kind == "Z"]
    words = _one_solid(words)
    if not words or len(sizes) > 1 or _PART_WITH_SIZE.search(letters):
        return None
    shape = next(value for kind, value in words if kind in "Oo")
    for pattern in _DROPPED:
        words = _without(words, pattern)
    is_halved = _HALVED.search(_letters(words)) is not None
    words = _without(_without(words, "(?<=S)(H)|(H)(?=[,&]?C)|(?<=C)(H)|(H)(?=[Oo])"), "(Z)|(o)")
    parts = _Row.of(words).parts(is_halved)
    if parts is None or (len(parts) == 1 and _VAGUE.search(letters) and parts[0][1] is None):
        return None
    return Told(shape, sizes[0] if sizes else None, parts)


def _letters(words: Sequence[Meaning]) -> str:
    return "".join(kind for kind, _ in words)


def _without(words: Sequence[Meaning], pattern: str) -> list[Meaning]:
    """The words but for those that a group of the pattern takes."""
    gone = {
        place
        for match in re.finditer(pattern, _letters(words))
        for group in range(1, len(match.groups()) + 1)
        for place in range(*match.span(group))
    }
    return [word for place, word in enumerate(words) if place not in gone]


def _one_solid(words: Sequence[Meaning]) -> list[Meaning]:
    """The words, a solid that is named again or whose side is named as o; none where two are."""
    found, before = [], ""
    shapes = {value for kind, value in words if kind == "O"}
    for kind, value in words:
        if kind == "O":
            is_side = re.search("[SH]F[AT]?Z?$", before) is not None
            is_again = re.search("[Oo]", before) is not None
            if is_again and not is_side and not re.search("TZ?$", before):
                return []
            kind = "o" if is_side or is_again else "O"
        found.append((kind, value))
        before += kind
    return found if len(shapes) == 1 else []


@dataclass(frozen=True)
class _Row:
    """Colours, sides and words for the rest in a row, and what stands between them."""

    kinds: str
    values: tuple[str, ...]
    gaps: tuple[int, ...]
    """How strongly each is parted from the next."""
    solids: frozenset[int]
    """Before which of them the solid stands."""
    tight: frozenset[int]
    """Behind which the solid stands at once."""

    @classmethod
    def of(cls, words: Sequence[Meaning]) -> "_Row":
        kinds, values, gaps, solids, tight, gap = "", [], [], set(), set(), 0
        for kind, value in words:
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

    def parts(self, is_halved: bool) -> tuple[Part, ...] | None:
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

    def _pair(self, place: int) -> Part:
        """The colour and the side at a place and the next."""
        one, other = self.values[place : place + 2]
        return (one, other) if self.kinds[place] == "C" else (other, one)

    def _with_base(self) -> tuple[Part, ...] | None:
        """A colour of the solid, and one of a side: which is which, the solid or a mark tells."""
        first, second = self.gaps
        is_first = self.kinds[1:] in ("CS", "SC") and (0 in self.tight or first > max(second, 1))
        is_last = self.kinds[:2] in ("CS", "SC") and (2 in self.tight or second > max(first, 1))
        if is_first == is_last:
            return None
        base, place = (0, 1) if is_first else (2, 0)
        is_apart = self.gaps[place] or place + 1 in self.solids
        return None if is_apart else (self._pair(place), (self.values[base], None))

    def _with_rest(self, is_halved: bool) -> tuple[Part, ...] | None:
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

    def _said_twice(self) -> tuple[Part, ...] | None:
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
