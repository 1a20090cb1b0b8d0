"""For plugins: the words of a text as marks, one letter each, so that rules are short patterns.

A tolerant reader knows what each word of a text may do, and puts words together by rules, the
smallest first: adjectives and a noun are a thing, two things and a preposition are a relation. It
reads nothing where it does not know a word, for that word may say anything.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lumina_core.media.worlds.lexicon import MAX_LENGTH, corrected

LONGEST = 10  # words of a phrase
Word = tuple[str, Any]
"""A mark, and what the word means."""
Phrases = Mapping[str, Sequence[Word]]
"""Words, as `tokens` gives them with one space between, and what they are read as."""

_SPELT = (
    (r"(?<=\d)\s*x\b|\bx\s*(?=\d\b)", " "),  # 2x
    (r"\bw/", " with "),
    (r"[-=]+>|→", " > "),
    (r"(?<=\w)[-'’_](?=\w)", " "),
    (r"[+&]", " and "),
    (r"@", " on "),
    (r"=", ":"),
    (r"[;!?\n]|\.+|…", " . "),
    (r"[,()\[\]/|–—-]", " , "),
    (r"[:>]", r" \g<0> "),
    (r"[\"'*#“”‘’`´]", " "),
)
"""What signs say, in order: a full stop ends a sentence, a comma ends less."""


def tokens(text: str) -> list[str]:
    """Words in lower case, and the signs ".", ",", ":" and ">" that are left of all others."""
    text = unicodedata.normalize("NFC", text).lower()
    for pattern, sign in _SPELT:
        text = re.sub(pattern, sign, text)
    return text.split()


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
        for match in re.finditer(pattern, self.marks):
            made = make(Part(match, self.values))
            if made is not None:
                words += [*self._words(start, match.start()), *made]
                start = match.end()
        return marked([*words, *self._words(start, len(self.marks))])

    def split(self, mark: str) -> list["Marked"]:
        """The parts between a mark that are not empty."""
        spans = [match.span() for match in re.finditer(f"[^{mark}]+", self.marks)]
        return [marked(self._words(*span)) for span in spans]

    def _words(self, start: int, end: int) -> list[Word]:
        return list(zip(self.marks[start:end], self.values[start:end], strict=True))


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

    def of(self, mark: str, group: int | str = 0) -> list[Any]:
        """What those of a mark mean."""
        return [value for found, value in self.words(group) if found in mark]


def marked(words: Sequence[Word]) -> Marked:
    """Words as their marks."""
    return Marked("".join(mark for mark, _ in words), tuple(value for _, value in words))


def read_marks(text: str, phrases: Phrases, spelt: Sequence[str] = ()) -> Marked | None:
    """The words of a text; of phrases the longest. None where a word is in no phrase.

    None, too, for a text of more than MAX_LENGTH characters: its end may say anything.

    Args:
        text: of a person.
        phrases: words and their marks.
        spelt: words of these that may be misspelt.
    """
    if len(text) > MAX_LENGTH:
        return None
    words, start, found = tokens(text), 0, list[Word]()
    while start < len(words):
        for end in range(min(len(words), start + LONGEST), start, -1):
            if (meant := phrases.get(" ".join(words[start:end]))) is not None:
                found += meant
                start = end
                break
        else:
            known = corrected(words[start], spelt)
            if known not in spelt:
                return None
            words[start] = known
    return marked(found)


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
