"""For plugins: flat shapes and their background in a text, put together of its words.

The words come as naming.py marks them. A rule that a text does not keep gives None: to read nothing
is better than to read wrongly.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lumina_core.media.worlds.marks import Marked, Part, Word, marked

_NO_NOUN = "(?![csn]*[NPQ])"
_BACKGROUNDS = (
    r"[ui&r]?a?B?a?([ck])G",
    rf"[ui&]?a?[Gh][tboija:&]{{0,4}}([ck])(?:(?<=k)|{_NO_NOUN})",
    r"[ur]a?(k)",
    r"ua?(c)(?=$|[,.:]|&a?[n1]?[cs]*[NP]|a|[n1rd])",
    r"&?([ck])b?h(?=$|[,.:&])",
    r"[&,]?Eb?([ck])X?",
    r"[&,]?B(k)X?",
    r"[&,]?B(c)X",
    r"(?:^|(?<=[,.:&]))(k)(?=$|[,.:])",
)
"""Where a colour is that of the background, not of a thing: in the marks of PHRASES."""
_LINK = "[,&:]{0,2}(?:t?b)?j?[io]?a?"
_ADJECTIVES = "[cs](?:[,&]?[cs])*"
_THING = (
    r"(?P<article>a)?(?P<count>[n1])?a?(?P<before>s*(?:(?<=s)[,&])?c?s*)(?P<state>M?)[cs]*"
    r"(?P<noun>[NPQ])Q?"
    r"(?P<late>,?n(?![cs]*[NPQ])m?)?"
    rf"(?P<behind>(?:{_LINK}{_ADJECTIVES}(?![csn1M]*[NPQ1])){{0,3}})"
)


@dataclass(frozen=True)
class Named:
    """A thing as a text names it. None where it does not say."""

    colour: str | None = None
    size: str | None = None
    shape: str | None = None
    count: int | None = None
    known_since: str = ""
    """Marks of which one stands between it and the thing that it is again, as in "the star"."""
    is_subject: bool = False
    """Whether its adjectives are told of it, as in "the star is blue"."""
    state: Any = None

    def with_adjectives(self, words: Iterable[tuple[str, str]]) -> "Named | None":
        """The thing with a colour "c", a size "s" or a number "n"; None where it has another."""
        thing = self
        for mark, value in words:
            kind = {"c": "colour", "s": "size", "n": "count"}[mark]
            if getattr(thing, kind) not in (None, value):
                return None
            thing = replace(thing, **{kind: value})  # type: ignore[arg-type]
        return thing

    def merged(self, other: "Named") -> "Named | None":
        """What two texts say of one thing; None where they disagree."""
        pairs = {kind: (getattr(self, kind), getattr(other, kind)) for kind in _KINDS}
        if any(a not in (None, b) and b is not None for a, b in pairs.values()):
            return None
        return replace(self, **{kind: b if a is None else a for kind, (a, b) in pairs.items()})


_KINDS = ("colour", "size", "shape", "count")


def without_background(words: Marked) -> tuple[Marked, str | None] | None:
    """Words with commas for those that say the background, and the background, or None.

    None where two are said.
    """
    said: list[str] = []

    def comma(part: Part) -> list[Word]:
        said.extend(part.said(1))
        return [(",", None)]

    for pattern in _BACKGROUNDS:
        words = words.rewritten(pattern, comma)
    if len(set(said)) > 1:
        return None
    words = words.rewritten("up(?=$|[,.&])" if said else "[ui]a?G")  # "and put a star on it"
    return words, next(iter(said), None) or None


def with_plus(words: Marked) -> Marked:
    """Words with "&" or "N" for "plus", which may be a word between things, or a cross."""
    words = words.rewritten("(?:(?<=[NPQ])|(?<=[btiojN][cs]))x", lambda _: [("&", None)])
    return words.rewritten("x", lambda _: [("N", "cross")])


def with_things(words: Marked) -> Marked:
    """Words with a "T" and a `Named` for those that name a thing, and "A" for other adjectives."""
    words = words.rewritten("(?:^|(?<=[.,:&]))a?p?b(?=a?[n1]?[csM]*[NPQ])")  # "it is a red circle"
    words = words.rewritten("a(?=[ab&,.:])|(?<=[cs])i(?=$|[,.:&tb])")  # "red in colour"
    words = words.rewritten("a?n(?:Qb?[:,]|:)", lambda part: [("H", *part.of("n"))])
    words = words.rewritten(r"Q[an1]?:|e(?=[,.]*$)").rewritten(":", lambda _: [(",", None)])
    words = words.rewritten(r",?i?a?c(?:[,&]+c)+R|,?i(?:c[,&]+)+c(?=$|\.)", _in_turn)
    if "Ba" in words.marks:  # "both a star and a ring, in red"
        words = words.rewritten(r",?i?a?[cs]+(?=$|\.)", lambda part: [("B", _adjectives_of(part))])
    words = words.rewritten(_ONE_NOUN, _several_of_one_noun)
    words = words.rewritten(_THING, _thing)
    words = words.rewritten(r"a[cs]+1|a1(?=d?b)", _one)
    words = words.rewritten(_PARTED, _parted)
    words = words.rewritten("(T)(d?)b(T)", _equal)
    words = words.rewritten("nm", lambda part: [("A", [("n", *part.of("n"))])])
    return words.rewritten(rf"(?<!n)B?(?:t?b)?j?[io]?a?{_ADJECTIVES}", _adjectives)


_ONE_NOUN = r"((?:[a1][cs]+[,&]+)+[a1][cs]+)N"
_PARTED = r"(T)[,.&t]*1b?[io]?a?(?P<one>[cs]+)[,.&]*[U1]b?[io]?a?(?P<other>[cs]+)"


def _adjectives_of(part: Part, group: int | str = 0) -> list[Word]:
    return [(mark, value) for mark, value in part.words(group) if mark in "cs"]


def _several_of_one_noun(part: Part) -> list[Word] | None:
    """As in "a red and a blue circle"."""
    things: list[Word] = []
    for adjectives in re.finditer("[cs]+", part.match[1]):
        values = part.said(1)[slice(*adjectives.span())]
        named = Named(shape=part.values[part.match.end() - 1], count=1).with_adjectives(
            zip(adjectives[0], values, strict=True)
        )
        if named is None:
            return None
        things += [("T", named), ("&", None)]
    return things[:-1]


def _thing(part: Part) -> list[Word] | None:
    noun, (value,) = part.match["noun"], part.said("noun")
    counts = [count or 1 for count in (*part.of("n1", "count"), *part.of("n", "late"))]
    articles = part.of("a", "article")
    is_single = noun == "N" or value == 1
    is_late_one = part.match["late"] and noun == "N"  # "a star 3"
    if (
        len(counts) > 1
        or is_late_one
        or (not is_single and (1 in counts or ("a" in articles and not counts)))
    ):
        return None
    is_subject = "b" in part.match["behind"] and "t" not in part.match["behind"]
    known_since = ""
    if noun == "Q" or "the" in articles or (is_subject and not articles and not counts):
        known_since = ",.r"
    elif not articles and not counts and not part.match["before"]:
        known_since = ".r"
    named = Named(
        shape=value if noun != "Q" else None,
        count=counts[0] if counts else 1 if is_single else None,
        known_since=known_since,
        is_subject=is_subject,
        state=next(iter(part.said("state")), None),
    ).with_adjectives(_adjectives_of(part))
    return None if named is None else [("T", named)]


def _one(part: Part) -> list[Word] | None:
    """As in "a blue one"."""
    known_since = ",.r" if "the" in part.of("a") else ""
    named = Named(count=1, known_since=known_since).with_adjectives(_adjectives_of(part))
    return None if named is None else [("T", named)]


def _equal(part: Part) -> list[Word] | None:
    """As in "the thing on the left is a circle"."""
    (first,), (second,) = part.said(1), part.said(3)
    merged = first.merged(second) if first.shape is None else None
    return None if merged is None else [("T", merged), *(("d", side) for side in part.said(2))]


def _parted(part: Part) -> list[Word] | None:
    """As in "two stars, one red and the other blue"."""
    (named,) = part.said(1)
    if named.count != 2:
        return None
    each = [
        replace(named, count=1).with_adjectives(_adjectives_of(part, group))
        for group in ("one", "other")
    ]
    return None if None in each else [("T", each[0]), ("&", None), ("T", each[1])]


def _adjectives(part: Part) -> list[Word]:
    return [("B" if "B" in part.match[0] else "A", _adjectives_of(part))]


def _in_turn(part: Part) -> list[Word]:
    """As in "a star and a ring in red and blue"."""
    return [("D", part.of("c"))]


@dataclass(frozen=True)
class Told:
    """The things of a text, and its words with their numbers."""

    things: tuple[Named, ...]
    words: Marked
    """A "T" where a thing comes up, a "p" where it comes again, with its number; a "W" for all."""


def told(words: Marked) -> Told | None:
    """Which words name the same thing; None where that is open, or where they disagree.

    Args:
        words: as `with_things` gives them.
    """
    story = _Story()
    for place, (mark, value) in enumerate(zip(words.marks, words.values, strict=True)):
        if not story.hears(mark, value, words.marks[place + 1 : place + 2]):
            return None
    num_objects = sum(thing.count or 0 for thing in story.things)
    if story.num_said not in (None, len(story.things), num_objects):
        return None
    return Told(tuple(story.things), marked(story.words))


class _Story:
    """The things that came up so far."""

    def __init__(self) -> None:
        self.things: list[Named] = []
        self.words: list[Word] = []
        self.num_said: int | None = None
        """As in "three things: ..."."""
        self._num_known = dict.fromkeys(",.", 0)  # of the things, those before the last such mark
        self._is_of_all = False  # what is said of one: "both a star and a ring, in red"

    def hears(self, mark: str, value: Any, following: str) -> bool:
        """Take a word; False where it is open what that says."""
        before = self.words[-1][0] if self.words else "."
        if mark == "T":
            return self._hears_thing(value, before)
        if mark == "p":
            return not self.things or self._hears_pronoun(is_plural=bool(value))
        if mark == "B" and value is None:
            self._is_of_all = True
            if before in ",." and following != "T":
                self.words.append(("W", None))
            return True
        if mark in "AB":
            of_all = mark == "B" or self._is_of_all or before == "W"
            return before in "TpW,.&tb" and self._hears_adjectives(value, before, of_all=of_all)
        if mark == "D":
            return self._hears_colours(value)
        if mark == "H":
            self.num_said = value
            return True
        if mark in ",.":
            self._num_known[","] = len(self.things)
        if mark == ".":
            self._num_known["."] = len(self.things)
        self.words.append((mark, value))
        return True

    def _hears_thing(self, named: Named, before: str) -> bool:
        known = [self._num_known.get(mark, 0) for mark in named.known_since]
        if before == "r" and "r" in named.known_since:
            known.append(len(self.things))
        number = _number_of(named, self.things[: max(known, default=0)])
        if number is not None:
            self.words.append(("p", number))
            return self._changes(number, self.things[number].merged(named))
        if named.is_subject and named.shape in [thing.shape for thing in self.things]:
            return False
        if named.shape is None and self.things and not named.known_since:  # "a blue one"
            named = replace(named, shape=self.things[-1].shape)
        self.words.append(("T", len(self.things)))
        self.things.append(named)
        return True

    def _hears_pronoun(self, *, is_plural: bool) -> bool:
        if is_plural and len(self.things) > 1:
            self.words.append(("W", None))
            return True
        number = _number_before(self.words, len(self.things))
        self.words.append(("p", number))
        return number is not None

    def _hears_adjectives(self, said: list[Word], before: str, *, of_all: bool) -> bool:
        numbers: Sequence[int] = range(len(self.things))
        if not of_all and before in "Tp":
            numbers = [self.words[-1][1]]
        if before == "p":
            self.words.pop()  # "and it is red" is said
            if self.words[-1:] == [("&", None)]:
                self.words.pop()
        is_clear = of_all or len(numbers) == 1
        return is_clear and all(
            [self._changes(number, self.things[number].with_adjectives(said)) for number in numbers]
        )

    def _hears_colours(self, colours: list[str]) -> bool:
        """Of each thing one."""
        if [thing.count for thing in self.things] == [len(colours)]:
            self.words += [("T", number) for number in range(1, len(colours))]
            self.things = [replace(self.things[0], count=1)] * len(colours)
        return len(self.things) == len(colours) and all(
            [
                self._changes(number, self.things[number].with_adjectives([("c", colour)]))
                for number, colour in enumerate(colours)
            ]
        )

    def _changes(self, number: int, thing: Named | None) -> bool:
        if thing is not None:
            self.things[number] = thing
        return thing is not None


def _number_of(named: Named, things: Sequence[Named]) -> int | None:
    """The thing that "the circle" is, if there is one."""
    if named.shape is None:
        return None
    same = [
        number
        for number, thing in enumerate(things)
        if thing.shape == named.shape and thing.merged(named)
    ]
    return same[0] if len(same) == 1 else None


def _number_before(words: Sequence[Word], num_things: int) -> int | None:
    """The thing that "it" is; behind "a star is above" not the star."""
    numbers = list(range(num_things))
    related = re.search("[Tp][,tb]*r$", "".join(mark for mark, _ in words))
    if related and num_things > 1:
        numbers.remove(words[related.start()][1])
    return numbers[0] if len(numbers) == 1 else None
