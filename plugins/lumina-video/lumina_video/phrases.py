"""The words of people for what things do in a clip, as marks for reading.py. None is ever drawn."""

import re
from functools import cache

from lumina_core.media.worlds.captions import join
from lumina_core.media.worlds.naming import PHRASES, SPELT
from lumina_core.media.worlds.phrases import Reader, said
from lumina_video.motions import DOING, MORE_OF, MOTION_OF, WAY_OF

_VERBS = (
    *("move", "slide", "go", "travel", "drift", "float", "glide", "head", "fly", "run", "roll"),
    *("wander", "shift", "walk", "come", "rush", "speed", "race", "swim", "creep", "crawl"),
    *("shoot", "drive", "march", "stroll", "sail", "cruise", "dash", "push", "drag", "pull"),
    *("send", "bring", "carry", "proceed", "advance", "progress", "journey", "slip", "zoom"),
    *(
        "step",
        "stride",
        "enter",
        "arrive",
        "hurry",
        "sneak",
        "scoot",
        "sweep",
        "migrate",
        "shove",
        "steer",
        "leave",
    ),
    *("make its way", "find its way", "make a movement", "make movement", "exit", "wind"),
)
_DIRECTED = {
    "up": ("rise", "climb", "ascend", "soar", "lift", "raise", "take off", "levitate", "lift off"),
    "down": ("fall", "drop", "sink", "descend", "plunge", "lower", "plummet", "tumble", "dive"),
}
_GROWING = {
    "grow": (
        *(
            "grow",
            "expand",
            "swell",
            "enlarge",
            "inflate",
            "increase",
            "scale up",
            "blow up",
            "swell up",
            "expand outwards",
        ),
        *("increase in size", "expand in size", "grow in size", "magnify", "puff up", "widen"),
    ),
    "shrink": (
        *("shrink", "contract", "deflate", "decrease", "reduce", "diminish", "dwindle"),
        *(
            "decrease in size",
            "reduce in size",
            "shrink in size",
            "scale down",
            "lose size",
            "lessen",
            "shrink down",
        ),
    ),
}
_PASSING = ("pass", "overtake", "pass by", "outrun")
_TURNING = (
    *("turn", "change", "fade", "switch", "transition", "transform", "morph", "evolve"),
    *("recolour", "recolor", "blend", "convert", "develop", "alter", "swap", "flip"),
)
_GETTING = ("get", "become", "end up", "end", "wind up", "make itself")
_PAST = {
    **{"go": "went", "rise": "rose", "grow": "grew", "shrink": "shrunk", "become": "become"},
    **{"get": "got", "fall": "fallen", "come": "came", "fly": "flown", "run": "run"},
    **{"swell": "swollen", "sink": "sunk", "pass": "passed", "drop": "dropped"},
}


def _forms(verb: str) -> tuple[str, ...]:
    """A verb as in "to grow", "it grows", "growing" and "it has grown"."""
    first, *others = verb.split()
    is_hissed = first.endswith(("s", "sh", "ch", "o", "x"))
    finite = first[:-1] + "ies" if re.search("[^aeo]y$", first) else first + "es" * is_hissed
    finite += "s" if finite == first else ""
    stem = first[:-1] if first.endswith("e") else first
    doubled = stem + stem[-1] if re.search("[^aeiou][aeiou][tpgmn]$", stem) else stem
    past = _PAST.get(first, stem + "ed")
    return tuple(
        dict.fromkeys(
            join(form, *others) for form in (first, finite, doubled + "ing", stem + "ing", past)
        )
    )


def _any(*verbs: str) -> str:
    return f"({'|'.join(dict.fromkeys(form for verb in verbs for form in _forms(verb)))})"


