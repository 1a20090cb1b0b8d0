"""A tolerant reader of the video world: what people type that is none of its sentences.

It reads a text only if it understands every word, and if nothing is open. It gives the plainest
sentence for it, which grammar.py reads. The words stand in phrases.py.
"""

from dataclasses import replace

from lumina_core.media.worlds.captions import join, with_article
from lumina_core.media.worlds.marks import Marked, Part, Word, facts_of
from lumina_core.media.worlds.things import Named, told, with_plus, with_things, without_background
from lumina_core.media.worlds.words import PLURALS
from lumina_video.motions import GROWTHS
from lumina_video.phrases import PLAIN, reader


def with_events(words: Marked) -> Marked:
    """Words with an "M" and the plainest words for those that say what a thing does."""
    words = words.rewritten("[zm]?[:b]{0,2}Fa?(c)[2>]a?(c)(?![cs]*[NPQ])", _turn)
    words = words.rewritten("(?<![cs])[zm]?:?(c)[2>](c)(?=$|[,.:NPQZ])", _turn)
    words = words.rewritten("bf?(c)[,&]*Zf?p?b?(c)(?=$|[,.])", _turn)
    words = words.rewritten(r"\.(?=U)", lambda _: [(",", None)])
    words = words.rewritten("f").rewritten("zo", lambda _: [("z", None)])
    words = words.rewritten("(?<=m)p(?=w)|(?<=z)p(?=2?c)")  # "move it left"
    words = words.rewritten("(?<=Z)p?b(c)(?![cs]*[NPQ])", _turn)  # "later it is red"
    words = words.rewritten("z(a?1?[cs]*[NP])2?(c)(?![cs]*[NPQ])", _turned)
    words = words.rewritten("[zl]:?2?a?(c)(?![cs]*[NPQ])", _turn)
    words = words.rewritten("[lz](s)(?:&s)*(?![cs]*[NPQ])|M(?:[&2]?a?s)+(?![cs]*[NPQ])", _growth)
    words = (
        words.rewritten("m[:2]?(w+)|(w+)m", _move).rewritten("M2?(w+)", _move).rewritten("w", _move)
    )
    words = words.rewritten("(?<=M)p(?=$|[,.])|j(?=M)")  # "then shrink it"
    return words.rewritten(">", lambda _: [("Z", None)]).rewritten("2(?!a?[cs])")


def _turn(part: Part) -> list[Word]:
    *before, after = part.of("c")
    return [("M", join("turning", *(f"from {colour} to" for colour in before), after))]


def _turned(part: Part) -> list[Word]:
    """As in "turn the green square red"."""
    return [*part.words(1), ("M", f"turning {part.said(2)[0]}")]


def _growth(part: Part) -> list[Word] | None:
    """As in "gets smaller" and "grows smaller"."""
    if any(motion not in map(PLAIN.get, GROWTHS) for motion in part.of("M")):
        return None
    sizes = {*part.of("s")}
    return [("M", PLAIN["grow" if sizes == {"large"} else "shrink"])] if len(sizes) == 1 else None


def _move(part: Part) -> list[Word] | None:
    motions = {PLAIN[way] for way in part.of("w")} | {*part.of("M")}
    return [("M", *motions)] if len(motions) == 1 else None  # type: ignore[list-item]


_AND = "[,&tb]*"
_IT = f"{_AND}(p?){_AND}"
_THEN = f"{_AND}Z{_IT}"
_BY = f"[,&tbY]*([Tp]){_AND}"
_CLAUSES = (
    (rf"{_AND}[Tp](?:{_AND}[Tp])*",),
    (",*",),
    (rf"{_AND}Z?{_AND}(M)", "next 1"),
    (rf"{_AND}Z{_AND}(p){_AND}(M)", "then 12"),
    (rf"{_BY}(?:Z{_AND})?(M),?", "do 12"),
    (rf"{_BY}Z{_IT}(M),?", "do 13", "same 12"),
    (rf"{_AND}(M),?([Tp])z?", "do 21"),
    (rf"{_BY}(M)[,&Y]*U{_AND}(M)", "do 12", "other 13"),
    (rf"{_AND}(M){_THEN}(M),?([Tp])", "do 41", "then 43", "same 42"),
    (rf"W{_AND}(M)", "all 1"),
    (rf"{_BY}(?:Z{_AND})?(M){_THEN}(M)", "do 12", "then 14", "same 13"),
    (rf"{_BY}(M),?&<(M)", "do 12", "then 13"),
    (rf"{_BY}(M)&(M)", "do 12", "swing 123"),
    (rf"{_AND}Y?{_BY}(M)[,&tbY]*{_BY}Y?(M)", "do 12", "do 34"),
    (rf"{_AND}(M)([Tp])[,&Y]*(M)([Tp])", "do 21", "do 43"),
    (rf"[,&tbY]*([Tp])[,&]+([Tp])W?{_AND}(M)", "do 13", "do 23"),
    (rf"{_BY}(M)&S([Tp])", "do 12", "do 32"),
    (rf"{_BY}([Tp]){_AND}1{_AND}(M)[,&Y]*[U1]{_AND}(M)", "do 13", "do 24"),
    (rf"{_BY}1{_AND}(M)[,&Y]*[U1]{_AND}(M)", "do 12", "other 13"),
    (rf"{_BY}g([Tp])", "pass 12"),
    (rf"{_BY}g([Tp])[,Y]*b?(M)", "pass 12", "way 123"),
    (rf"{_BY}V([Tp])", "pass 21"),
    (rf"{_BY}(M)[,&Y]*[vg]([Tp])", "pass 13", "do 12"),
    (rf"{_BY}mv([Tp])", "pass 12"),
    (rf"<{_IT}(M),*{_BY}(M)", "do 32", "then 34", "same 13"),
    (rf"<{_BY}(M),*{_IT}(M)", "do 12", "then 14", "same 13"),
    (rf"{_BY}(M),*<{_IT}(M)", "do 14", "then 12", "same 13"),
    (rf"{_BY}<{_AND}(M){_AND}(M)", "do 12", "then 13"),
    (rf"{_BY}(M),*L{_IT}(M)", "do 12", "then 14", "same 13"),
    (rf"L{_IT}(M),*{_BY}(M)", "do 34", "then 32", "same 13"),
)
"""What a part of a sentence says, by its marks: kind, and the groups that say it."""


