"""The synthetic video world: clips drawn on the fly at any size and length, from a caption alone.

What happens spans the whole clip, whatever its length: frame i of n shows the moment (i + 0.5) / n.
Where things are then says paths.py. It does not judge clips: oracle.py does, and shares only the
grammar with this file.
"""

import math
from dataclasses import replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import UInt8
from torch import Tensor

from lumina_core.media.worlds.caption_worlds import UNSEEN_WORDINGS, CaptionWorld
from lumina_core.media.worlds.captions import pick
from lumina_core.media.worlds.drawing import BACKGROUND_PALETTE, PALETTE, paint, rgb
from lumina_core.media.worlds.words import FREE_BACKGROUNDS, free_colours
from lumina_video import grammar, nearest
from lumina_video.motions import DIRECTIONS, TURN
from lumina_video.paths import poses_of
from lumina_video.scenes import HELD_OUT_MOTIONS, Scene, Thing, turning_of

TASK_WEIGHTS = {
    "motion": 0.18,
    "growth": 0.1,
    "colour_change": 0.1,
    "two_motions": 0.18,
    "passing": 0.12,
    "order": 0.16,
    "two_ways": 0.16,
}
"""The hard ones more often: two things, or one after another."""

FREE_COLOURS = ("red", "green", "blue", "yellow", "white")
"""Those of things whose caption names no colour. Nothing but the noise says which one it is, so all
frames have to settle on one at once: few that are far apart run together less."""

CHANGE, HALF = (0.4, 0.6), 0.5  # of the clip: when one colour turns into the other
MIN_SEEN = 100  # in RGB, between a thing and its background: two named colours are 107 apart
Colour = tuple[int, int, int]

_TRAINED_SIZES = tuple((side, side) for side in (32, 40, 48, 56)) + tuple(
    size
    for short, long in ((32, 48), (40, 56), (32, 64), (32, 72), (32, 80))
    for size in ((short, long), (long, short))
)
_TRAINED_FRAMES = (4, 6, 8, 10, 12)
_RATES = (6.0, 8.0, 12.0)  # frames per second, in turn


def _variants(
    sizes: tuple[tuple[int, int], ...], lengths: tuple[int, ...]
) -> tuple[dict[str, int | float], ...]:
    """Every size at every length, at one rate each."""
    found = [
        {"height": height, "width": width, "frames": frames}
        for height, width in sizes
        for frames in lengths
    ]
    return tuple(
        variant | {"fps": _RATES[index % len(_RATES)]} for index, variant in enumerate(found)
    )


_VARIANTS = {
    "trained": _variants(_TRAINED_SIZES, _TRAINED_FRAMES),
    "held_out": _variants(_TRAINED_SIZES, _TRAINED_FRAMES),
    UNSEEN_WORDINGS: _variants(_TRAINED_SIZES, _TRAINED_FRAMES),
    "unseen_lengths": _variants(((32, 32), (40, 40), (48, 48)), (24,)),
    "unseen_aspects": _variants(((32, 96), (96, 32)), (8, 10)),
}


@runtime_checkable
class Canvas(Protocol):
    """The options of a clip that drawing reads, in pixels and frames."""

    height: int
    width: int

    @property
    def num_frames(self) -> int:
        """Frames of the clip."""
        ...


class VideoWorld(CaptionWorld):
    """Captions, the clips they describe, and the verdict on what claims to be one."""

    name, version = "video", "3"
    grammar, words = grammar, nearest
    split_variants, weights = _VARIANTS, TASK_WEIGHTS

    def draw(
        self, caption: str, options: Canvas, generator: torch.Generator
    ) -> UInt8[Tensor, "frame 3 height width"]:
        """A clip that shows the caption, with chance colours and ways where it names none."""
        scene = grammar.parse(caption)
        height, width, count = options.height, options.width, options.num_frames
        background = BACKGROUND_PALETTE[scene.background or pick(FREE_BACKGROUNDS, generator)]
        colours = _colours(scene, generator)
        moments = [(index + 0.5) / count for index in range(count)]
        poses = poses_of(_told(scene, generator), height, width, moments, generator)
        clip = rgb(background).expand(count, 3, height, width).clone()
        for frame, moment, shown in zip(clip, moments, poses, strict=True):
            for number, (thing, colour, pose) in enumerate(
                zip(scene.things, colours, shown, strict=True)
            ):
                now = PALETTE[colour]
                if scene.new_colour and number == turning_of(scene):
                    share = _share_of_turn(thing, moment)
                    now = _changing(now, PALETTE[scene.new_colour], background, share)
                paint(frame, thing.shape, now, (pose.row, pose.column), pose.radius)
        return clip.round().to(torch.uint8)

    def judge(
        self, media: UInt8[Tensor, "frame 3 height width"], caption: str, options: object
    ) -> dict[str, bool]:
        """The verdict of the oracle; a clip says all itself."""
        from lumina_video import oracle

        return oracle.judge(media, caption)


def _colours(scene: Scene, generator: torch.Generator) -> list[str]:
    """A colour for each thing; one that is free differs from all that are there or come."""
    found: list[str] = []
    taken = {scene.new_colour, *(thing.colour for thing in scene.things)}
    for thing in scene.things:
        free = [
            colour
            for colour in free_colours(thing.shape, scene.background)
            if colour in FREE_COLOURS and colour not in taken
        ]
        found.append(thing.colour or pick(free, generator))
        taken.add(found[-1])
    return found


def _told(scene: Scene, generator: torch.Generator) -> Scene:
    """The scene with a direction for what passes; none that is held out."""
    first, *others = scene.things
    if scene.task != "passing" or first.motions:
        return scene
    free = [way for way in DIRECTIONS if (first.shape, way) not in HELD_OUT_MOTIONS]
    return replace(scene, things=(replace(first, motions=(pick(free, generator),)), *others))


def _share_of_turn(thing: Thing, moment: float) -> float:
    """Where in its time a change of colour is: in half of the clip where it is one of two."""
    if len(thing.motions) < 2:
        return moment
    return 2 * moment - thing.motions.index(TURN)


def _changing(before: Colour, after: Colour, background: Colour, moment: float) -> Colour:
    """The colour in between; where it would hardly be seen, the change takes no time."""
    start, end = CHANGE
    share = min(1.0, max(0.0, (moment - start) / (end - start)))
    red, green, blue = (round(a + share * (b - a)) for a, b in zip(before, after, strict=True))
    if math.dist((red, green, blue), background) < MIN_SEEN:
        return before if share < HALF else after
    return red, green, blue