_WAYS = {
    "left": (
        "(left|leftward|leftwards|westward)",
        "(to|towards|toward|into|off to|away to|over to) (the |) left",
        "(to|towards|toward|off to|away to|over to) (the |) left (side|edge|border|hand side)",
        "(in from|from|starting from|starting at) (the |) right (side|edge|hand side|)",
        "right to left",
        "in the left direction",
        "(in a |) leftward direction",
        "(from|starting at) (the |) right (side|edge|) (to|and to) (the |) left( side| edge|)",
    ),
    "right": (
        "(right|rightward|rightwards|eastward)",
        "(to|towards|toward|into|off to|away to|over to) (the |) right",
        "(to|towards|toward|off to|away to|over to) (the |) right (side|edge|border|hand side)",
        "(in from|from|starting from|starting at) (the |) left (side|edge|hand side|)",
        "left to right",
        "in the right direction",
        "(in a |) rightward direction",
        "(from|starting at) (the |) left (side|edge|) (to|and to) (the |) right( side| edge|)",
    ),
    "up": (
        "(up|upward|upwards|skyward|up high|up and up|up up)",
        "(up |)(to|towards|toward|into) (the |) (top|sky|ceiling|upper edge|top edge)",
        "(up |)(into) the air",
        "(from|starting from|starting at) (the |) (bottom|ground|floor)( edge|)",
        "(from|starting from|starting at) (the |) bottom (to|and to) (the |) top",
        "(from below|bottom to top)",
    ),
    "down": (
        "(down|downward|downwards|down and down|down down|down down down)",
        "(down |)(to|towards|toward|on|onto) (the |) (bottom|ground|floor|lower edge|bottom edge)",
        "(from|starting from|starting at) (the |) (top|sky|ceiling)( edge|)",
        "(from|starting from|starting at) (the |) top (to|and to) (the |) bottom",
        "(from above|top to bottom)",
    ),
}
_STILL = (
    "(never|never ever) (move|moves|moving|change|changes)( at all|)",
    "(do|does|is|are|s|) (not|n t) (move|moving|change|changing)( at all|)",
    "(do|does|is|are|s|) (not|n t) (do|doing) anything( at all|)",
    "(don t|doesn t|isn t|aren t) (move|moving|do anything|doing anything)( at all|)",
    "(doing|does|do) (nothing|nothing at all|absolutely nothing)",
    "(stand|stands|standing|stay|stays|staying|remain|remains|remaining|sit|sits|sitting) "
    "(still|there|motionless|in place|put|in one place|where it is|in the same place|at rest)",
    "(keep|keeps|keeping|hold|holds|holding|lie|lies|lying|rest|rests|resting|be|being) "
    "(still|there|motionless|in place|put|at rest|static|stationary)",
    "(stay|stays|staying|remain|remains|remaining) (static|stationary|fixed|unmoved|the same)",
    "(stand|stands|standing|stay|stays|staying|remain|remains|remaining) where (it was|they are)",
    "(at rest|static|stationary|motionless|unmoving|immobile|still|frozen|fixed|resting|idle)",
    "(no|without|without any) (motion|movement|moving)",
    "(stay|stays|staying|rest|rests|resting|stand|stands|standing|waits|waiting)",
)
PLAIN = {motion: words[0] for motion, words in DOING.items()}
"""The plainest words of each motion, which the mark "M" means."""
_SAID = {
    "m": (_any(*_VERBS), "(cross|crosses|crossing) the (screen|picture|frame|image|scene)"),
    "z": (
        f"{_any(*_TURNING)}( its colour| its color| the colour| the color| colour| color|)",
        "(colour|color) (change|changes|changing|switches|turns|transition)",
        "(whose|its) (colour|color) (turns|changes|switches|fades|goes|becomes|shifts)",
    ),
    "l": (_any(*_GETTING), "to get"),
    "t": ("(whose|with its|its) size",),
    "u": ("over",),
    "g": (_any(*_PASSING), f"{_any(*_VERBS)} (past|by)"),
    "&": (
        "(next to|beside|near|alongside|close to)( it|)",
        "(side by side with|by the side of)( it|)",
    ),
    "S": ("(so does|so do|so is|so are)",),
    "V": ("(is |gets |being |getting |) (passed|overtaken) by",),
    "v": ("(past|by|and past|and by)",),
    "F": ("from( being|)",),
    "2": ("(to|into|to being|towards)", "(until it is|so that it is|till it is)"),
    ">": (">",),
    "Z": (
        "(then|after that|afterwards|afterward|later|next|finally|subsequently|thereafter)",
        "(after which|followed by|later on|at last|eventually|in the end|at the end)",
        "(and in the end|and finally|and eventually|and next|and later|and afterwards)",
        "(and |)(stops|stop|finishes|stops being|ends up) and",
        "and then",
    ),
    "<": ("(after|once|as soon as|after having|when|having)",),
    "L": ("(before|prior to|until just before)",),
    "Y": (
        "(while|as|whereas|meanwhile|at the same time|simultaneously|whilst|during which)",
        "and (meanwhile|simultaneously|at the same time)",
    ),
    "f": (
        "(first|at first|initially|in the beginning|at the beginning|at the start|first of)",
        "to (start|begin) with",
    ),
    "": (
        "(will|shall|should|starts to|begins to|start to|begin to|is going to|has to|must)",
        "(starts|begins|started|starting|beginning|keeps|keeps on|continues to)",
        "(has finished|finished|has|have|had|is done|is done with|finishes|does|do|did)",
        "(let|make|makes|have|keep|animate|film|start with|begin with|let s watch|watch)",
        "(the |)(motion|movement|action|direction|event|animation|behaviour)",
        "(slowly|quickly|gently|smoothly|steadily|fast|gradually|rapidly|calmly|softly|slow)",
        "(swiftly|lazily|suddenly|slightly|constantly|continuously|directly|immediately)",
        "(back|away|off|straight|along|quick|bit by bit|little by little|over time|a bit)",
        "(more and more|quietly|happily|carefully|speedily|once more|on its way|around)",
        "(all the time|the whole time|all the way|right away)",
        "at (full|high|low|great|top|slow|constant) speed",
        "(in|across|through|over|on|of|inside|within|into) (the |my |) (whole |entire |)"
        "(screen|picture|frame|video|clip|image|scene|view|middle|centre|center)",
        "(appears|appear|how|there|here|see how|showing how|where|in which|happens|happen)",
        "like a (balloon|rocket|stone|feather|leaf|cloud|bubble|snail|bird|plane|car|ball)",
    ),
}
"""Other words by their marks; those of "" say nothing."""


@cache
def reader() -> Reader:
    """What each word may do. Made when a text needs it."""
    found = dict(PHRASES)
    for words, motion in MOTION_OF.items():
        if words not in WAY_OF and words not in MORE_OF:
            found |= said("M", words, value=PLAIN[motion])
    for mark, texts in _SAID.items():
        found |= said(mark, *texts)
    for way, texts in _WAYS.items():
        found |= said("w", *texts, value=way)
    for several in (_DIRECTED, _GROWING):
        for motion, verbs in several.items():
            found |= said("M", _any(*verbs), value=PLAIN[motion])
    return Reader(found | said("M", *_STILL, value=PLAIN["still"]), SPELT)
