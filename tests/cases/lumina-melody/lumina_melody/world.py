"""A small world: short melodies that a caption describes, and their judge.

The oracle (`judge`) shares only the words with the renderer (`draw`): it lists the notes it finds.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lumina_core import LuminaError, World
from lumina_core.media.worlds.captions import (
    check_split,
    join,
    pick,
    pick_two,
    plain_words,
    with_article,
)

LOW, NUM_PITCHES = 48, 36  # MIDI numbers: C3 to B5
COUNTS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6}
WAYS = {"rising": 1, "falling": -1}
SPEEDS = {"fast": 2, "slow": 4}  # steps from one note to the next
REGISTERS = {"low": 0, "middle": 1, "high": 2}  # octaves
ROOTS = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}  # pitch classes
THIRDS = {"major": 4, "minor": 3}  # semitones from the root
MAJOR_STEPS = (2, 2, 1, 2, 2)  # semitones between the notes of a scale
MAX_INTERVAL = 5  # semitones of a run
_VARIANTS: dict[str, tuple[Mapping[str, Any], ...]] = {
    "trained": ({"beats": 6}, {"beats": 8}, {"beats": 10}),
    "held_out": ({"beats": 8}, {"beats": 10}),
    "unseen_lengths": ({"beats": 14},),
}


class Told(NamedTuple):
    """What a caption tells; None and () where it tells nothing."""

    task: str
    count: int = 0
    way: str | None = None
    speed: str | None = None
    groups: tuple[tuple[int, str], ...] = ()  # how many notes of which register
    root: str | None = None
    register: str | None = None
    quality: str | None = None


HELD_OUT = frozenset(
    {
        Told("run", 4, "rising"),
        Told("run", 3, "falling"),
        Told("scale", 5, "falling", "slow"),
        Told("scale", 4, "rising", "fast"),
        Told("order", 3, groups=((1, "low"), (2, "high"))),
        Told("order", 3, groups=((2, "high"), (1, "middle"))),
        Told("chord", root="g", quality="minor"),
        Told("chord", root="d", quality="major"),
        Told("chord", register="high", quality="minor"),
    }
)


class MelodyWorld(World):
    """Captions, the melodies they describe, and the verdict on what claims to be one."""

    version = "1"
    splits = tuple(_VARIANTS)

    def tasks(self, split: str) -> tuple[str, ...]:
        """The tasks of a split."""
        check_split("melody", split, self.splits)
        return ("run", "order", "scale", "chord")

    def caption(self, split: str, generator: torch.Generator, task: str | None = None) -> str:
        """A random caption; only those of "held_out" name a combination that is held out."""
        task = task or pick(self.tasks(split), generator)
        while True:
            caption = _say(task, generator)
            if (_parse(caption) in HELD_OUT) == (split == "held_out"):
                return caption

    def task_of(self, caption: str) -> str:
        """The task to which a caption belongs. Raises LuminaError if it belongs to none."""
        return _parse(caption).task

    def variants(self, split: str) -> tuple[Mapping[str, Any], ...]:
        """The lengths of a split's melodies."""
        check_split("melody", split, self.splits)
        return _VARIANTS[split]

    def draw(self, caption: str, options: Any, generator: torch.Generator) -> Tensor:
        """Play what the caption says: at any beat, and any pitch, that it allows."""
        told = _parse(caption)

        def below(limit: int) -> int:
            return int(torch.randint(limit, (), generator=generator))

        steps = SPEEDS[told.speed or pick(tuple(SPEEDS), generator)]
        if told.task == "chord":
            octave = REGISTERS[told.register or pick(tuple(REGISTERS), generator)]
            room = 5 if octave == 2 else 12  # the fifth stands 7 above
            root = 12 * octave + (ROOTS[told.root] if told.root else below(room))
            if root + 7 >= NUM_PITCHES:
                root -= 12
            rows = [(root, root + THIRDS[told.quality or "major"], root + 7)]
        elif told.task == "order":
            rows = [
                (12 * REGISTERS[name] + below(12),) for n, name in told.groups for _ in range(n)
            ]
        else:
            ups = (
                list(MAJOR_STEPS[: told.count - 1])
                if told.task == "scale"
                else [1 + below(MAX_INTERVAL) for _ in range(told.count - 1)]
            )
            line = [below(NUM_PITCHES - sum(ups))]
            for up in ups:
                line.append(line[-1] + up)
            rows = [(pitch,) for pitch in line[:: WAYS[told.way or "rising"]]]
        num_steps = len(rows) * steps
        total = options.beats * 4
        first = 4 * below(max((total - num_steps) // 4, 0) + 1)
        media = torch.zeros(total, NUM_PITCHES, dtype=torch.uint8)
        for number, row in enumerate(rows):
            at = first + number * steps
            for pitch in row:
                media[at : at + steps, pitch] = 1
                media[at : at + 1, pitch] = 2
        return media

    def judge(self, media: Tensor, caption: str, options: Any) -> dict[str, bool]:
        """Say for each thing that the caption tells of a melody whether this one shows it."""
        told = _parse(caption)
        starts = [at for at, _ in (media == 2).nonzero().tolist()]  # in order of time
        pitches = [pitch for _, pitch in (media == 2).nonzero().tolist()]
        gaps = [b - a for a, b in pairwise(starts)]
        jumps = [b - a for a, b in pairwise(pitches)]
        verdict = {"count": len(pitches) == (3 if told.task == "chord" else told.count)}
        if told.task == "chord":
            verdict["together"] = len(set(starts)) == 1
            verdict["intervals"] = jumps == ([4, 3] if told.quality == "major" else [3, 4])
            if told.root:
                verdict["root"] = bool(pitches) and pitches[0] % 12 == ROOTS[told.root]
            if told.register:
                verdict["register"] = bool(pitches) and pitches[0] // 12 == REGISTERS[told.register]
            return verdict
        verdict["one_by_one"] = bool(starts) and all(gap > 0 for gap in gaps)
        if told.groups:
            wanted = [REGISTERS[name] for n, name in told.groups for _ in range(n)]
            verdict["registers"] = [pitch // 12 for pitch in pitches] == wanted
        if told.way:
            verdict["direction"] = all(jump * WAYS[told.way] > 0 for jump in jumps)
        if told.task == "scale":
            ups = [abs(jump) for jump in jumps][:: WAYS[told.way or "rising"]]
            verdict["intervals"] = ups == list(MAJOR_STEPS[: told.count - 1])
        if told.speed:
            verdict["speed"] = bool(gaps) and set(gaps) == {SPEEDS[told.speed]}
        return verdict


def _say(task: str, generator: torch.Generator) -> str:
    """A random caption of a task."""
    if task == "run":
        count = pick(("two", "three", "four", "five"), generator)
        return f"{count} {pick(tuple(WAYS), generator)} notes"
    if task == "order":
        parts = []
        for name in pick_two(tuple(REGISTERS), generator):
            count = pick(("a", "two", "three"), generator)
            parts.append(f"{count} {name} {'note' if count == 'a' else 'notes'}")
        return " and then ".join(parts)
    if task == "scale":
        speed, way = pick((None, *SPEEDS), generator), pick(tuple(WAYS), generator)
        count = pick(("four", "five", "six"), generator)
        return with_article(join(speed, way, f"scale of {count} notes"))
    first = pick((None, *REGISTERS, *ROOTS, *ROOTS), generator)
    return with_article(join(first, pick(tuple(THIRDS), generator), "chord"))


def _parse(caption: str) -> Told:
    """What a caption tells. Raises LuminaError for one that is none of this world."""
    told = _told(plain_words(caption).split())
    if told is None:
        raise LuminaError(
            f"{caption!r} is no caption of the melody world; write, say, 'three rising notes', "
            "'a low note and then two high notes', 'a slow falling scale of five notes' or "
            "'a major chord'."
        )
    return told


def _told(words: list[str]) -> Told | None:
    match words:
        case [count, way, "notes"] if count in COUNTS and way in WAYS:
            return Told("run", COUNTS[count], way) if 2 <= COUNTS[count] <= 5 else None
        case [n, first, "note" | "notes", "and", "then", m, second, "note" | "notes"]:
            counts = {"a": 1, "one": 1, "two": 2, "three": 3}
            if first == second or not {first, second} <= set(REGISTERS):
                return None
            if n not in counts or m not in counts:
                return None
            groups = (counts[n], first), (counts[m], second)
            return Told("order", counts[n] + counts[m], groups=groups)
        case ["a" | "an", *rest, way, "scale", "of", count, "notes"] if way in WAYS:
            if rest not in ([], ["fast"], ["slow"]) or count not in ("four", "five", "six"):
                return None
            return Told("scale", COUNTS[count], way, rest[0] if rest else None)
        case ["a" | "an", *rest, quality, "chord"] if quality in THIRDS and len(rest) <= 1:
            name = rest[0] if rest else None
            if name in REGISTERS:
                return Told("chord", register=name, quality=quality)
            if name is None or name in ROOTS:
                return Told("chord", root=name, quality=quality)
    return None
