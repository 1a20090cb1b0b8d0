"""The words of people for sounds that stand in no caption: loose_texts.py reads them one by one.

Each has one of these marks, so that their order can be matched. A kind of event: N a noun, P a noun
for several. How it sounds: d a direction, w a way of a sweep, p a pitch, l a length, v a level, t
what trembles, s a speed, V the word volume. How often: n a number, x times, a an article, h the, o
one, B all of them. What comes when: F first, Z then, L last, A after, J what follows, b before, r
preceded by. What parts words: & and, W with, O on, and the signs . , : beside f for "of", and T for
a title.
"""

from collections.abc import Mapping, Sequence

from lumina_audio import wordings
from lumina_audio.wordings import (
    ADJECTIVES,
    FILLERS,
    IMPLIED,
    NOUNS,
    PLURALS,
    RARE_ADJECTIVES,
    RARE_NOUNS,
    RARE_NUMBERS,
    RARE_PLURALS,
    RARE_TAILS,
    TIMES,
)
from lumina_core.media.worlds.captions import NUMBERS
from lumina_core.media.worlds.marks import Word
from lumina_core.media.worlds.phrases import Reader, said, said_by

_NOUNS_TOO = {
    "beep": ("beeping", "beep sound", "bleeping", "beep signal"),
    "noise": ("noisy burst", "burst of hiss", "blast", "noise sound", "noise blast"),
    "tone": ("tone sound", "sine sound", "sinus tone"),
    "chord": (
        *("several notes at once", "three notes at once", "notes at once", "several tones at once"),
        *("three notes at the same time", "three tones at once", "several notes together"),
        *("notes played together", "three notes together", "chord sound"),
    ),
    "sweep": (
        *("sweep", "glide", "chirp", "slide", "siren", "glissando", "swoop", "whoosh", "sweeping"),
        *("sweep tone", "sweep sound", "frequency sweep", "pitch sweep", "gliding tone"),
    ),
}
_PLURALS_TOO = {
    "noise": ("noisy bursts", "blasts"),
    **{"chord": ("chords",), "click": ("clicks",), "tick": ("ticks",)},
    "sweep": ("sweeps", "glides", "chirps", "slides", "sirens"),
}
_DIRECTIONS_TOO = {
    "rising": (
        *("goes up", "go up", "go upwards", "goes upwards", "rise", "rises", "climb", "climbs"),
        *("climbing", "ascend", "ascends", "moves up", "slides up", "slides upwards", "sliding up"),
        *("starts low and rises", "begins low and rises", "begins low and goes high"),
        *("starts low and goes high", "starts low and goes up", "starts low and ends high"),
        *("begins low and ends high", "gets higher", "getting higher"),
        *("low to high", "going higher"),
    ),
    "falling": (
        *("goes down", "go down", "go downwards", "goes downwards", "fall", "falls", "drop"),
        *("drops", "dropping", "descend", "descends", "moves down", "slides down"),
        *("slides downwards", "sliding down", "sink", "sinks", "sinking", "starts high and falls"),
        *("begins high and falls", "begins high and goes low", "starts high and goes low"),
        *("starts high and goes down", "starts high and ends low", "begins high and ends low"),
        *("gets lower", "getting lower", "high to low", "going lower"),
    ),
}
_WAYS = {
    "rising": ("up", "upward", "upwards", "back up", "up again"),
    "falling": ("down", "downward", "downwards", "back down", "down again"),
}
"""Directions of a sweep that is named; without a noun they say too little."""
_FIELDS_TOO = {
    "pitch": {
        "low": ("low pitch", "low in pitch", "in low pitch", "of low frequency", "in the bass"),
        "middle": ("medium pitch", "middle pitch", "midrange", "mid pitch", "middle register"),
        "high": ("high pitch", "high in pitch", "in high pitch", "of high frequency"),
    },
    "length": {
        "short": ("of short length", "short lived", "lasting briefly", "briefly"),
        "long": (
            "long lasting",
            "over a long time",
            "lasting long",
            "over a long period",
            "longish",
        ),
    },
    "level": {
        "soft": (
            *("gently", "barely audible", "hushed", "low volume", "soft volume", "quiet volume"),
            *("volume low", "in a low volume", "not loud", "faintly", "with little volume"),
        ),
        "loud": (
            *("high volume", "loud volume", "volume high", "strongly", "powerfully"),
            *("at full blast", "very loudly", "of loud volume", "not quiet", "blaring"),
        ),
    },
}
_TREMBLING = (
    *("tremolo", "vibrato", "tremble", "trembles", "trembling", "wobble", "wobbles", "wobbling"),
    *("wobbly", "vibrate", "vibrates", "vibrating", "warbling", "warbles", "quavering", "shake"),
    *("shakes", "shaking", "shaky", "flutter", "flutters", "fluttering", "pulsate", "pulsates"),
    *("pulsating", "pulsing", "quivering", "quivers", "oscillating", "throbbing", "a tremolo"),
    *("a vibrato", "tremolo effect", "vibrato effect"),
)
_SPEEDS = {
    "slow": ("slow", "slowly", "at a slow rate", "slow rate"),
    "fast": ("fast", "quick", "quickly", "rapid", "rapidly", "at a fast rate", "swiftly"),
}
_OTHERS: Mapping[str, tuple[str, ...]] = {
    "Z": (
        *("then", "followed by", "after that", "after this", "after it", "after which", "next"),
        *("afterwards", "afterward", "later", "and then", "later on", "subsequently", "thereafter"),
        *("followed then by", "second", "secondly", "before continuing with", "continuing with"),
        *("continue with", "then after that", "after is", "after comes", "after there is", "third"),
        *("thirdly", "followed immediately by"),
    ),
    "L": (
        *("finally", "lastly", "at last", "end", "at the end", "in the end", "last", "ending with"),
        *("ends with", "end with", "finish with", "finishing with", "finishes with", "ending in"),
        *("to finish", "ends in", "at the very end", "to end"),
    ),
    "F": (
        *("first", "at first", "firstly", "first of all", "at the beginning", "to begin", "begin"),
        *("begin with", "begins with", "beginning with", "start with", "starts with", "begins"),
        *("starting with", "start", "to start", "in the beginning", "start off with", "starts"),
    ),
    "A": ("after", "right after", "just after", "coming after", "played after"),
    "J": ("follows", "following", "follow", "that follows"),
    "b": ("before", "right before", "just before", "coming before", "prior to"),
    "r": (
        *("preceded by", "but first", "before it", "before that", "before this"),
        *("but before that", "before which"),
    ),
    ",": (",", ">"),
    ".": (".",),
    ":": (":", "/"),
    "&": ("and", "plus"),
    "W": ("with", "having"),
    "O": ("on", "applied to"),
    "f": ("of",),
    "a": ("a", "an", "a single", "single", "just one", "only one", "a kind of"),
    "h": ("the", "this", "that one"),
    "o": ("one",),
    "B": (
        *("both", "all of them", "all", "each of them", "everything", "both of them", "each one"),
        *("all three", "all are", "they are all", "both are", "they are both"),
    ),
    "V": ("volume", "loudness"),
    "T": ("alarm", "signal", "jingle", "sequence", "audio", "sound effect", "effect"),
}
_TIMES_TOO = {
    2: ("x2", "2x", "x 2", "2 x", "repeated once", "repeated two times", "two in a row"),
    3: ("x3", "3x", "x 3", "3 x", "thrice", "three in a row"),
    4: ("x4", "4x", "x 4", "4 x", "four in a row"),
}
_NUMBERS_TOO = {2: ("double", "pair of", "couple of", "a pair", "a couple"), 3: ("triple",)}
_SILENT = (
    *("play", "playing", "played", "plays", "play it", "hear", "heard", "listen", "listen to"),
    *("emit", "hold", "go", "goes", "sound", "sounds", "sounding", "something", "pitch", "pitched"),
    *("tuned", "sound of", "sounds of", "the sound of", "a sound of", "recording of"),
    *("a recording of", "audio clip", "audio clip with", "clip of", "clip with", "a clip with"),
    *("an audio clip with", "audio of", "record", "write", "synthesize", "synthesise", "they"),
    *("they are", "it", "whose", "of them", "them", "each", "kind", "type", "count", "length"),
    *("duration", "direction", "rate", "frequency", "number", "speed", "register", "range"),
    *("in the", "come", "comes", "coming", "again", "pause", "a pause", "a short pause"),
    *("short pause", "silence", "a gap", "gap", "a silence", "short silence"),
    *("a moment of silence", "with silence between them", "with pauses", "with a gap between them"),
    *("with a pause in between", "with silence in between", "with a pause between"),
    *("with short pauses", "in a row", "in sequence", "in succession", "one after another"),
    *("one after the other", "in that order", "in this order", "alone", "once", "by itself"),
    *("on its own", "nothing else", "only", "will do", "some kind of", "repeat", "repeated"),
    *("in a series", "series of", "a series of", "clear", "sequence of", "a sequence of", "done"),
    *("it should be", "lovely", "in pitch", "in", "at", "a clip of", "a sound clip of"),
    *("sound clip of", "how", "an audio clip of", "audio clip of", "like a siren", "then silence"),
    *("and then silence", "followed by silence", "then nothing", "and nothing else", "smooth"),
    *("smoothly", "gradually", "steadily", "would be lovely", "any", "some"),
    *("another", "a different"),
)


