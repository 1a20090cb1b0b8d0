"""Measure a checkpoint: generate from captions of the world, judge the files by its oracle.

A sample counts when every attribute that its caption asks for is there, in the file as read back.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lumina_core.checkpoint import Model
from lumina_core.contact_sheet import save_contact_sheet
from lumina_core.data.synthetic import refuse_varied_options, world_of
from lumina_core.errors import LuminaError, nearest
from lumina_core.modality import World
from lumina_core.run import describe, load_model
from lumina_core.runtime import derived_seed, progress, seeded
from lumina_core.sampling import Request, Sampling, batches, sample_batch, sampling_of

if TYPE_CHECKING:
    from lumina_core.config import EvaluateConfig

CONFIDENCE_Z = 1.96  # standard normal quantile of a two-sided 95 % interval
NUM_FAILURES_SHOWN = 64  # on the contact sheet of a split


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
    tasks, variants = world.tasks(split), world.variants(split)
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
    for batch in batches(model, [case.request for case in found], sampling):
        for item in sample_batch(model, batch, sampling):
            case = next(remaining)
            path = folder / f"{case.number:05d}{decoder.suffixes[0]}"
            decoder.write(item.media, path, describe(model, case.request, sampling, dtype))
            yield Verdict(case, world.judge(decoder.read(path), case.request.prompt), path)


def summarise(verdicts: list[Verdict]) -> dict[str, Any]:
    """Accuracy with its interval, over all and per task."""
    tasks = list(dict.fromkeys(verdict.case.task for verdict in verdicts))
    per_task = {task: _share([v for v in verdicts if v.case.task == task]) for task in tasks}
    return {**_share(verdicts), "tasks": per_task}


def _share(verdicts: list[Verdict]) -> dict[str, Any]:
    num_right = sum(verdict.is_right for verdict in verdicts)
    low, high = wilson_interval(num_right, len(verdicts))
    return {
        "accuracy": num_right / len(verdicts),
        "low": low,
        "high": high,
        "num_prompts": len(verdicts),
    }


def evaluate(
    model: Model, config: "EvaluateConfig", sampling: Sampling
) -> dict[str, dict[str, Any]]:
    """Accuracy per split; keeps files and sheets where `out` says so."""
    refuse_varied_options(config.modality, config.options, world_of(model.modality))
    world = world_of(model.modality)
    splits = config.splits or world.splits
    for split in splits:
        if split not in world.splits:
            raise LuminaError(
                f"splits={split!r} is unknown; use {', '.join(world.splits)}."
                + nearest(split, world.splits)
            )
    results = {}
    with _output_folder(config) as folder:
        for split in splits:
            found = cases(world, split, config.options, config.num_prompts, config.seed)
            judged = judge(model, found, sampling, folder / split, dtype=config.dtype)
            verdicts = list(_with_bar(judged, len(found), split))
            results[split] = summarise(verdicts)
            if config.out is not None:
                _save_failures(model, verdicts, folder / f"{split}-failures.png")
    return results


def _with_bar(judged: Iterator[Verdict], count: int, split: str) -> Iterator[Verdict]:
    for _ in progress(range(count), split):
        yield next(judged)


@contextmanager
def _output_folder(config: "EvaluateConfig") -> Iterator[Path]:
    if config.out is None:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
        return
    out = Path(config.out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise LuminaError(f"out={out} exists already; choose an empty or new folder")
    yield out


def _save_failures(model: Model, verdicts: list[Verdict], path: Path) -> None:
    wrong = [verdict for verdict in verdicts if not verdict.is_right][:NUM_FAILURES_SHOWN]
    if wrong:
        decoder = model.modality.decoder
        previews = [decoder.preview(decoder.read(verdict.path)) for verdict in wrong]
        save_contact_sheet(path, previews, [verdict.case.request.prompt for verdict in wrong])


def evaluate_command(config: "EvaluateConfig") -> int:
    """Run `evaluate` and print a table or JSON."""
    model = load_model(config)
    sampling = sampling_of(config)
    splits = evaluate(model, config, sampling)
    result = {
        "modality": config.modality,
        "checkpoint": model.checkpoint_sha256,
        "world": world_of(model.modality).version,
        "splits": splits,
    }
    if config.json:
        print(json.dumps(result, indent=2))
    else:
        _print_table(splits)
    return 0


def _print_table(splits: dict[str, dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("split", "task", "right", "95 % interval", "prompts")
    for split, result in splits.items():
        rows = {"all": result, **result["tasks"]}
        for task, row in rows.items():
            interval = f"{row['low']:.1%} to {row['high']:.1%}"
            shown = split if task == "all" else ""
            table.add_row(shown, task, f"{row['accuracy']:.1%}", interval, str(row["num_prompts"]))
    Console(file=sys.stdout).print(table)
