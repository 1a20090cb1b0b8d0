"""The synthetic multi-view world: solids of two colours, from any side at any size.

What is drawn depends on the caption and the cameras; only the scale is left to chance. It does not
judge views: oracle.py does, and shares only the grammar with this file.
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch

from lumina_core.media.worlds.caption_worlds import CaptionWorld
from lumina_core.media.worlds.captions import pick
from lumina_multiview import grammar, nearest, oracle
from lumina_multiview.picture_reading import Pictures
from lumina_multiview.renderer import draw_view

SCALES = (0.9, 1.05)

_SIZES = ((32, 32), (40, 40), (48, 48), (32, 48), (48, 32), (32, 40), (40, 32))
_VIEWS = (4, 5, 6, 8)
_ELEVATIONS = (10.0, 20.0, 30.0)
_LIST_SEED = 6  # of scattered azimuths in training; evaluation draws from others


@runtime_checkable
class Cameras(Protocol):
    """The options of an object that drawing and judging read."""

    height: int
    """Pixels."""
    width: int
    """Pixels."""

    @property
    def angles(self) -> tuple[float, ...]:
        """Azimuth of each view, degrees."""
        ...

    @property
    def elevations(self) -> tuple[float, ...]:
        """Elevation of each view, degrees."""
        ...


def _even(sizes: Sequence[tuple[int, int]], counts: Sequence[int]) -> tuple[dict[str, Any], ...]:
    """Even views at every size and number, their elevations in turn."""
    found = [(height, width, views) for views in counts for height, width in sizes]
    return tuple(
        {"height": h, "width": w, "views": views, "elevation": _ELEVATIONS[i % len(_ELEVATIONS)]}
        for i, (h, w, views) in enumerate(found)
    )


def _scattered(
    sizes: Sequence[tuple[int, int]], counts: Sequence[int], number: int, seed: int
) -> tuple[dict[str, Any], ...]:
    """Views at any whole degrees, in any order."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for index in range(number):
        height, width = sizes[index % len(sizes)]
        azimuths = torch.randint(0, 360, (pick(counts, generator),), generator=generator)
        elevation = pick(_ELEVATIONS, generator)
        options = {"height": height, "width": width, "elevation": elevation}
        found.append(options | {"azimuths": tuple(map(float, azimuths.tolist()))})
    return tuple(found)


def _trained() -> tuple[dict[str, Any], ...]:
    even = _even(_SIZES, _VIEWS)
    return (*even, *even, *_scattered(_SIZES, _VIEWS, 2 * len(even), _LIST_SEED))


_VARIANTS = {
    "trained": _trained(),
    "held_out": _even(_SIZES, _VIEWS),
    "unseen_views": _even(((32, 32), (40, 40), (48, 48)), (12, 16)),
    "unseen_azimuths": _scattered(_SIZES, (4, 6, 8), 40, _LIST_SEED + 1),
}
"""Half of training has uneven azimuths: with even ones alone a network counts views instead of
looking at their cameras (docs/inside/log.md)."""


class MultiviewWorld(CaptionWorld):
    """Captions, the views they describe, and the verdict on what claims to be some."""

    name, version = "multi-view", "1"
    grammar, words = grammar, nearest
    split_variants = _VARIANTS

    def is_caption(self, words: str) -> bool:
        """As in CaptionWorld; spoken words have no hyphen, and "l-shape" is one."""
        return super().is_caption(words.replace("l shape", "l-shape"))

    def draw(self, caption: str, options: Cameras, generator: torch.Generator) -> Pictures:
        """Draw what the caption says from where the options say."""
        scene = grammar.parse(caption)
        low, high = SCALES
        scale = low + (high - low) * torch.rand((), generator=generator).item()
        size = options.height, options.width
        views = [
            draw_view(scene.shape, scene.task, scene.colours, scale=scale, size=size, camera=camera)
            for camera in zip(options.angles, options.elevations, strict=True)
        ]
        return torch.stack(views)

    def judge(self, media: Pictures, caption: str, options: Cameras) -> dict[str, bool]:
        """The verdict of the oracle on views from these cameras."""
        return oracle.judge(media, caption, options.angles, options.elevations)
