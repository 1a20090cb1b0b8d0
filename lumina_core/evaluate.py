"""Measure a checkpoint: generate from captions of the world, judge the files by its oracle.

A sample counts when every attribute that its caption asks for is there, in the file as read back.
"""

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lumina_core.checkpoint import Model
from lumina_core.comparison import compared, protocol_of, read_result, refuse_unlike
from lumina_core.contact_sheet import save_contact_sheet
from lumina_core.data.synthetic import refuse_varied_options, world_of
from lumina_core.errors import LuminaError, nearest
from lumina_core.evaluation_report import (
    CHANGE_COLUMNS,
    SHARE_COLUMNS,
    Failure,
    change_notes,
    change_rows,
    report_page,
    share_rows,
)
from lumina_core.faults import when_interrupted
from lumina_core.files import atomic_folder
from lumina_core.html_pages import PAGE_SUFFIXES, write_page
from lumina_core.modality import World
from lumina_core.output_paths import check_new_file, check_new_folder
from lumina_core.run import describe, load_model
from lumina_core.runtime import derived_seed, seeded
from lumina_core.sampling import (
    Request,
    Sampling,
    batches,
    in_turn,
    media_sha256,
    sample_batch,
    sampling_of,
)
from lumina_core.seal import write_sealed
from lumina_core.terminal import progress, show_json, show_table, tell

if TYPE_CHECKING:
    from lumina_core.command_records import EvaluateConfig

CONFIDENCE_Z = 1.96  # standard normal quantile of a two-sided 95 % interval
NUM_FAILURES_SHOWN = 64  # of a split, on its contact sheet and in the report
NOTHING_KEPT = "before the last file was judged; nothing is kept, the same command begins anew"
REPORT, RESULT = "report.html", "result.json"  # in a folder of kept files


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


Verdicts = dict[str, list[Verdict]]
"""Of each split."""


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
            write_sealed(decoder, item.media, path, described, media_sha256(item.media))
            media, request = decoder.read(path), case.request
            yield Verdict(case, world.judge(media, request.prompt, request.options), path)


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


def evaluate(model: Model, config: "EvaluateConfig", sampling: Sampling, folder: Path) -> Verdicts:
    """The verdicts of each split; the files that were judged are in `folder`/<split>."""
    world = world_of(model.modality)
    verdicts = {}
    for split in config.splits or world.splits:
        found = cases(world, split, config.options, config.num_prompts, config.seed)
        judged = judge(model, found, sampling, folder / split, dtype=config.dtype)
        verdicts[split] = list(_with_bar(judged, len(found), split))
    return verdicts


def _check_splits(config: "EvaluateConfig", world: World) -> None:
    refuse_varied_options(config.modality, config.options, world)
    for split in config.splits or ():
        if split not in world.splits:
            raise LuminaError(
                f"splits={split!r} is unknown; use {', '.join(world.splits)}."
                + nearest(split, world.splits)
            )


def _with_bar(judged: Iterator[Verdict], count: int, split: str) -> Iterator[Verdict]:
    for _ in progress(range(count), split):
        yield next(judged)


def _is_page(config: "EvaluateConfig") -> bool:
    return config.out is not None and Path(config.out).suffix.lower() in PAGE_SUFFIXES


def _check_out(config: "EvaluateConfig") -> None:
    """Refuse an `out` that could not be written, before anything is computed."""
    if config.out is None:
        return
    if _is_page(config):
        check_new_file(Path(config.out), overwrite=config.overwrite)
    else:
        if config.overwrite:
            raise LuminaError(
                f"overwrite=true replaces a report that ends in .html, and out={config.out} is a "
                "folder; leave it out and name a new folder"
            )
        check_new_folder(Path(config.out))


@contextmanager
def _working_folder(config: "EvaluateConfig") -> Iterator[Path]:
    """Where files go while they are judged; at the end it becomes `out`, if that is a folder."""
    if config.out is None or _is_page(config):
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
        return
    out = Path(config.out)
    with atomic_folder(out) as working:
        yield working
        if out.is_dir():
            out.rmdir()  # it is empty, else it was refused


def _save(
    model: Model, config: "EvaluateConfig", result: dict[str, Any], verdicts: Verdicts, folder: Path
) -> None:
    """The page, and in a folder also the result and a sheet per split."""
    failures = {split: list(_failures(model, found)) for split, found in verdicts.items()}
    text = report_page(result, failures)
    if _is_page(config):
        write_page(Path(str(config.out)), text)
        return
    write_page(folder / REPORT, text)
    (folder / RESULT).write_text(json.dumps(result, indent=2), encoding="utf-8")
    for split, wrong in failures.items():
        if wrong:
            sheet = folder / f"{split}-failures.png"
            save_contact_sheet(sheet, [f.preview for f in wrong], [f.prompt for f in wrong])


def _failures(model: Model, verdicts: list[Verdict]) -> Iterator[Failure]:
    decoder = model.modality.decoder
    for verdict in [verdict for verdict in verdicts if not verdict.is_right][:NUM_FAILURES_SHOWN]:
        request = verdict.case.request
        wrong = tuple(name for name, is_there in verdict.attributes.items() if not is_there)
        preview = decoder.preview(decoder.read(verdict.path))
        yield Failure(verdict.case.task, request.prompt, request.seed, wrong, preview)


def evaluate_command(config: "EvaluateConfig") -> int:
    """Run `evaluate` and print a table or JSON."""
    _check_out(config)
    earlier = None if config.compare is None else read_result(Path(config.compare))
    model = load_model(config)
    sampling = sampling_of(config)
    _check_splits(config, world_of(model.modality))
    protocol = protocol_of(model, config, sampling)
    if earlier is not None:
        refuse_unlike(earlier, protocol, Path(str(config.compare)))
    with when_interrupted(lambda: NOTHING_KEPT), _working_folder(config) as folder:
        verdicts = evaluate(model, config, sampling, folder)
        result = {
            "modality": config.modality,
            "checkpoint": model.checkpoint_sha256,
            "protocol": protocol,
            "splits": {split: summarise(found) for split, found in verdicts.items()},
        }
        if earlier is not None:
            result["comparison"] = compared(earlier, result)
        if config.json:  # before it is saved: a full disk does not lose what was measured
            show_json(result)
        else:
            _show_tables(result)
        if config.out is not None:
            _save(model, config, result, verdicts, folder)
    return 0


def _show_tables(result: dict[str, Any]) -> None:
    _show_table(SHARE_COLUMNS, share_rows(result["splits"]))
    if "comparison" in result:
        tell(*(f"note: {note}" for note in change_notes(result["comparison"])))
        _show_table(CHANGE_COLUMNS, change_rows(result["comparison"]["splits"]))


def _show_table(columns: Sequence[str], rows: Iterator[tuple[str, ...]]) -> None:
    show_table(
        columns,
        ([split if task == "all" else "", task, *cells] for split, task, *cells in rows),
    )
