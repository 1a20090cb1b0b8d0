"""A tolerant reader of the image world: what people type that is none of its sentences.

It reads a text only if it understands every word, and if nothing is open.
"""

from functools import cache

from lumina_core.media.worlds.marks import Part, Word, facts_of
from lumina_core.media.worlds.naming import PHRASES, SPELT
from lumina_core.media.worlds.phrases import Reader, said
from lumina_core.media.worlds.things import Named, told, with_plus, with_things, without_background

from .scenes import MAX_COUNT, MAX_RELATED, MAX_THINGS, Scene, Thing, scene_of
from .wordings import RELATION_WORDS

_ITS = "(its|his|her|their)"
_SIDES = {
    "left": "(left|to the left|on the left|at the left|on left|at left|in the left half)",
    "right": (
        "(right|to the right|on the right|at the right|on right|at right|in the right half"
        "|right half)"
    ),
    "above": (
        "(at the top|on top|on the top|up top|top|at top|in the upper half|in the top half|top half"
        "|upper half|above|higher up|up|further up|up above|overhead|at the upper end)"
    ),
    "below": (
        "(at the bottom|on the bottom|bottom|at bottom|in the lower half|in the bottom half|below"
        "|lower half|bottom half|underneath|lower down|down|further down|beneath|down below|under)"
    ),
}
_RELATIONS = {
    "left": (
        "(to|on|at|) (the|) (left|left hand|lefthand) (side |)(of|from)",
        "(directly |just |right |immediately |far |somewhere |)(to|on|at) the left (side |)of",
        "(at|in) left (of|from)",
        "left to",
    ),
    "right": (
        "(to|on|at|) (the|) (right|right hand|righthand) (side |)(of|from)",
        "(directly |just |immediately |far |somewhere |)(to|on|at) the right (side |)of",
        "(at|in) right (of|from)",
        "right to",
    ),
    "above": (
        "(directly |just |right |immediately |up |)(above|over|on top of|atop|upon|higher than)",
        "(on|at) the top (side |)of",
        "(sitting|standing|resting|placed|stacked) (on|upon)",
        "(sits|stands|rests) (on|upon)",
    ),
    "below": (
        "(directly |just |right |far |down |)(below|under|underneath|beneath|lower than)",
        "(on|at) the bottom (side |)of",
    ),
    "beside": (
        "(directly |just |right |immediately |)(next to|beside|by|close to|near|near to|alongside)",
        "(at|by) the side of",
        "(adjacent to|close by|side by side with|nearby|along side|alongside of)",
        "in the (vicinity|neighbourhood) of",
    ),
}
_NEAR = {  # with a pronoun or without: "to its right"
    "left": f"(to|on|at) {_ITS} (left|left side|left hand|left hand side)",
    "right": f"(to|on|at) {_ITS} (right|right side|right hand|right hand side)",
    "beside": f"(at|by) {_ITS} side",
}


_SAID = {
    "C": (
        "(in|at|right in|) the (very |exact |)(middle|centre|center)( of it|)",
        "(centered|centred|in the middle of everything|in center|in centre|in middle)",
    ),
    "q": (
        "(side by side|next to each other|beside each other|next to one another)",
        "(close together|near each other|close to each other|beside one another)",
    ),
    "b": (
        "(stands|sits|lies|rests|floats|hovers|hangs|stand|sit|lie|rest|float|hover|hang)",
        "(is |are |be |should be |)(standing|sitting|lying|resting|floating|hovering|hanging)",
        "(is |are |be |should be |)(placed|located|positioned|situated|drawn|shown|painted|found)",
        "(is |are |be |should be |)(perched|seen|arranged)",
        "(goes|comes|belongs|appears|is there|are there)",
    ),
    "": (
        "together",
        "(that|which) (do not|don t) (touch|overlap)",
        "(not touching|without touching)",
    ),
    ",": ("where", "(then|next|first|finally|lastly|second|third|secondly|thirdly)"),
    "&": ("(besides that|in addition|in addition to|next comes|together with|and there)",),
}
"""Other words by their marks; those of "" say nothing."""


@cache
def _reader() -> Reader:
    """What each word may do. Made when a text needs it."""
    found = dict(PHRASES)
    for mark, texts in _SAID.items():
        found |= said(mark, *texts)
    for relation, texts in _RELATIONS.items():
        found |= said("r", *texts, *RELATION_WORDS[relation], value=relation)
    for side, text in _SIDES.items():
        found |= said("d", text, value=side)
    for relation, text in _NEAR.items():
        found |= dict.fromkeys(said("r", text), (("r", relation), ("p", None)))
    for relation in ("above", "below"):  # "a star above"
        found |= said("r", *RELATION_WORDS[relation], value=relation)
    return Reader(found, SPELT)


