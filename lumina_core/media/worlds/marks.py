"""For plugins: the words of a text as marks, one letter each, so that rules are short patterns.

phrases.py gives the marks of a text. A world knows what each may do, and puts words together by
rules, the smallest first: adjectives and a noun are a thing, two things and a preposition are a
relation.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Word = tuple[str, Any]
"""A mark, and what the word means."""


@dataclass(frozen=True)
class Marked:
    """Words by their marks."""

    marks: str
    values: tuple[Any, ...]
    """Of each mark."""

    def rewritten(
        self, pattern: str, make: Callable[["Part"], Iterable[Word] | None] = lambda _: ()
    ) -> "Marked":
        """The words with others for some of them.

        Args:
            pattern: a regular expression of marks.
            make: gives the words for a part that agrees, or None where it stays.
        """
        words: list[Word] = []
        start = 0
        for part in self.parts(pattern):
            made = make(part)
            if made is not None:
                words += [*self.words(start, part.match.start()), *made]
                start = part.match.end()
        return marked([*words, *self.words(start)])

    def parts(self, pattern: str) -> Iterator["Part"]:
        """The parts that agree with a regular expression of marks."""
        return (Part(match, self.values) for match in re.finditer(pattern, self.marks))

    def words(self, start: int = 0, end: int | None = None) -> list[Word]:
        """The words from one place to another."""
        return list(zip(self.marks[start:end], self.values[start:end], strict=True))

    def of(self, marks: str) -> list[Any]:
        """What the words of some marks mean."""
        return [value for mark, value in self.words() if mark in marks]

    def split(self, mark: str) -> list["Marked"]:
        """The parts between a mark that are not empty."""
        return [marked(part.words()) for part in self.parts(f"[^{mark}]+")]


@dataclass(frozen=True)
class Part:
    """Words that agree with a pattern."""

    match: re.Match[str]
    values: tuple[Any, ...]

    def said(self, group: int | str) -> tuple[Any, ...]:
        """What the words of a group of the pattern mean."""
        start, end = self.match.span(group)
        return self.values[max(0, start) : max(0, end)]

    def words(self, group: int | str = 0) -> list[Word]:
        """The words of a group."""
        return list(zip(self.match[group] or "", self.said(group), strict=True))

    def of(self, marks: str, group: int | str = 0) -> list[Any]:
        """What those of some marks mean."""
        return marked(self.words(group)).of(marks)


def marked(words: Sequence[Word]) -> Marked:
    """Words as their marks."""
    return Marked("".join(mark for mark, _ in words), tuple(value for _, value in words))


Clauses = Sequence[tuple[str, *tuple[str, ...]]]
"""Patterns of marks, and the facts that words of these say: a kind, and groups of one word each.

A group without a word means None.
"""


def facts_of(words: Marked, clauses: Clauses) -> list[list[tuple[Any, ...]]] | None:
    """What each sentence says, as kinds and the meanings of words.

    A fact of the kind "same" only demands that its words, where they are there, mean the same. A
    sentence may be several clauses with commas between. None where a sentence is none.
    """
    facts = []
    for sentence in words.split("."):
        sentence = sentence.rewritten("^,+|,+$|,(?=,)")
        parts = [_said(sentence, clauses)]
        if None in parts:
            parts = [_said(part, clauses) for part in sentence.split(",")]
        if None in parts:
            return None
        facts.append([fact for part in parts for fact in part or ()])
    return facts


def _said(words: Marked, clauses: Clauses) -> list[tuple[Any, ...]] | None:
    for pattern, *facts in clauses:
        if match := re.fullmatch(pattern, words.marks):
            spans = [match.span(number) for number in range(1, 1 + len(match.groups()))]
            groups = [words.values[start] if start < end else None for start, end in spans]
            said = [
                (kind, *(groups[int(number) - 1] for number in numbers))
                for kind, numbers in map(str.split, facts)
            ]
            same = [fact[1:] for fact in said if fact[0] == "same"]
            if all(None in values or len({*values}) == 1 for values in same):
                return [fact for fact in said if fact[0] != "same"]
    return None