def read(text: str) -> str | None:
    """The plainest words for a text of a person; None where one is unknown or a meaning open."""
    words = reader().read(text)
    split = words and without_background(with_events(with_plus(words)))
    if not split:
        return None
    words, background = split
    story = told(with_things(words).rewritten("T", _with_state).rewritten("[zm](?=TM)"))
    facts = None if story is None else facts_of(story.words, _CLAUSES)
    if story is None or facts is None or None in [thing.shape for thing in story.things]:
        return None
    sentence = _sentence(list(story.things), facts)
    if sentence is None or background is None:
        return sentence
    return f"{sentence} on {with_article(background)} background"


def _with_state(part: Part) -> list[Word]:
    """As in "a falling star"."""
    (named,) = part.said(0)
    return [("T", named), *([("M", named.state)] if named.state else [])]


_SWINGS = tuple(
    {PLAIN[motion] for motion in pair}
    for pair in (("left", "right"), ("up", "down"), ("grow", "shrink"))
)
"""What cannot happen at once, so that "and" is "and then"."""


def _sentence(things: list[Named], facts: list[list[tuple]]) -> str | None:
    """What things do, in the plainest words; None where that is open."""
    done: list[list[str]] = [[] for _ in things]
    passing, other = [], []
    for sentence in facts:
        seen = set()
        for kind, *values in sentence:
            if kind == "pass":
                passing.append(values)
            elif kind == "way":  # "passing a still ring", "passing a ring to the right"
                first, second, motion = values
                done[second if motion == PLAIN["still"] else first].append(motion)
            elif kind == "other":
                other.append(values[-1])
            else:
                numbers = [values[0]] if kind not in ("all", "next") else range(len(things))
                if (
                    (kind == "do" and values[0] in seen)
                    or (kind == "next" and len(things) > 1)
                    or (kind == "then" and any(done) and not done[values[0]])
                    or (kind == "swing" and {*values[1:]} not in _SWINGS)
                ):
                    return None
                seen.update(numbers)
                for number in numbers:
                    done[number].append(values[-1])
    if any(thing.count not in (1, 2) for thing in things):
        return None
    if any(not 1 <= len(motions) <= 2 for motions in done) and not passing:
        return None
    named = [_named(thing, motions) for thing, motions in zip(things, done, strict=True)]
    if passing:
        return _passed(named, done, passing)
    if len(things) == 1:
        if other:
            named = [_named(replace(things[0], count=2), done[0])]
            return f"{named[0]} one {done[0][0]} and the other {other[0]}"
        return f"{named[0]} {' and then '.join(done[0])}"
    is_short = len(things) == 2 and max(map(len, done)) == 1
    return f"{named[0]} {done[0][0]} and {named[1]} {done[1][0]}" if is_short else None


def _passed(named: list[str], done: list[list[str]], passing: list[list[int]]) -> str | None:
    first, second = passing[0]
    if len(passing) > 1 or len(named) != 2 or first == second or len(done[first]) > 1:
        return None
    if done[second] not in ([], [PLAIN["still"]]):
        return None
    return join(named[first], *done[first], "past" if done[first] else "passing", named[second])


def _named(thing: Named, motions: list[str]) -> str:
    """A thing in the plainest words; it keeps its colour where a motion says that already."""
    words = join(
        thing.size,
        thing.colour,
        (PLURALS if thing.count == 2 else {}).get(thing.shape, thing.shape),
    )
    return f"two {words}" if thing.count == 2 else with_article(words)
