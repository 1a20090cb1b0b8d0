"""One event of the audio world as words, and back: an article or a number, adjectives, a noun."""

import re
from collections.abc import Iterable, Mapping

import torch

from lumina_audio import wordings
from lumina_audio.scene import DIRECTIONS, REPEATED, Event
from lumina_core.media.worlds.captions import NUMBERS, by_wording, chance, join, one_of, pick

RARE = 0.3  # share of the words, of those that are not plain, that are taken from the rarer ones
BEHIND = 0.08  # of those not plain, share whose adjectives stand behind the noun
FILLED = 0.06  # share of the events, of those that are not plain, with a word that says nothing


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
        noun = pick((noun, join(event.direction, wordings.PRONOUN)), generator)
    if event.count > 1:
        return _several(event, adjectives, noun, tail, generator)
    if generator and chance(FILLED, generator):
        fillers = wordings.BEFORE_ADJECTIVES if adjectives else wordings.BEFORE_NOUNS
        adjectives = [pick(fillers, generator), *adjectives]
    words = join(*adjectives, noun, tail)
    if noun in wordings.BARE or noun.startswith("something"):
        return words
    is_rare = generator is not None and chance(RARE / 2, generator)
    article = pick(wordings.RARE_ARTICLES if is_rare else wordings.ARTICLES, generator)
    return join("an" if article == "a" and words[0] in "aeiou" else article, words)


def _several(
    event: Event, adjectives: list[str], noun: str, tail: str, generator: torch.Generator | None
) -> str:
    """The same of what sounds more than once."""
    number = pick((NUMBERS, NUMBERS, wordings.DIGITS), generator)[event.count - 1]
    if generator is None or not chance(RARE, generator):
        return join(number, *adjectives, noun, tail)
    way = pick(("number", "times", "paused", "echoed"), generator)
    if way == "echoed" and event.kind == "beep":
        return join(*adjectives, pick(wordings.ECHOES[event.count], generator), tail)
    if way == "times":
        once = pick(wordings.NOUNS[event.kind], generator)
        article = "" if once in wordings.BARE else "a"
        return join(article, *adjectives, once, tail, pick(wordings.TIMES[event.count], generator))
    if way == "paused":
        return join(number, *adjectives, noun, tail, pick(wordings.PAUSED, generator))
    return join(pick(wordings.RARE_NUMBERS[event.count], generator), *adjectives, noun, tail)


def _noun(event: Event, generator: torch.Generator | None) -> str:
    is_rare = generator is not None and chance(RARE, generator)
    if event.count > 1:
        return pick((wordings.RARE_PLURALS if is_rare else wordings.PLURALS)[event.kind], generator)
    if not is_rare:
        return pick(wordings.NOUNS[event.direction or event.kind], generator)
    if event.direction:
        sweep = pick(wordings.SWEEPS, generator)
        if chance(0.5, generator):
            return f"{pick(wordings.BEFORE_SWEEPS[event.direction], generator)} {sweep}"
        return f"{sweep} {pick(wordings.BEHIND_SWEEPS[event.direction], generator)}"
    implied = tuple(
        noun
        for noun, (kind, field, value) in wordings.IMPLIED.items()
        if kind == event.kind and getattr(event, field) == value and noun[-1] != "s"
    )
    short = wordings.SHORT_TONES if event.kind == "beep" and event.length == "short" else ()
    return pick(wordings.RARE_NOUNS[event.kind] + short + implied, generator)


def _described(event: Event, generator: torch.Generator | None) -> tuple[str, list[str]]:
    """What stands behind the noun, and before it."""
    values = {field: getattr(event, field) for field in wordings.ADJECTIVES}
    tail = ""
    if event.tremolo and (generator is None or chance(0.5, generator)):
        is_rare = generator is not None and chance(RARE, generator)
        tails = wordings.RARE_TAILS["tremolo"] if is_rare else wordings.TAILS
        tail = pick(tails[event.tremolo], generator)
        values["tremolo"] = None
    told = [field for field, value in values.items() if value]
    if generator is None:
        return tail, [wordings.ADJECTIVES[field][values[field]][0] for field in told]
    if told and not tail and chance(BEHIND, generator):
        return " ".join(_in_any_order(values, told, generator)), []
    if told and not tail and not event.tremolo and chance(RARE / 2, generator):
        field = pick(told, generator)
        tail = pick(wordings.RARE_TAILS[field][values[field]], generator)
        if chance(0.5, generator):
            verb = "are" if event.count > 1 else "is"
            is_so = f"{pick(('that', 'which'), generator)} {verb}"
            tail = f"{is_so} {_adjective(field, values[field], generator)}"
        told.remove(field)
    adjectives = [_adjective(field, values[field], generator) for field in told]
    if event.kind in ("tone", "sweep", "chord") and chance(FILLED, generator):
        adjectives.append(
            pick((*wordings.SPEEDS, "long") if event.direction else ("long",), generator)
        )
    order = torch.randperm(len(adjectives), generator=generator).tolist()
    return tail, [adjectives[place] for place in order]


