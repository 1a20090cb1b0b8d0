"""The words for what sounds in the audio world, by what they mean.

The first wording of each thing is the plain one. All of them stand in training captions, but for
those that are only read: what people say less often, in fewer.
"""

from collections.abc import Iterable, Iterator

from lumina_core.media.worlds.captions import NUMBERS

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
ALONE = {
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
READ_BEHIND_SWEEPS = {
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
BEFORE_NOUNS, BEFORE_ADJECTIVES = FILLERS[:8], FILLERS[8:17]


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

DIGITS = tuple(str(number + 1) for number in range(len(NUMBERS)))
ARTICLES = ("a", "a", "a", "", "one", "1")
"""Before one thing, each as often as it stands here."""
RARE_ARTICLES = ("the", "a single", "just one", "another", "single")
READ_ARTICLES = (*RARE_ARTICLES, "only one")
RARE_NUMBERS = {2: ("a pair of", "a couple of"), 3: ("three", "3"), 4: ("four", "4")}
TIMES = {
    2: ("twice", "two times", "repeated twice", "2 times", "repeated two times"),
    3: ("three times", "repeated three times", "3 times"),
    4: ("four times", "repeated four times", "4 times"),
}
PAUSED = ("with a pause between them", "with a short pause between them", "in a row")
"""Behind the noun of what sounds several times; it says nothing new."""
ECHOES = {
    count: tuple(" ".join([noun] * count) for noun in ("beep", "bleep"))
    for count in range(2, len(NUMBERS) + 1)
}
"""The noun as often as it sounds."""


def written() -> Iterator[str]:
    """All texts of which captions of training take the words for events."""
    for names in (NOUNS, RARE_NOUNS, PLURALS, RARE_PLURALS, BEFORE_SWEEPS, BEHIND_SWEEPS, TIMES):
        for words in names.values():
            yield from words
    for fields in (ADJECTIVES, RARE_ADJECTIVES, {"tremolo": TAILS}, RARE_TAILS):
        for values in fields.values():
            for words in values.values():
                yield from words
    yield from (noun for noun in IMPLIED if noun[-1] != "s")
    yield from (*SHORT_TONES, PRONOUN, *SWEEPS, *SPEEDS, *BEFORE_NOUNS, *BEFORE_ADJECTIVES)
    yield from (*ARTICLES, "an", *RARE_ARTICLES, *NUMBERS, *DIGITS, *PAUSED)
    yield from (words for several in RARE_NUMBERS.values() for words in several)
    yield from ("that", "which", "is", "are", "and")
