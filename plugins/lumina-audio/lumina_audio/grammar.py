"""The captions of the synthetic audio world: what sounds after what, as words, and back.

With scene.py, event_words.py and wordings.py all that the renderer and the oracle share. Each
wording parses back to exactly the scene it was made from.
"""

import re
from dataclasses import replace

import torch

from lumina_audio.event_words import EVENT, RARE, event_of, worded
from lumina_audio.loose_texts import told_by
from lumina_audio.scene import (
    DIRECTIONS,
    KINDS,
    LENGTHS,
    LEVELS,
    MAX_EVENTS,
    PITCHES,
    REPEATED,
    TONAL,
    TREMBLING,
    TREMOLOS,
    Event,
    Scene,
    is_held_out,
    is_possible,
    max_count,
    max_long,
)
from lumina_audio.wordings import FILLERS, written
from lumina_core import LuminaError
from lumina_core.media.worlds.captions import chance, one_of, pick
from lumina_core.media.worlds.lexicon import spoken
from lumina_core.media.worlds.wordings import Wordings, words_in

__all__ = [
    "HELD_OUT_TASKS",
    "TASKS",
    "caption_of",
    "is_drawn",
    "is_held_out",
    "parse",
    "sentence_read",
    "vocabulary",
]

HELD_OUT_TASKS = ("counting", "length", "tremolo", "loudness", "order", "dynamics", "sequence")
"""The others name one thing only, so that no combination can be held out."""
TASKS = ("pitch", "sweep", *HELD_OUT_TASKS)

PLAIN = 0.5  # share of the captions that say it in the fewest and plainest words
PITCH_NAMED, OTHER_PITCH_NAMED, LENGTH_NAMED = 0.85, 0.3, 0.5
"""Shares of the captions that say it where they need not; the rest leaves it to the renderer."""
SHAPED = 0.5  # share of the captions of a level that say a number or a length, too
SAME_KIND = 0.5  # share of the two events of different levels that are the same otherwise
LEVEL_NAMED = 0.25  # of each of three events, and of what trembles
_CHANGES = (*[("soft", "loud"), ("loud", "soft")] * 3, *[(None, level) for level in LEVELS])
_CHANGES += tuple((level, None) for level in LEVELS)

