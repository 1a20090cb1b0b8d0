"""Measure a checkpoint: generate from captions of the world, judge the files by its oracle.

A sample counts when every attribute that its caption asks for is there, in the file as read back.
"""

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lumina_core.checkpoints.model import Model
from lumina_core.data.synthetic import refuse_varied_options, world_of
from lumina_core.errors import LuminaError, nearest, when_interrupted
from lumina_core.evaluation.comparison import compared, protocol_of, read_result, refuse_unlike
from lumina_core.evaluation.oracle import Verdict, cases, judge, summarise
from lumina_core.evaluation.pages import PAGE_SUFFIXES, write_page
from lumina_core.evaluation.report import (
    CHANGE_COLUMNS,
    SHARE_COLUMNS,
    Failure,
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
from lumina_core.sampling.settings import Sampling, sampling_of
from lumina_core.terminal import progress, show_json, show_table, tell

NUM_FAILURES_SHOWN = 64  # of a split, on its contact sheet and in the report
NOTHING_KEPT = "before the last file was judged; nothing is kept, the same command begins anew"
REPORT, RESULT = "report.html", "result.json"  # in a folder of kept files


Verdicts = dict[str, list[Verdict]]
"""Of each split."""


def evaluate(model: Model, config: EvaluateConfig, sampling: Sampling, folder: Path) -> Verdicts:
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
    model: Model, config: EvaluateConfig, result: dict[str, Any], verdicts: Verdicts, folder: Path
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


def evaluate_command(config: EvaluateConfig) -> int:
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
