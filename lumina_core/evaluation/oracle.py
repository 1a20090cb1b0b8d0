"""Cases for an oracle, its verdicts, and the shares of them with their intervals."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path
from typing import Any

from lumina_core.checkpoints.model import Model
from lumina_core.data.synthetic import world_of
from lumina_core.media.seal import write_sealed
from lumina_core.modality import World
from lumina_core.runtime import derived_seed, seeded
from lumina_core.sampling.request import Request, describe, media_sha256
from lumina_core.sampling.sample import batches, in_turn, sample_batch
from lumina_core.sampling.settings import Sampling

CONFIDENCE_Z = 1.96  # standard normal quantile of a two-sided 95 % interval
_NUMBER = re.compile(r"_[0-9]+$")


@dataclass(frozen=True)
class Case:
    """One prompt to be judged."""

    number: int
    task: str
    request: Request


@dataclass(frozen=True)
class Verdict:
    """What the oracle said of one case."""

    case: Case
    attributes: dict[str, bool]
    path: Path

    @property
    def is_right(self) -> bool:
        """Whether every attribute is right."""
        return all(self.attributes.values())


def wilson_interval(num_right: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927).

    (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)

    Args:
        num_right: successes.
        count: trials, at least 1.
    """
    share, z2 = num_right / count, CONFIDENCE_Z**2
    centre = share + z2 / (2 * count)
    spread = CONFIDENCE_Z * sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    bottom = 1 + z2 / count
    return max(0.0, (centre - spread) / bottom), min(1.0, (centre + spread) / bottom)


def cases(world: World, split: str, options: Any, count: int, seed: int) -> list[Case]:
    """Prompts of a split: its tasks in turn, its sizes in turn, everything from the seed."""
    generator = seeded(derived_seed(seed, world.splits.index(split)))
    tasks, variants = world.tasks(split), world.variants(split) or ({},)
    found = []
    for number in range(count):
        task = tasks[number % len(tasks)]
        variant = variants[number // len(tasks) % len(variants)]
        caption = world.caption(split, generator, task)
        request = Request(caption, "", seed + number, replace(options, **variant))
        found.append(Case(number, task, request))
    return found


def judge(
    model: Model, found: list[Case], sampling: Sampling, folder: Path, *, dtype: str
) -> Iterator[Verdict]:
    """Generate, write and judge each case as its file is read back.

    Args:
        model: the checkpoint.
        found: what to generate.
        sampling: solver and guidance.
        folder: where the files go.
        dtype: of the backbone, for the request inside the files.
    """
    decoder, world = model.modality.decoder, world_of(model.modality)
    remaining = iter(found)
    groups = batches(model, [case.request for case in found], sampling)
    for batch in in_turn(model, groups, sampling.guidance):
        for item in sample_batch(model, batch, sampling):
            case = next(remaining)
            path = folder / f"{case.number:05d}{decoder.suffixes[0]}"
            described = describe(model, case.request, sampling, dtype)
            request, sha256 = case.request, media_sha256(item.media)
            write_sealed(decoder, item.media, path, described, request.options, sha256)
            media = decoder.read(path)
            yield Verdict(case, world.judge(media, request.prompt, request.options), path)


def summarise(verdicts: list[Verdict]) -> dict[str, Any]:
    """Accuracy with its interval: over all, per task, and per attribute.

    An attribute is right where a prompt asks for it and all of its numbered ones are right.
    """
    tasks: dict[str, list[bool]] = {}
    attributes: dict[str, list[bool]] = {}
    for verdict in verdicts:
        tasks.setdefault(verdict.case.task, []).append(verdict.is_right)
        judged: dict[str, bool] = {}
        for name, is_right in verdict.attributes.items():
            judged[plain_name(name)] = judged.get(plain_name(name), True) and is_right
        for name, is_right in judged.items():
            attributes.setdefault(name, []).append(is_right)
    return {
        **_share([verdict.is_right for verdict in verdicts]),
        "tasks": {task: _share(found) for task, found in tasks.items()},
        "attributes": {name: _share(found) for name, found in attributes.items()},
    }


def plain_name(attribute: str) -> str:
    """An attribute without the number of the thing that has it: colour of colour_2."""
    return _NUMBER.sub("", attribute)


def _share(are_right: list[bool]) -> dict[str, Any]:
    num_right, count = sum(are_right), len(are_right)
    low, high = wilson_interval(num_right, count)
    return {"accuracy": num_right / count, "low": low, "high": high, "num_prompts": count}