_OPENINGS = (
    *["the sound of", "a recording of"] * 2,
    *("a sound of", "play", "please play", "i hear"),
    *("i want to hear", "there is", "make", "make me", "give me", "create", "can i hear"),
)
_RARE_OPENINGS = (
    *("the sound of", "a clip of", "a sound clip of", "audio of", "a clip with", "sound of"),
    *("i would like", "i would like to hear", "i d like to hear", "we hear", "you hear", "draw"),
    *("generate", "produce", "write", "give me the sound of", "make the sound of", "play me"),
    *("can you play", "could you play", "can you make", "play the sound of", "make a sound of"),
    *("there should be", "it is", "this is", "let there be", "create the sound of", "record"),
    *("could i hear", "we want to hear", "let us hear", "an audio clip of", "render", "i need"),
    *("a sound that is", "synthesize", "can you give me", "i am hearing", "you can hear"),
)
_ASKED = "(?:can|could|may) (?:i|we) (?:please )?(?:have|get)"
_OPENED = 0.5  # share of the captions with an opening, of those that are not plain
_NUMBER_OF = {1: "one", 2: "two", 3: "three"}
_SLOTS = ("first", "second", "third")
_LISTED = {"second": "listed", "third": "last"}
"""Slots for events without a word before them, whose words therefore begin with an article."""
_EVENT_SLOTS = dict.fromkeys(_SLOTS, "[@#][1-3]") | {"listed": "#2", "last": "#3"}
"""What stands for an event in a text: its number, behind # where its words have an article."""
_BEGIN = "(start|begin|starting|beginning|it starts|it begins) with {first}"
_RARE = {
    "one": (
        "{opening}{first} (on its own|alone|by itself|and nothing else|once)",
        "{opening}{first} (then|followed by|and then|and after that) (silence|nothing)",
        "{first} (can be heard|is heard|is playing|plays|sounds)",
        "(the|this) sound is {first}",
        "(you|we) (can )?hear {first}",
        "(draw|write|produce|generate|render) {first}",
    ),
    "two": (
        "{opening}{first} {listed}",
        "{opening}{first} {listed}",
        "{opening}{first} and {second} (after that|afterwards|after it|at the end)",
        "{opening}{first} with {second} (at the end|after it|following|following)",
        "{opening}{first} (and )?(afterwards|finally|later|later) {second}",
        "{opening}{first} (a pause|a short pause|silence|a gap) (and )?(then )?{second}",
        "{opening}{first} (then|followed by) (a pause|silence|a gap) (and )?(then )?{second}",
        "first {first} (second|after that|afterwards|next|finally) {second}",
        "first (comes|there is|you hear) {first} (then|and then|after that) {second}",
        "{opening}{first} (comes before|that comes before|just before) {second}",
        "{opening}{first} (first|comes first) (then|and then|and after that) {second}",
        "after {first} (comes|follows|you hear) {second}",
        "before {second} (comes|there is|you hear|play) {first}",
        "{opening}{second} (comes|that comes|which comes|played|just) after {first}",
        "{opening}{second} (preceded by|preceded by|but first|but first|that follows) {first}",
        _BEGIN + " (then|and then|followed by|and after that|and) {second}",
        _BEGIN + " (and )?(end|ends|ending) with {second}",
        "{opening}{first} (and then|then) (comes|there is|follows|it is) {second}",
    ),
    "three": (
        "{opening}{first} {listed} {last}",
        "{opening}{first} (then )?{second} (and )?(finally|at last|at last) {third}",
        "{opening}{first} followed by {second} (and )?(finally|then) {third}",
        "{opening}{first} and {second} (and|and then|then) {third}",
        "{opening}{first} after that {second} (and )?finally {third}",
        "{opening}{first} and then {second} (and then|then|followed by) {third}",
        "{opening}{first} then {second} followed by {third}",
        "{opening}{first} {second} and {third} in that order",
        "{opening}{second} between {first} and {third}",
        "first {first} (then|next|second|followed by) {second} (finally|third|third) {third}",
        "first {first} {second} (and|and then|then) {third}",
        _BEGIN
        + " (then|followed by|and then) {second} (and then|then|and|finally|and end with) {third}",
    ),
}
"""Sentences that are written less often."""
_ONE = (
    "{opening}{first}",
    "i want {first}",
    "let me hear {first}",
    "only {first}",
    "{opening}{first} please",
)
_TWO = (
    "{opening}{first} then {second}",
    "{opening}{first} followed by {second}",
    "{opening}{first} and then {second}",
    "{opening}{first} and {second}",
    "{opening}{first} and after that {second}",
    "{opening}{first} (and )?after (it|this) {second}",
    "{opening}{first} next {second}",
    "first {first} (then|and then) {second}",
    "{opening}{first} before {second}",
    "{opening}{second} after {first}",
)
_THREE = (
    "{opening}{first} then {second} then {third}",
    "{opening}{first} {second} and then {third}",
    "{opening}{first} {second} and {third}",
    "{opening}{first} {second} then {third}",
    "{opening}{first} followed by {second} and then {third}",
    "{opening}{first} followed by {second} followed by {third}",
    "{opening}{first} then {second} and {third}",
    "{opening}{first} then {second} and (then|after that) {third}",
    "first {first} then {second} (then|and then|next) {third}",
)
WORDINGS = Wordings(
    slots={"opening": f"(?:{one_of((*_OPENINGS, *_RARE_OPENINGS, _ASKED))} )?"} | _EVENT_SLOTS,
    trained={
        "one": (*_ONE * 3, *_RARE["one"]),
        "two": (*_TWO * 5, *_RARE["two"]),
        "three": (*_THREE * 2, *_RARE["three"]),
    },
    unseen={
        "one": (
            "please make {first}",
            "please give me the sound of {first}",
            "let me hear a recording of {first}",
            "i hear only {first}",
        ),
        "two": (
            "first {first} and after that {second}",
            "after {first} (i hear|there is|play) {second}",
            "{opening}{first} after that {second}",
            "{opening}{first} and next {second}",
        ),
        "three": (
            "first {first} and then {second} and after that {third}",
            "{opening}{first} next {second} next {third}",
            "{opening}{first} and {second} followed by {third}",
            "first {first} after that {second} and then {third}",
        ),
        "two, read only": (
            "{opening}{first} (and )?which is followed by {second}",
            "{opening}{second} (coming|right) after {first}",
            "{opening}{second} which follows {first}",
            "{opening}{first} with {second} afterwards",
            _BEGIN + " (and )?(finish|finishing|finishes) with {second}",
        ),
        "three, read only": (
            "first {first} (then|next|second|followed by) {second} and finally {third}",
            "{opening}{first} (then )?{second} (and )?lastly {third}",
            "{opening}{first} followed by {second} (and )?lastly {third}",
        ),
    },
)