FIELDS = {"pitch": "p", "length": "l", "level": "v"}
"""Fields of an event and their marks."""


def _phrases() -> dict[str, Sequence[Word]]:
    found = said("", *FILLERS, *wordings.PAUSED, *_SILENT)
    for mark, texts in _OTHERS.items():
        found |= said(mark, *texts)
    for table in (ADJECTIVES, RARE_ADJECTIVES, RARE_TAILS, _FIELDS_TOO):
        for field, mark in FIELDS.items():
            found |= said_by(mark, table[field])
    found |= said_by("d", wordings.BEFORE_SWEEPS, wordings.ALONE, wordings.READ_BEHIND_SWEEPS)
    found |= said_by("d", _DIRECTIONS_TOO) | said_by("w", _WAYS)
    found |= said("t", *_TREMBLING, value=True) | said_by("s", _SPEEDS)
    kinds = {kind: words for kind, words in NOUNS.items() if kind not in _DIRECTIONS_TOO}
    found |= said_by("N", RARE_NOUNS, kinds, _NOUNS_TOO)
    found |= said_by("N", {noun: (noun,) for noun in IMPLIED if noun[-1] != "s"})
    found |= said("N", "humming", "humming tone", value="hum")
    found |= said_by("P", PLURALS, RARE_PLURALS, _PLURALS_TOO)
    found |= said_by("n", {count: (words,) for count, words in enumerate(NUMBERS, 1) if count > 1})
    found |= said_by("n", {count: (str(count),) for count in range(1, len(NUMBERS) + 1)})
    return found | said_by("n", RARE_NUMBERS, _NUMBERS_TOO) | said_by("x", TIMES, _TIMES_TOO)


READER = Reader(_phrases())