def _in_any_order(
    values: Mapping[str, str | None], told: list[str], generator: torch.Generator
) -> list[str]:
    """Adjectives that stand behind the noun, two of them often with and."""
    order = torch.randperm(len(told), generator=generator).tolist()
    said = [_adjective(told[place], str(values[told[place]]), generator) for place in order]
    has_and = len(said) == 2 and said[0] not in _TAIL_OF and chance(0.5, generator)
    return [said[0], "and", said[1]] if has_and else said


def _adjective(field: str, value: str, generator: torch.Generator) -> str:
    several = wordings.RARE_ADJECTIVES if chance(RARE, generator) else wordings.ADJECTIVES
    return pick(several[field][value], generator)


def event_of(text: str, before: Event | None) -> Event | None:
    """The event that words name; None where they agree with `EVENT` and mean nothing.

    Args:
        text: that `EVENT` takes.
        before: the event before it.
    """
    match = EVENT.fullmatch(text)
    assert match is not None  # the text was found with the same expression
    noun, tails = match["noun"], match["tails"] + (match["repeats"] or "")
    adjectives = " ".join([match["adjectives"], match["behind"] or ""])
    if inner := _INNER_NOUN.fullmatch(noun):
        noun, adjectives = wordings.INNER[inner["burst"]], f"{adjectives} {inner['within']}"
    said = [_ADJECTIVE_OF[words] for words in _ADJECTIVE.findall(adjectives)]
    for tail in _TAIL.findall(tails):
        if tail in _TAIL_OF:
            said.append(_TAIL_OF[tail])
        else:  # a relative clause
            said += [_ADJECTIVE_OF[words] for words in _ADJECTIVE.findall(tail)]
    said = [(field, value) for field, value in said if field]
    times = [int(value) for field, value in said if field == "count"]
    values = {field: value for field, value in said if field != "count"}
    if len(values) + len(times) < len(said) or len(times) > 1:
        return None
    count = _COUNT_OF.get(match["number"] or "", 1)
    if noun in _ECHO_OF:
        noun, times = noun.split()[0], [*times, _ECHO_OF[noun]]
        if match["number"]:
            return None
    is_plural = count > 1
    if (noun in _PLURAL_NOUNS) != is_plural or (is_plural and times) or len(times) > 1:
        return None
    found = _heard(noun, before, bool(said))
    if found is None:
        return None
    kind, direction, implied = found
    return event_from(kind, direction, times[0] if times else count, implied | values)


def event_from(
    kind: str, direction: str | None, count: int, values: dict[str, str]
) -> Event | None:
    """The event of a kind with these values of its fields; None where it cannot have them.

    A short tone is a beep, and of what is long anyway nobody need say it.
    """
    if values.get("speed") and kind != "sweep":
        return None
    values = {field: value for field, value in values.items() if field != "speed"}
    if kind == "tone" and (values.get("length") == "short" or count > 1):
        kind = "beep"
    if kind == "sweep" or (kind not in REPEATED and values.get("length") == "long"):
        values.pop("length", None)
    return Event(kind, direction=direction, count=count, **values)


def _heard(
    noun: str, before: Event | None, is_described: bool
) -> tuple[str, str | None, dict[str, str]] | None:
    """The kind that a noun names, its direction, and what it says else."""
    if noun in wordings.IMPLIED:
        kind, field, value = wordings.IMPLIED[noun]
        return kind, None, {field: value}
    if noun in _KIND_OF:
        kind = _KIND_OF[noun]
        return ("sweep", kind, {}) if kind in DIRECTIONS else (kind, None, {})
    direction = next((name for name, words in _DIRECTED.items() if words.search(noun)), None)
    if noun in _PRONOUNS or noun in _ALONE_OF:
        if before is None or (noun == wordings.PRONOUN and not is_described):
            return None
        if (before.kind == "sweep") != bool(direction):
            return None
        return before.kind, direction, {}
    return "sweep", direction, {}


def _longest_first(words: Iterable[str]) -> list[str]:
    return sorted(dict.fromkeys(words), key=len, reverse=True)


def _fields(several: Mapping[str, Mapping[str, Iterable[str]]]) -> dict[str, tuple[str, str]]:
    """A field of an event and its value by the words for it."""
    return {
        words: (field, value)
        for field, values in several.items()
        for words, value in by_wording(values).items()
    }