def parse(caption: str) -> Scene:
    """As in `Grammar`."""
    if scene := sentence_read(caption):
        return scene
    events = told_by(caption) or ()
    if events and is_possible(events):
        return Scene(_task_of(events), events)
    raise LuminaError(
        f"{caption!r} is no caption of the audio world, which knows one to four beeps and "
        "noise bursts, short or up to three long, tones and chords (with slow or fast tremolo), "
        "rising and falling sweeps, low, middle or high, soft or loud, and two or three one after "
        "another (of two, up to three beeps or bursts each, five sounds in all); write, say, "
        "'two short high beeps, then a falling sweep'."
    )


def sentence_read(caption: str) -> Scene | None:
    """As in `Grammar`."""
    words = spoken(caption)
    unfilled = " ".join(word for word in words.split() if word not in FILLERS)
    for text in dict.fromkeys((words, unfilled)):
        said: list[str] = []

        def marked(found: re.Match[str], said: list[str] = said) -> str:
            said.append(found[0])
            return f"{'#' if found['number'] else '@'}{len(said)}"

        for reading in WORDINGS.readings(EVENT.sub(marked, text)):
            slots = [{name, _LISTED.get(name)} & reading.texts.keys() for name in _SLOTS]
            marks = [reading.texts[slot.pop()] for slot in slots if slot]
            if events := _events_of([said[int(mark[1]) - 1] for mark in marks]):
                return Scene(_task_of(events), events)
    return None


def _events_of(texts: list[str]) -> tuple[Event, ...]:
    """None where one of them means nothing, or there is no such scene."""
    events: list[Event] = []
    for text in texts:
        event = event_of(text, events[-1] if events else None)
        if event is None:
            return ()
        events.append(event)
    return tuple(events) if is_possible(tuple(events)) else ()


def _task_of(events: tuple[Event, ...]) -> str:
    event = events[0]
    if len(events) > 1:
        has_level = any(one.level for one in events)
        return "sequence" if len(events) > 2 else "dynamics" if has_level else "order"
    for task, value in (
        ("tremolo", event.tremolo),
        ("loudness", event.level),
        ("sweep", event.direction),
        ("length", event.length and event.count == 1),
    ):
        if value:
            return task
    return "counting" if event.kind in REPEATED else "pitch"


def caption_of(scene: Scene, generator: torch.Generator | None, unseen: bool = False) -> str:
    """As in `Grammar`. PLAIN of the captions are what it says without a generator."""
    if generator is not None and not unseen and chance(PLAIN, generator):
        generator = None
    before = (None, *scene.events)
    texts = {}
    for slot, event, previous in zip(_SLOTS, scene.events, before, strict=False):
        texts[slot] = worded(event, previous, generator)
        if slot in _LISTED:
            texts[_LISTED[slot]] = _with_article(event, previous, generator)
    if len(scene.events) > 2:
        texts["second"] = texts["listed"]
    is_opened = generator is not None and chance(_OPENED, generator)
    is_rare = generator is not None and chance(RARE, generator)
    openings = _RARE_OPENINGS if is_rare else _OPENINGS
    texts["opening"] = pick(openings, generator) + " " if is_opened else ""
    return WORDINGS.worded(_NUMBER_OF[len(scene.events)], texts, generator, unseen)