_AND = "[,&t]*"
_CLAUSES = (
    ("[,&]*T(?:[,&]*T)*",),
    ("[,&]*p(?:[,&]+p)*|,*",),
    (",*",),
    (rf"{_AND}([Tp])[,t]*b?(r)([Tp])", "relation 123"),
    (rf"{_AND}(r)([Tp])[,&]*b?([Tp])", "relation 312"),
    (rf"{_AND}([Tp])[,&tb]+(r)(p)[,&]*b?(T)", "relation 423", "same 13"),
    (rf"{_AND}([Tp]){_AND}(T)[,t&]*b?(r)(p)", "relation 234", "same 14"),
    (rf"{_AND}(T),*(r)t(T)", "relation 321"),
    (rf"{_AND}([dr])([Tp])[,&]*(r)(p)b?(T)", "side 21", "relation 534"),
    (rf"{_AND}(p)&(T)[,t]*b?([dr])", "relation 231"),
    (rf"{_AND}(T){_AND}(T)b?q", "beside 12"),
    (rf"{_AND}q(T){_AND}(T)", "beside 12"),
    (rf"{_AND}([Tp])[,t]*b?(d)", "side 12"),
    (rf"{_AND}(d)[,]*b?([Tp])", "side 21"),
    (rf"{_AND}(T)[,&t]+(T)[,t]*b?([dr])", "side 23"),
    (rf"{_AND}(T)[,t]*b?(d)&(T)", "side 12"),
    (rf"{_AND}(T)(d)(T)", "side 12"),
    (rf"{_AND}(T)[,&]+(d)[,]*b?(T)", "side 32"),
    (rf"{_AND}(d)[,]*b?(T)[,&]*(T)", "side 21"),
    (rf"{_AND}([Tp])[,t]*b?([dr]){_AND}([Tp])[,t]*b?([dr])", "side 12", "side 34"),
    (rf"{_AND}(d)[,]*b?([Tp])[,&]*(d)[,]*b?([Tp])", "side 21", "side 43"),
)
"""What a part of a sentence says, by its marks: kind, and the groups that say it."""


def read(text: str) -> Scene | None:
    """The scene of a text in words of a person; None where a word is unknown or a meaning open."""
    words = _reader().read(text)
    split = words and without_background(with_plus(words))
    if not split:
        return None
    words, background = split
    story = told(with_things(words.rewritten("(d)([Q1])", _noun_first)))
    if story is None or not 1 <= len(story.things) <= MAX_THINGS:
        return None
    facts = facts_of(story.words.rewritten("C"), _CLAUSES)
    if facts is None:
        return None
    related = _related([fact for several in facts for fact in several])
    things = tuple(map(_thing_of, story.things))
    if related is None or None in things:
        return None
    relation, order = related or (None, range(len(things)))
    if relation and len(things) != 2:
        return None
    scene = scene_of(tuple(things[n] for n in order), relation, background)
    is_too_much = relation and max(thing.count for thing in scene.things) > MAX_RELATED
    is_off_centre = "C" in words.marks and scene.count > 1
    return None if is_too_much or is_off_centre or scene.count > MAX_COUNT else scene


def _noun_first(part: Part) -> list[Word]:
    """As in "the left object"."""
    return [*part.words(2), *part.words(1)]


def _thing_of(named: Named) -> Thing | None:
    if named.shape is None or named.count is None:
        return None
    return Thing(named.colour, named.shape, named.size, named.count)


def _related(facts: list[tuple]) -> tuple | None:
    """The one relation that facts say, as a name and the things in order.

    () where they say none, None where they say more than one.
    """
    found = {}  # by the same from left or above
    sides: dict[int, str] = {}
    for kind, *values in facts:
        if kind == "side":
            thing, side = values
            if thing > 1 or sides.setdefault(thing, side) != side:
                return None
        else:
            first, relation, second = (
                (*values[:1], "beside", *values[1:]) if kind == "beside" else values
            )
            found.setdefault(_from_left(relation, first, second), (relation, (first, second)))
    for thing, side in sides.items():
        relation = side, thing, 1 - thing
        found.setdefault(_from_left(*relation), (side, (thing, 1 - thing)))
    if len(found) > 1 or any(first == second for _, first, second in found):
        return None
    return next(iter(found.values()), ())


def _from_left(relation: str, first: int, second: int) -> tuple[str, int, int]:
    if relation in _MIRRORED:
        return _MIRRORED[relation], second, first
    return relation, first, second


_MIRRORED = {"right": "left", "below": "above"}
