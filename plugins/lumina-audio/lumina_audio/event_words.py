"""One event of the audio world as words, and back: an article or a number, adjectives, a noun.

The first wording of each thing is the plain one. All of them stand in training captions: what
people say less often, in fewer.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

import torch

from lumina_audio.scene import DIRECTIONS, REPEATED, Event
from lumina_core.media.worlds.captions import NUMBERS, by_wording, chance, join, one_of, pick

RARE = 0.3  # share of the words, of those that are not plain, that are taken from the rarer ones
BEHIND = 0.08  # of those not plain, share whose adjectives stand behind the noun
FILLED = 0.06  # share of the events, of those that are not plain, with a word that says nothing

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
RARE_NOUNS = {
    "beep": ("blip", "pip", "peep", "bip"),
    "noise": (
        *("white noise burst", "static burst", "hissing sound", "hissing noise", "noise pulse"),
        *("blast of noise", "pulse of noise", "crackle", "burst", "hissing"),
    ),
    "tone": ("sine tone", "sine wave", "pure tone", "pure sine tone", "sine"),
    "chord": ("chord of three notes", "chord of three tones", "triad"),
}
RARE_PLURALS = {
    "beep": ("blips", "pips", "peeps", "bips", "tones", "notes"),
    "noise": (
        *("white noise bursts", "static bursts", "hisses", "noise pulses", "blasts of noise"),
        *("bursts", "pulses of noise", "noises"),
    ),
}
SHORT_TONES = ("tone", "note")
"""What a short beep is called, too."""
IMPLIED = {
    **dict.fromkeys(("hum", "drone", "humming sound"), ("tone", "pitch", "low")),
    **dict.fromkeys(("whistle", "whistling sound"), ("tone", "pitch", "high")),
    **dict.fromkeys(("click", "clicks", "tick", "ticks"), ("noise", "length", "short")),
}
"""Nouns that say more than a kind: a kind, a field of an event and its value, if none is named."""
BARE = ("white noise", "static", "noise", "hissing", "something")
"""Nouns that are written without an article."""
PRONOUN = "one"
"""Stands for the noun of the event before: "a soft beep then a loud one"."""
SWEEPS = (
    *("sweep", "tone", "glide", "chirp", "whistle", "note", "slide", "siren", "sound", "pitch"),
    "something",
)
"""What rises or falls, before or behind words for it."""
BEFORE_SWEEPS = {
    "rising": ("rising", "upward", "ascending", "upwards", "climbing", "up"),
    "falling": ("falling", "downward", "descending", "downwards", "dropping", "down"),
}
_ALONE = {
    "rising": ("up", "upwards", "upward", "back up", "going up", "up again"),
    "falling": ("down", "downwards", "downward", "back down", "going down", "down again"),
}
"""Of a sweep behind a sweep: "a sweep going up and then down"."""


def _behind_sweeps(up: str, low: str, high: str, verbs: tuple[str, str, str]) -> Iterator[str]:
    rises, rising, _ = verbs
    yield from (f"going {up}", rising, f"that goes {up}", f"that {rises}", f"{up}wards", up)
    yield from (f"from {low} to {high}", f"going from {low} to {high}", *[f"sliding {up}"] * 2)
    yield from (f"that goes from {low} to {high}", f"that starts {low} and ends {high}")
    yield from (f"starting {low} and ending {high}", f"which {rises}", f"which goes {up}")
    yield from (f"that slides {up}", f"{rising} in pitch", f"that {rises} in pitch", f"{up}ward")
    yield from (f"that is going {up}", f"that is {rising}", f"going {up}wards")
    yield from (f"that goes {up}wards", f"which slides {up}", f"that begins {low} and ends {high}")


def _behind_sweeps_read(up: str, low: str, high: str, verbs: tuple[str, str, str]) -> Iterator[str]:
    """What no caption has, since each of the words would be too rare to be learned."""
    yield from _behind_sweeps(up, low, high, verbs)
    yield from (f"getting {high}er", f"that gets {high}er", f"that {verbs[-1]}", f"gliding {up}")
    yield from (f"moving {up}", f"sweeping {up}", f"that sweeps {up}", f"that glides {up}")
    yield f"that moves {up}"


_UPS_AND_DOWNS = {
    "rising": ("up", "low", "high", ("rises", "rising", "climbs")),
    "falling": ("down", "high", "low", ("falls", "falling", "drops")),
}
BEHIND_SWEEPS = {name: tuple(_behind_sweeps(*words)) for name, words in _UPS_AND_DOWNS.items()}
_READ_BEHIND_SWEEPS = {
    name: tuple(_behind_sweeps_read(*words)) for name, words in _UPS_AND_DOWNS.items()
}
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
RARE_ADJECTIVES = {
    "level": {"soft": ("faint", "gentle", "weak"), "loud": ("strong", "powerful")},
    "length": {
        "short": ("quick", "rapid", "fast", "tiny"),
        "long": ("lengthy", "sustained", "extended", "prolonged"),
    },
    "pitch": {
        "low": ("bass", "low frequency"),
        "middle": ("mid", "medium pitched", "mid pitched", "mid range"),
        "high": ("shrill", "bright", "piercing", "high frequency"),
    },
    "tremolo": {
        "slow": ("wobbly", "vibrating", "slowly vibrating", "warbling", "quavering", "shaking"),
        "fast": ("quickly vibrating", "rapidly trembling", "rapidly wobbling"),
    },
}
SPEEDS = ("slow", "slowly", "quickly", "smooth", "smoothly", "gradually", "steadily")
"""Adjectives and adverbs of sweeps, all of which take the same time."""
FILLERS = (
    *("simple", "clear", "steady", "nice", "plain", "constant", "clean", "pure"),
    *("very", "really", "quite", "rather", "extremely", "fairly", "so", "super", "pretty"),
    *("just", "please", "exactly", "now", "directly", "immediately", "right", "some"),
)
"""Words that say nothing; where a text is not understood, it is read without them."""
_BEFORE_NOUNS, _BEFORE_ADJECTIVES = FILLERS[:8], FILLERS[8:17]


def _tremolos(rate: str, adverbs: Iterable[str]) -> tuple[str, ...]:
    said = tuple(f"with {a}{rate} {what}" for what in ("tremolo", "vibrato") for a in ("", "a "))
    return said + tuple(f"{how} {way}" for way in adverbs for how in ("trembling", "wobbling"))


TAILS = {
    "slow": (*_tremolos("slow", ("slowly",)), *("with tremolo", "with vibrato")),
    "fast": _tremolos("fast", ("fast", "quickly")),
}
"""A tremolo behind the noun. Where no rate is named it is slow."""
_SHAKES = ("trembles", "wobbles", "vibrates", "shakes")
RARE_TAILS = {
    "tremolo": {
        "slow": (
            *(f"that {shakes}" for shakes in _SHAKES),
            *(f"that {shakes} slowly" for shakes in _SHAKES),
            *(f"that slowly {shakes}" for shakes in _SHAKES),
            *("with a tremolo", "with a vibrato", "trembling", "wobbling", "shaking"),
            "which trembles",
        ),
        "fast": (
            *(f"that {shakes} {way}" for shakes in _SHAKES for way in ("fast", "quickly")),
            *(f"that quickly {shakes}" for shakes in _SHAKES),
            *("with a quick tremolo", "with rapid tremolo", "with quick vibrato"),
        ),
    },
    "level": {
        "soft": ("played softly", "softly", *["quietly"] * 2, "at low volume", "with low volume"),
        "loud": ("played loudly", "loudly", "at high volume", "with high volume", "at full volume"),
    },
    "length": {
        "short": ("for a short time", "of short duration", "for a moment"),
        "long": ("for a long time", "of long duration", *["for a while"] * 2),
    },
    "pitch": {
        value: tuple(
            f"{words} {a}{name} pitch"
            for name in names
            for words, a in (("with", "a "), ("at", "a "), ("of", ""), ("in", "a "), ("of", "a "))
        )
        + tuple(f"in the {name} {range_}" for name in names for range_ in ("range", "register"))
        + (("in the middle",) if value == "middle" else ())
        for value, names in (
            ("low", ("low",)),
            ("middle", ("middle", "medium")),
            ("high", ("high",)),
        )
    },
}
"""By field, what else stands behind the noun."""
INNER = {
    f"{burst}{s} of": f"{burst}{s} of noise"
    for burst in ("burst", "blast", "pulse")
    for s in ("", "s")
}
"""Nouns that may have an adjective within: "a burst of low noise"."""

_DIGITS = tuple(str(number + 1) for number in range(len(NUMBERS)))
_ARTICLES = ("a", "a", "a", "", "one", "1")
"""Before one thing, each as often as it stands here."""
_RARE_ARTICLES = ("the", "a single", "just one", "another", "single")
_READ_ARTICLES = (*_RARE_ARTICLES, "only one")
_RARE_NUMBERS = {2: ("a pair of", "a couple of"), 3: ("three", "3"), 4: ("four", "4")}
_TIMES = {
    2: ("twice", "two times", "repeated twice", "2 times", "repeated two times"),
    3: ("three times", "repeated three times", "3 times"),
    4: ("four times", "repeated four times", "4 times"),
}
_PAUSED = ("with a pause between them", "with a short pause between them", "in a row")
"""Behind the noun of what sounds several times; it says nothing new."""
_ECHOES = {
    count: tuple(" ".join([noun] * count) for noun in ("beep", "bleep"))
    for count in range(2, len(NUMBERS) + 1)
}
"""The noun as often as it sounds."""


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
        return _several(event, adjectives, noun, tail, generator)
    if generator and chance(FILLED, generator):
        fillers = _BEFORE_ADJECTIVES if adjectives else _BEFORE_NOUNS
        adjectives = [pick(fillers, generator), *adjectives]
    words = join(*adjectives, noun, tail)
    if noun in BARE or noun.startswith("something"):
        return words
    is_rare = generator is not None and chance(RARE / 2, generator)
    article = pick(_RARE_ARTICLES if is_rare else _ARTICLES, generator)
    return join("an" if article == "a" and words[0] in "aeiou" else article, words)


def _several(
    event: Event, adjectives: list[str], noun: str, tail: str, generator: torch.Generator | None
) -> str:
    """The same of what sounds more than once."""
    number = pick((NUMBERS, NUMBERS, _DIGITS), generator)[event.count - 1]
    if generator is None or not chance(RARE, generator):
        return join(number, *adjectives, noun, tail)
    way = pick(("number", "times", "paused", "echoed"), generator)
    if way == "echoed" and event.kind == "beep":
        return join(*adjectives, pick(_ECHOES[event.count], generator), tail)
    if way == "times":
        once = pick(NOUNS[event.kind], generator)
        article = "" if once in BARE else "a"
        return join(article, *adjectives, once, tail, pick(_TIMES[event.count], generator))
    if way == "paused":
        return join(number, *adjectives, noun, tail, pick(_PAUSED, generator))
    return join(pick(_RARE_NUMBERS[event.count], generator), *adjectives, noun, tail)


def _noun(event: Event, generator: torch.Generator | None) -> str:
    is_rare = generator is not None and chance(RARE, generator)
    if event.count > 1:
        return pick((RARE_PLURALS if is_rare else PLURALS)[event.kind], generator)
    if not is_rare:
        return pick(NOUNS[event.direction or event.kind], generator)
    if event.direction:
        sweep = pick(SWEEPS, generator)
        if chance(0.5, generator):
            return f"{pick(BEFORE_SWEEPS[event.direction], generator)} {sweep}"
        return f"{sweep} {pick(BEHIND_SWEEPS[event.direction], generator)}"
    implied = tuple(
        noun
        for noun, (kind, field, value) in IMPLIED.items()
        if kind == event.kind and getattr(event, field) == value and noun[-1] != "s"
    )
    short = SHORT_TONES if event.kind == "beep" and event.length == "short" else ()
    return pick(RARE_NOUNS[event.kind] + short + implied, generator)


def _described(event: Event, generator: torch.Generator | None) -> tuple[str, list[str]]:
    """What stands behind the noun, and before it."""
    values = {field: getattr(event, field) for field in ADJECTIVES}
    tail = ""
    if event.tremolo and (generator is None or chance(0.5, generator)):
        is_rare = generator is not None and chance(RARE, generator)
        tails = RARE_TAILS["tremolo"] if is_rare else TAILS
        tail = pick(tails[event.tremolo], generator)
        values["tremolo"] = None
    told = [field for field, value in values.items() if value]
    if generator is None:
        return tail, [ADJECTIVES[field][values[field]][0] for field in told]
    if told and not tail and chance(BEHIND, generator):
        return " ".join(_in_any_order(values, told, generator)), []
    if told and not tail and not event.tremolo and chance(RARE / 2, generator):
        field = pick(told, generator)
        tail = pick(RARE_TAILS[field][values[field]], generator)
        if chance(0.5, generator):
            verb = "are" if event.count > 1 else "is"
            is_so = f"{pick(('that', 'which'), generator)} {verb}"
            tail = f"{is_so} {_adjective(field, values[field], generator)}"
        told.remove(field)
    adjectives = [_adjective(field, values[field], generator) for field in told]
    if event.kind in ("tone", "sweep", "chord") and chance(FILLED, generator):
        adjectives.append(pick((*SPEEDS, "long") if event.direction else ("long",), generator))
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
    several = RARE_ADJECTIVES if chance(RARE, generator) else ADJECTIVES
    return pick(several[field][value], generator)


def written() -> Iterator[str]:
    """All texts of which `worded` takes words."""
    for names in (NOUNS, RARE_NOUNS, PLURALS, RARE_PLURALS, BEFORE_SWEEPS, BEHIND_SWEEPS, _TIMES):
        for words in names.values():
            yield from words
    for fields in (ADJECTIVES, RARE_ADJECTIVES, {"tremolo": TAILS}, RARE_TAILS):
        for values in fields.values():
            for words in values.values():
                yield from words
    yield from (noun for noun in IMPLIED if noun[-1] != "s")
    yield from (*SHORT_TONES, PRONOUN, *SWEEPS, *SPEEDS, *_BEFORE_NOUNS, *_BEFORE_ADJECTIVES)
    yield from (*_ARTICLES, "an", *_RARE_ARTICLES, *NUMBERS, *_DIGITS, *_PAUSED)
    yield from (words for several in _RARE_NUMBERS.values() for words in several)
    yield from ("that", "which", "is", "are", "and")


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
        noun, adjectives = INNER[inner["burst"]], f"{adjectives} {inner['within']}"
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
    return _event(kind, direction, times[0] if times else count, implied | values)


def _event(kind: str, direction: str | None, count: int, values: dict[str, str]) -> Event | None:
    """A short tone is a beep, and of what is long anyway nobody need say it."""
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
    if noun in IMPLIED:
        kind, field, value = IMPLIED[noun]
        return kind, None, {field: value}
    if noun in _KIND_OF:
        kind = _KIND_OF[noun]
        return ("sweep", kind, {}) if kind in DIRECTIONS else (kind, None, {})
    direction = next((name for name, words in _DIRECTED.items() if words.search(noun)), None)
    if noun in _PRONOUNS or noun in _ALONE_OF:
        if before is None or (noun == PRONOUN and not is_described):
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


_KIND_OF = by_wording(NOUNS) | by_wording(RARE_NOUNS) | by_wording(PLURALS)
_KIND_OF |= by_wording(RARE_PLURALS)
_ALONE_OF = by_wording(_ALONE)
_PRONOUNS = (PRONOUN, *(f"{direction} {PRONOUN}" for direction in DIRECTIONS))
_PLURAL_NOUNS = {*by_wording(PLURALS), *by_wording(RARE_PLURALS), "clicks", "ticks"}
_ECHO_OF = {words: count for count, several in _ECHOES.items() for words in several}
_COUNT_OF = {
    words: count + 1 for number in (NUMBERS, _DIGITS) for count, words in enumerate(number)
} | {words: count for count, several in _RARE_NUMBERS.items() for words in several}
_ADJECTIVE_OF = _fields(ADJECTIVES) | _fields(RARE_ADJECTIVES)
_ADJECTIVE_OF |= dict.fromkeys(SPEEDS, ("speed", "any"))
_TAIL_OF = _fields({"tremolo": TAILS}) | _fields(RARE_TAILS) | dict.fromkeys(_PAUSED, ("", ""))
_TAIL_OF |= {words: ("count", str(count)) for count, words_ in _TIMES.items() for words in words_}
_ANY_ADJECTIVE = one_of(_longest_first(_ADJECTIVE_OF))
_ENDED = r"(?=$| (?:then|and|followed|before|after|next|please|with)(?!\S))"
_FOLLOWERS = (
    *("then", "and", "followed", "before", "after", "next", "please", "finally", "afterwards"),
    *("with", "an?", "one", "two", "three", "four", "[1-4]", "the", "single", "only", "just"),
    *("another", "play", "plays", "played", "there", "i hear", "you hear", "can", "is", "are"),
    *("which", "that", "once", "comes", "coming", "follows", "sounds", "on its own", "alone"),
    *("by itself", "at", "in that order", "first", "second", "later", "lastly", "right", "but"),
    *("preceded", "end", "ends", "ending", "finish", "finishes", "finishing", "silence"),
    "between",
)
"""Words that may stand behind an adjective that is behind its noun."""
_FOLLOWED = rf"(?=$| {one_of(_FOLLOWERS)}(?!\S))"
_REPEATS = one_of((*_PAUSED, *(words for several in _TIMES.values() for words in several)))
_RELATIVE = rf"(?:that|which) (?:is|are|sounds?) {_ANY_ADJECTIVE}(?: and {_ANY_ADJECTIVE}{_ENDED})?"
_ANY_TAIL = rf"(?:{'|'.join(_longest_first(_TAIL_OF))}|{_RELATIVE})(?!\S)"
_ADJECTIVE = re.compile(rf"(?<!\S){_ANY_ADJECTIVE}(?!\S)")
_TAIL = re.compile(rf"(?<!\S){_ANY_TAIL}")
_BEFORE_OF, _BEHIND_OF = by_wording(BEFORE_SWEEPS), by_wording(_READ_BEHIND_SWEEPS)
_DIRECTED = {
    direction: re.compile(
        rf"^{one_of((*BEFORE_SWEEPS[direction], *_ALONE[direction]))}(?!\S)"
        rf"|\S {one_of(_READ_BEHIND_SWEEPS[direction])}$"
    )
    for direction in DIRECTIONS
}
_WITHIN = rf"(?:{_ANY_ADJECTIVE} (?:and )?){{1,3}}"
_INNER_NOUN = re.compile(rf"(?P<burst>{one_of(INNER)}) (?P<within>{_WITHIN})(?:noise|static)")
_NOUN = one_of(
    (
        rf"{one_of(INNER)} {_WITHIN}(?:noise|static)",
        *_longest_first(_ECHO_OF),
        f"(?:{one_of(_longest_first(SWEEPS))} {one_of(_longest_first(_BEHIND_OF))}"
        rf"(?!\S)(?! {one_of(SWEEPS)}(?!\S)))",
        f"{one_of(_longest_first(_BEFORE_OF))} {one_of(_longest_first(SWEEPS))}",
        *_longest_first((*_KIND_OF, *IMPLIED, *_PRONOUNS, *_ALONE_OF)),
    )
)
EVENT = re.compile(
    rf"(?<!\S)(?:(?P<number>an?|{'|'.join(_longest_first((*_READ_ARTICLES, *_COUNT_OF)))}) )?"
    rf"(?P<adjectives>(?:(?>{_ANY_ADJECTIVE}) (?:and )?)*)(?P<noun>{_NOUN})(?!\S)"
    rf"(?P<tails>(?: {_ANY_TAIL}){{0,3}})"
    rf"(?:(?P<behind>(?: {_ANY_ADJECTIVE}(?: and {_ANY_ADJECTIVE}|)|(?: {_ANY_ADJECTIVE}){{2,3}}))"
    rf"(?P<repeats>(?: {_REPEATS})?){_FOLLOWED})?"
)
"""A regular expression that takes every wording of an event, and some that mean nothing.

Adjectives are taken whole: "slowly trembling" is one or two, so that many of them before no noun
would be split in more ways than can be tried.
"""
