"""Measure a checkpoint: generate from captions of the world, judge the files by its oracle.

A sample counts when every attribute that its caption asks for is there, in the file as read back.
"""

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from lumina_core.checkpoints.model import Model as Checkpoint
from lumina_core.data.synthetic import refuse_varied_options, varied_options, world_of
from lumina_core.errors import LuminaError, nearest, when_interrupted
from lumina_core.evaluation.comparison import compared, protocol_of, read_result, refuse_unlike
from lumina_core.evaluation.compose import EVALUATE, compose_evaluate
from lumina_core.evaluation.oracle import Verdict, cases, judge, summarise
from lumina_core.evaluation.pages import PAGE_SUFFIXES, write_page
from lumina_core.evaluation.report import (
    ATTRIBUTE_COLUMNS,
    CHANGE_COLUMNS,
    SHARE_COLUMNS,
    Failure,
    attribute_rows,
    change_notes,
    change_rows,
    report_page,
    share_rows,
)
from lumina_core.evaluation.settings import EvaluateConfig
from lumina_core.files.writing import atomic_folder
from lumina_core.media.previews import save_contact_sheet
from lumina_core.modality import World
from lumina_core.sampling.generate import load_model
from lumina_core.sampling.output_paths import check_new_file, check_new_folder
from lumina_core.sampling.python_api import Model, load
from lumina_core.sampling.settings import Sampling, sampling_of
from lumina_core.terminal import progress, show_json, show_table, tell

NUM_FAILURES_SHOWN = 64  # of a split, on its contact sheet and in the report
NOTHING_KEPT = "before the last file was judged; nothing is kept, the same command begins anew"
REPORT, RESULT = "report.html", "result.json"  # in a folder of kept files


Verdicts = dict[str, list[Verdict]]
"""Of each split."""


def verdicts_of(
    model: Checkpoint, config: EvaluateConfig, sampling: Sampling, folder: Path
) -> Verdicts:
    """The verdicts of each split; the files that were judged are in `folder`/<split>."""
    world = world_of(model.modality)
    verdicts = {}
    for split in config.splits or world.splits:
        found = cases(world, split, config.options, config.num_prompts, config.seed)
        judged = judge(model, found, sampling, folder / split, dtype=config.dtype)
        verdicts[split] = list(_with_bar(judged, len(found), split))
    return verdicts


def _check_splits(config: EvaluateConfig, world: World) -> None:
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


def _is_page(config: EvaluateConfig) -> bool:
    return config.out is not None and Path(config.out).suffix.lower() in PAGE_SUFFIXES


def _check_out(config: EvaluateConfig) -> None:
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
def _working_folder(config: EvaluateConfig) -> Iterator[Path]:
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
    model: Checkpoint,
    config: EvaluateConfig,
    result: dict[str, Any],
    verdicts: Verdicts,
    folder: Path,
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


def _failures(model: Checkpoint, verdicts: list[Verdict]) -> Iterator[Failure]:
    decoder = model.modality.decoder
    for verdict in [verdict for verdict in verdicts if not verdict.is_right][:NUM_FAILURES_SHOWN]:
        request = verdict.case.request
        wrong = tuple(name for name, is_there in verdict.attributes.items() if not is_there)
        preview = decoder.preview(decoder.read(verdict.path), request.options)
        yield Failure(verdict.case.task, request.prompt, request.seed, wrong, preview)


@dataclass(frozen=True)
class Share:
    """How many prompts were made right, with the 95 % interval of the share."""

    accuracy: float
    low: float
    high: float
    num_prompts: int
    tasks: "Mapping[str, Share]" = field(default_factory=dict)
    """The same of each task."""
    attributes: "Mapping[str, Share]" = field(default_factory=dict)
    """The same of each attribute, among the prompts that ask for it."""


@dataclass(frozen=True)
class Evaluation:
    """What was measured."""

    splits: Mapping[str, Share]
    result: Mapping[str, Any]
    """All of it, as `evaluate json=true` prints it."""


def evaluate(model: Model | str | Path, **settings: Any) -> Evaluation:
    """Measure a model as `evaluate` does.

    Args:
        model: as `load` gives it; or what it takes.
        settings: keys of `evaluate` or their last parts; those of the model hold, too, but for the
            sizes that the world draws.

    Raises:
        LuminaError: whatever `evaluate` would refuse, and arguments of another type.
    """
    if not isinstance(model, Model):
        model = load(model)
    sizes = {f"modality.{key}" for key in varied_options(world_of(model.checkpoint.modality))}
    words = {key: value for key, value in model.words.items() if key not in sizes}
    config = compose_evaluate(replace(model, words=words).overrides(EVALUATE, settings))
    result = measure(config, model.loaded, lambda result: None)
    return Evaluation(
        {split: _as_share(found) for split, found in result["splits"].items()}, result
    )


def _as_share(found: Mapping[str, Any]) -> Share:
    parts = {
        part: {name: Share(**numbers) for name, numbers in found[part].items()}
        for part in ("tasks", "attributes")
    }
    return Share(**{**found, **parts})


def evaluate_command(config: EvaluateConfig) -> int:
    """Run `evaluate` and print a table or JSON."""
    measure(config, load_model, show_json if config.json else show_tables)
    return 0


def measure(
    config: EvaluateConfig,
    load_checkpoint: Callable[[EvaluateConfig], Checkpoint],
    show: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Measure, show and save.

    Args:
        config: what is asked for.
        load_checkpoint: gives what is measured.
        show: is called with the result before it is saved, which may fail: a full disk does not
            lose what was measured.

    Returns:
        The result.

    Raises:
        LuminaError: something cannot be used as the configuration says.
    """
    _check_out(config)
    earlier = None if config.compare is None else read_result(Path(config.compare))
    model = load_checkpoint(config)
    sampling = sampling_of(config)
    _check_splits(config, world_of(model.modality))
    protocol = protocol_of(model, config, sampling)
    if earlier is not None:
        refuse_unlike(earlier, protocol, Path(str(config.compare)))
    with when_interrupted(lambda: NOTHING_KEPT), _working_folder(config) as folder:
        verdicts = verdicts_of(model, config, sampling, folder)
        result = {
            "modality": config.modality,
            "checkpoint": model.checkpoint_sha256,
            "protocol": protocol,
            "splits": {split: summarise(found) for split, found in verdicts.items()},
        }
        if earlier is not None:
            result["comparison"] = compared(earlier, result)
        show(result)
        if config.out is not None:
            _save(model, config, result, verdicts, folder)
    return result


def show_tables(result: dict[str, Any]) -> None:
    """Print a result as tables."""
    _show_table(SHARE_COLUMNS, share_rows(result["splits"]))
    _show_table(ATTRIBUTE_COLUMNS, attribute_rows(result["splits"]))
    if "comparison" in result:
        tell(*(f"note: {note}" for note in change_notes(result["comparison"])))
        _show_table(CHANGE_COLUMNS, change_rows(result["comparison"]["splits"]))


def _show_table(columns: Sequence[str], rows: Iterator[tuple[str, ...]]) -> None:
    """Print a table that names a split once."""
    by_split = groupby(rows, key=lambda row: row[0])
    show_table(
        columns,
        (
            ["" if number else split, *cells]
            for split, found in by_split
            for number, (_, *cells) in enumerate(found)
        ),
    )
