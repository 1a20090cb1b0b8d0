"""The page of a measurement: its numbers, how it was made, and what went wrong."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import UInt8
from torch import Tensor

from lumina_core.html_pages import (
    data_uri,
    figure,
    grid,
    heading,
    page,
    paragraph,
    settings_table,
    table,
)
from lumina_core.records import flat


@dataclass(frozen=True)
class Failure:
    """A sample that does not show what its prompt asked for."""

    task: str
    prompt: str
    seed: int
    wrong: tuple[str, ...]
    """The attributes that are not there."""
    preview: UInt8[Tensor, "3 height width"]


def report_page(result: Mapping[str, Any], failures: Mapping[str, Sequence[Failure]]) -> str:
    """The page of one measurement.

    Args:
        result: as `evaluate json=true` prints it.
        failures: those to be shown of each split.
    """
    protocol = {key: value for key, value in result["protocol"].items() if key != "splits"}
    body = [
        paragraph("A sample is right when every attribute of its prompt is there."),
        table("Right samples", SHARE_COLUMNS, share_rows(result["splits"])),
    ]
    if "comparison" in result:
        body += _comparison(result["comparison"])
    settings = {key: value for key, value in flat(protocol).items() if value != {}}
    settings = {"checkpoint": result["checkpoint"], **settings}
    body.append(settings_table("How it was measured", settings))
    for split, shown in failures.items():
        body += _failures(split, shown, _num_wrong(result["splits"][split]))
    return page(f"Evaluation of {result['modality']}", body)


SHARE_COLUMNS = ("split", "task", "right", "95 % interval", "prompts")
CHANGE_COLUMNS = ("split", "task", "before", "now", "difference")


def share_rows(splits: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """The rows of a table of shares: each split, then its tasks."""
    for split, result in splits.items():
        for task, row in {"all": result, **result["tasks"]}.items():
            interval = f"{row['low']:.1%} to {row['high']:.1%}"
            yield split, task, f"{row['accuracy']:.1%}", interval, str(row["num_prompts"])


def change_rows(splits: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """The rows of a table of changes; the difference is in percentage points."""
    for split, result in splits.items():
        for task, row in {"all": result, **result["tasks"]}.items():
            then, now = (
                f"{share['accuracy']:.1%} ({share['low']:.1%} to {share['high']:.1%})"
                for share in (row["then"], row["now"])
            )
            yield split, task, then, now, f"{100 * row['difference']:+.1f}"


def change_notes(comparison: Mapping[str, Any]) -> Iterator[str]:
    """What was not the same in an earlier measurement, a line each."""
    yield f"compared with checkpoint {comparison['checkpoint'][:12]}"
    for key, (then, now) in comparison["settings"].items():
        yield f"{key} was {then}, is now {now}"


def _comparison(comparison: Mapping[str, Any]) -> list[str]:
    changes = table("What changed", CHANGE_COLUMNS, change_rows(comparison["splits"]))
    return [changes, *(paragraph(note) for note in change_notes(comparison))]


def _num_wrong(share: Mapping[str, Any]) -> int:
    return int(share["num_prompts"] - round(share["accuracy"] * share["num_prompts"]))


def _failures(split: str, shown: Sequence[Failure], num_wrong: int) -> list[str]:
    if not num_wrong:
        return [heading(f"{split}: nothing is wrong")]
    part = f", {len(shown)} of them shown" * (len(shown) < num_wrong)
    figures = [
        figure(
            data_uri(failure.preview),
            ".png",
            text=failure.prompt,
            details=[f"wrong: {', '.join(failure.wrong)}", f"{failure.task}, seed {failure.seed}"],
        )
        for failure in shown
    ]
    return [heading(f"{split}: {num_wrong} wrong{part}"), grid(figures)]