_KIND_OF = (
    by_wording(wordings.NOUNS) | by_wording(wordings.RARE_NOUNS) | by_wording(wordings.PLURALS)
)
_KIND_OF |= by_wording(wordings.RARE_PLURALS)
_ALONE_OF = by_wording(wordings.ALONE)
_PRONOUNS = (wordings.PRONOUN, *(f"{direction} {wordings.PRONOUN}" for direction in DIRECTIONS))
_PLURAL_NOUNS = {
    *by_wording(wordings.PLURALS),
    *by_wording(wordings.RARE_PLURALS),
    "clicks",
    "ticks",
}
_ECHO_OF = {words: count for count, several in wordings.ECHOES.items() for words in several}
_COUNT_OF = {
    words: count + 1 for number in (NUMBERS, wordings.DIGITS) for count, words in enumerate(number)
} | {words: count for count, several in wordings.RARE_NUMBERS.items() for words in several}
_ADJECTIVE_OF = _fields(wordings.ADJECTIVES) | _fields(wordings.RARE_ADJECTIVES)
_ADJECTIVE_OF |= dict.fromkeys(wordings.SPEEDS, ("speed", "any"))
_TAIL_OF = (
    _fields({"tremolo": wordings.TAILS})
    | _fields(wordings.RARE_TAILS)
    | dict.fromkeys(wordings.PAUSED, ("", ""))
)
_TAIL_OF |= {
    words: ("count", str(count)) for count, words_ in wordings.TIMES.items() for words in words_
}
_ANY_ADJECTIVE = one_of(_longest_first(_ADJECTIVE_OF))
_ENDED = r"(?=$| (?:then|and|followed|before|after|next|please|with)(?!\S))"
_FOLLOWERS = (
    *("then", "and", "followed", "before", "after", "next", "please", "finally", "afterwards"),
    *("with", "an?", "one", "two", "three", "four", "[1-4]", "the", "single", "only", "just"),
    *("another", "play", "plays", "played", "there", "i hear", "you hear", "can", "is", "are"),
    *("which", "that", "once", "comes", "coming", "follows", "sounds", "on its own", "alone"),
    *("by itself", "at", "in that order", "first", "second", "later", "lastly", "right", "but"),
    *("preceded", "end", "ends", "ending", "finish", "finishes", "finishing", "silence"),
    *("between", "following", "third"),
)
"""Words that may stand behind an adjective that is behind its noun."""
_FOLLOWED = rf"(?=$| {one_of(_FOLLOWERS)}(?!\S))"
_REPEATS = one_of(
    (*wordings.PAUSED, *(words for several in wordings.TIMES.values() for words in several))
)
_RELATIVE = rf"(?:that|which) (?:is|are|sounds?) {_ANY_ADJECTIVE}(?: and {_ANY_ADJECTIVE}{_ENDED})?"
_ANY_TAIL = rf"(?:{'|'.join(_longest_first(_TAIL_OF))}|{_RELATIVE})(?!\S)"
_ADJECTIVE = re.compile(rf"(?<!\S){_ANY_ADJECTIVE}(?!\S)")
_TAIL = re.compile(rf"(?<!\S){_ANY_TAIL}")
_BEFORE_OF, _BEHIND_OF = by_wording(wordings.BEFORE_SWEEPS), by_wording(wordings.READ_BEHIND_SWEEPS)
_DIRECTED = {
    direction: re.compile(
        rf"^{one_of((*wordings.BEFORE_SWEEPS[direction], *wordings.ALONE[direction]))}(?!\S)"
        rf"|\S {one_of(wordings.READ_BEHIND_SWEEPS[direction])}$"
    )
    for direction in DIRECTIONS
}
_WITHIN = rf"(?:{_ANY_ADJECTIVE} (?:and )?){{1,3}}"
_INNER_NOUN = re.compile(
    rf"(?P<burst>{one_of(wordings.INNER)}) (?P<within>{_WITHIN})(?:noise|static)"
)
_NOUN = one_of(
    (
        rf"{one_of(wordings.INNER)} {_WITHIN}(?:noise|static)",
        *_longest_first(_ECHO_OF),
        f"(?:{one_of(_longest_first(wordings.SWEEPS))} {one_of(_longest_first(_BEHIND_OF))}"
        rf"(?!\S)(?! {one_of(wordings.SWEEPS)}(?!\S)))",
        f"{one_of(_longest_first(_BEFORE_OF))} {one_of(_longest_first(wordings.SWEEPS))}",
        *_longest_first((*_KIND_OF, *wordings.IMPLIED, *_PRONOUNS, *_ALONE_OF)),
    )
)
_NUMBER = one_of(("an?", *_longest_first((*wordings.READ_ARTICLES, *_COUNT_OF))), "number")
EVENT = re.compile(
    rf"(?<!\S)(?:{_NUMBER} )?"
    rf"(?P<adjectives>(?:(?>{_ANY_ADJECTIVE}) (?:and )?)*)(?P<noun>{_NOUN})(?!\S)"
    rf"(?P<tails>(?: {_ANY_TAIL}){{0,3}})"
    rf"(?:(?P<behind>(?: {_ANY_ADJECTIVE}(?: and {_ANY_ADJECTIVE}|)|(?: {_ANY_ADJECTIVE}){{2,3}}))"
    rf"(?P<repeats>(?: {_REPEATS})?){_FOLLOWED})?"
)
"""A regular expression that takes every wording of an event, and some that mean nothing.

Adjectives are taken whole: "slowly trembling" is one or two, so that many of them before no noun
would be split in more ways than can be tried.
"""