def _with_article(event: Event, before: Event, generator: torch.Generator | None) -> str:
    while True:  # most events have an article or a number
        words = worded(event, before, generator)
        if (found := EVENT.fullmatch(words)) and found["number"]:
            return words


def vocabulary() -> frozenset[str]:
    """As in `Grammar`."""
    return words_in((*_OPENINGS, *_RARE_OPENINGS, *WORDINGS.written(), *written()))


def is_drawn(scene: Scene) -> bool:
    """As in `Grammar`: all that is read is drawn."""
    return is_possible(scene.events)


def sample_any(generator: torch.Generator, task: str) -> Scene:
    """As in `Grammar`."""
    while True:
        events = _sample_events(generator, task)
        if is_possible(events):
            return Scene(task, events)


def _sample_events(generator: torch.Generator, task: str) -> tuple[Event, ...]:
    if task == "sequence":
        events = (_sample(generator, 3) for _ in range(3))
        return tuple(_at_some_level(event, LEVEL_NAMED, generator) for event in events)
    if task == "order":
        return _sample(generator, 2), _sample(generator, 2)
    if task == "dynamics":
        return _sample_dynamics(generator)
    if task == "loudness":
        is_shaped = chance(SHAPED, generator)
        event = _sample(generator, 1 if is_shaped else MAX_EVENTS, length_named=SHAPED * is_shaped)
        return (_at_some_level(event, 1.0, generator),)
    if task == "tremolo":
        event = _sample(generator, 1, pick(TREMBLING, generator))
        event = replace(event, tremolo=pick(TREMOLOS, generator))
        return (_at_some_level(event, LEVEL_NAMED, generator),)
    if task == "counting":
        event = _sample(generator, 1, pick(REPEATED, generator))
        return (replace(event, length=event.length if event.count > 1 else None),)
    if task == "length":
        return (_sample(generator, MAX_EVENTS, pick(REPEATED, generator), length_named=1.0),)
    kind = "sweep" if task == "sweep" else pick(("tone", "chord"), generator)
    return (_sample(generator, 1, kind),)


def _sample_dynamics(generator: torch.Generator) -> tuple[Event, ...]:
    """Two events of different levels, often the same otherwise; one may leave it open."""
    first = _sample(generator, 2)
    second = first if chance(SAME_KIND, generator) else _sample(generator, 2)
    levels = pick(_CHANGES, generator)
    return replace(first, level=levels[0]), replace(second, level=levels[1])


def _at_some_level(event: Event, named: float, generator: torch.Generator) -> Event:
    return replace(event, level=pick(LEVELS, generator)) if chance(named, generator) else event


def _sample(
    generator: torch.Generator,
    num_events: int,
    kind: str | None = None,
    length_named: float = LENGTH_NAMED,
) -> Event:
    """An event that a scene of so many may have, neither soft nor loud nor with tremolo."""
    kind = kind or pick(KINDS, generator)
    named = PITCH_NAMED if kind in TONAL else OTHER_PITCH_NAMED
    pitch = pick(PITCHES, generator) if chance(named, generator) else None
    if kind == "sweep":
        return Event(kind, pitch, pick(DIRECTIONS, generator))
    if kind not in REPEATED:
        return Event(kind, pitch)
    count = 1 + int(torch.randint(max_count(num_events), (), generator=generator))
    lengths = LENGTHS if count <= max_long(num_events) else LENGTHS[:1]
    length = pick(lengths, generator) if chance(length_named, generator) else None
    return Event(kind, pitch, count=count, length=length)
