"""The page of a training run: its samples over time, its curves, a verdict, its settings.

It reads the folder alone, so it works while the run goes on, for runs of older versions and for
logs with damaged lines. What is not there is left out.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lumina_core.errors import LuminaError
from lumina_core.evaluation.charts import Chart, Line, Points, chart, short
from lumina_core.evaluation.pages import check_page, link, render, write_page
from lumina_core.files.reading import read_json
from lumina_core.media.previews import Cell, Sheet, read_sheet
from lumina_core.records import as_text, flat
from lumina_core.terminal import flop_text
from lumina_core.training.curves import Curves, Name, read_curves
from lumina_core.training.folder import METRICS, REPORT, SAMPLES
from lumina_core.training.verdict import verdict
from lumina_core.training.written_settings import SETTINGS

NUM_SHEETS = 8  # shown of a run, evenly over its steps
_SHEET = re.compile(r"step-(\d{7})(?:-(.+))?\.png")
_GIGABYTE = 10**9


class Plot(NamedTuple):
    """A chart of the page, if the log has one of its curves."""

    title: str
    names: tuple[Name, ...]
    """Curves; * stands for every key in its place."""
    is_log: bool = False
    is_ordered: bool = False
    is_split: bool = False
    """Of several modalities each has a chart, and the log has its name behind the first key."""
    min_names: int = 1
    """With fewer curves it tells nothing that another chart does not."""
    is_rare: bool = False
    """A curve that is always zero is left out."""
    factor: float = 1.0
    """From the unit of the log to that of the page."""


PLOTS = (
    Plot("Training loss", (("loss",),), is_log=True),
    Plot(
        "Validation loss at each t",
        (("validation_loss", "*"),),
        is_log=True,
        is_ordered=True,
        is_split=True,
    ),
    Plot(
        "Caption gap at each t in %: how much larger the loss is with captions of others",
        (("caption_gap", "*"),),
        is_ordered=True,
        is_split=True,
        factor=100,
    ),
    Plot(
        "Validation loss on the data of its start",
        (("start_validation_loss", "*"),),
        is_log=True,
        is_ordered=True,
        is_split=True,
    ),
    Plot("Training loss from each t on", (("loss_at", "*"),), is_log=True, is_ordered=True),
    Plot("Training loss of each modality", (("loss_of", "*"),), is_log=True, min_names=2),
    Plot(
        "Training loss from so many tokens on",
        (("loss_sized", "*"),),
        is_log=True,
        is_ordered=True,
    ),
    Plot(
        "Accuracy",
        (("evaluation", "accuracy"), ("evaluation", "tasks", "*", "accuracy")),
        is_split=True,
    ),
    Plot("Share of the tokens", (("token_share", "*"),), min_names=2),
    Plot("Norm of the gradient", (("gradient_norm",),), is_log=True),
    Plot("Learning rate", (("learning_rate",),)),
    Plot("Tokens per second", (("tokens_per_second",),)),
    Plot("Share of the matmul peak", (("peak_share",),)),
    Plot("Seconds of a step", (("seconds",), ("wait_seconds",))),
    Plot("Peak memory in GB", (("peak_bytes",),), factor=1 / _GIGABYTE),
    Plot("Skipped steps", (("num_skipped",),), is_rare=True),
)


class Picture(NamedTuple):
    """One sample, as a part of a sheet or a whole one."""

    step: int
    source: str
    sheet: Sheet
    cell: Cell


class Strip(NamedTuple):
    """What became of one prompt over the steps."""

    label: str
    pictures: list[Picture]


class TrainingFolder(NamedTuple):
    """What the page tells of one run."""

    name: str
    curves: Curves
    settings: dict[str, Any]
    strips: list[Strip]


def write_report(folder: Path, compare: Path | None = None, out: Path | None = None) -> Path:
    """Write the page of a run, or of two.

    Args:
        folder: of the run.
        compare: of another run, whose curves and pictures stand beside those of the first.
        out: the page; None: report.html in the folder of the run.

    Returns:
        The page.

    Raises:
        LuminaError: a folder holds no training, its log cannot be read, or another file has the
            name of the page.
    """
    out = folder / REPORT if out is None else out
    folders = [folder] if compare is None else [folder, compare]
    for each in folders:
        if not any(os.path.exists(each / name) for name in (METRICS, SETTINGS, SAMPLES)):
            raise LuminaError(
                f"{each} holds no training; name the folder that `train out=FOLDER` wrote"
            )
    check_page(out)
    names = [each.absolute().name for each in folders]
    if len(set(names)) < len(names):
        names = [str(each) for each in folders]
    runs = [_read(each, name, out) for each, name in zip(folders, names, strict=True)]
    write_page(out, report_page(runs))
    return out


def report_page(runs: Sequence[TrainingFolder]) -> str:
    """The page of one run, or of two that are compared."""
    columns = ("setting", *(run.name for run in runs)) if len(runs) > 1 else ("setting", "value")
    rows = list(_setting_rows([run.settings for run in runs]))
    differing = [row for row in rows if len(set(row[1:])) > 1]
    return render(
        "training.html",
        title=" and ".join(run.name for run in runs),
        states=[(run.name, state(run), verdicts(run.curves)) for run in runs],
        strips=[(run.name, run.strips) for run in runs],
        charts=charts(runs),
        columns=columns,
        rows=differing if len(runs) > 1 else rows,
        num_alike=len(rows) - len(differing),
    )


def state(run: TrainingFolder) -> str:
    """How far a run has come."""
    total = run.settings.get("max_steps")
    told = f"step {run.curves.last_step}" + (f" of {total}" if isinstance(total, int) else "")
    for name, text in (("loss", "loss {}"), ("num_skipped", "{} steps skipped")):
        points = run.curves.points(name)
        if points and points[-1][1]:
            told += ", " + text.format(short(points[-1][1]))
    for source, points in run.curves.below("peak").items():
        told += f"; the matmul peak is {flop_text(points[-1][1])}/s, {source}"
    return told


def verdicts(curves: Curves) -> list[str]:
    """A sentence on over-fitting, of each modality where there are several."""
    names = curves.inner("validation_loss")
    if len(names) < 2:
        found = curves.below("validation_loss", *names)
        return [verdict(curves.points("loss"), found, curves.below("loss_at")).text]
    return [
        f"{name}: "
        + verdict(curves.points("loss_of", name), curves.below("validation_loss", name), {}).text
        for name in names
    ]


def charts(runs: Sequence[TrainingFolder]) -> list[Chart]:
    """The charts for which a log has curves; the second of two runs is dashed."""
    found = []
    for plot in PLOTS:
        lines: dict[str, list[Line]] = {}
        for number, run in enumerate(runs):
            for title, name, points in _curves_of(plot, run.curves):
                if plot.is_rare and not any(value for _, value in points):
                    continue
                scaled = [(step, value * plot.factor) for step, value in points]
                lines.setdefault(title, []).append(Line(name, scaled, number > 0))
        found += [
            chart(title, each, is_log=plot.is_log, is_ordered=plot.is_ordered)
            for title, each in lines.items()
            if len({line.name for line in each}) >= plot.min_names
        ]
    return found


def _curves_of(plot: Plot, curves: Curves) -> Iterator[tuple[str, str, Points]]:
    """Title of the chart, name and points of each curve."""
    modalities = list(curves.below("loss_of"))
    for modality in modalities if plot.is_split and len(modalities) > 1 else [""]:
        title = f"{plot.title}, {modality}" if modality else plot.title
        for name in plot.names:
            full = (name[0], modality, *name[1:]) if modality else name
            yield from ((title, key, points) for key, points in curves.matching(full))


def _read(folder: Path, name: str, page: Path) -> TrainingFolder:
    try:
        settings = read_json(folder / SETTINGS)
    except (OSError, ValueError):  # an older version kept none, or they are damaged
        settings = {}
    settings = flat(settings) if isinstance(settings, dict) else {}
    return TrainingFolder(
        name, read_curves(folder / METRICS), settings, list(_strips(folder, page))
    )


def _strips(folder: Path, page: Path) -> Iterator[Strip]:
    """The samples of each prompt, the newest first; a sheet without places is one picture."""
    by_kind: dict[str, list[tuple[int, Path]]] = {}
    for path in sorted((folder / SAMPLES).glob("*.png")):
        if match := _SHEET.fullmatch(path.name):
            by_kind.setdefault(match[2] or "", []).append((int(match[1]), path))
    for sheets in by_kind.values():
        found: dict[str, list[Picture]] = {}
        for step, path in reversed(_chosen(sheets)):
            try:
                sheet = read_sheet(path)
            except (OSError, ValueError):  # damaged
                continue
            whole = Cell(0, 0, sheet.width, sheet.height, "all samples")
            for number, cell in enumerate(sheet.cells or (whole,)):
                picture = Picture(step, link(path, page), sheet, cell)
                found.setdefault(f"{number} {cell.label}", []).append(picture)
        yield from (Strip(pictures[0].cell.label, pictures) for pictures in found.values())


def _chosen(sheets: list[tuple[int, Path]]) -> list[tuple[int, Path]]:
    """A few of many, the first and the last among them."""
    count = min(NUM_SHEETS, len(sheets))
    places = {round(number * (len(sheets) - 1) / max(1, count - 1)) for number in range(count)}
    return [sheets[place] for place in sorted(places)]


def _setting_rows(settings: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    for key in dict.fromkeys(key for each in settings for key in each):
        yield key, *(as_text(each[key]) if key in each else "" for each in settings)
