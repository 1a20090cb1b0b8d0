"""The page of a measurement: the failed samples, its numbers, and how it was made."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import UInt8
from torch import Tensor

from lumina_core.evaluation.oracle import plain_name
from lumina_core.evaluation.pages import Figure, data_uri, render
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
    settings = {key: value for key, value in flat(protocol).items() if value != {}}
    comparison = result.get("comparison")
    return render(
        "evaluation.html",
        title=f"Evaluation of {result['modality']}",
        right=[(split, f"{found['accuracy']:.1%}") for split, found in result["splits"].items()],
        share_columns=SHARE_COLUMNS,
        shares=share_rows(result["splits"]),
        attribute_columns=ATTRIBUTE_COLUMNS,
        attributes=attribute_rows(result["splits"]),
        change_columns=CHANGE_COLUMNS,
        changes=comparison and change_rows(comparison["splits"]),
        notes=comparison and change_notes(comparison),
        measured={"checkpoint": result["checkpoint"], **settings},
        failures=[
            (split, _num_wrong(result["splits"][split]), len(shown), _by_attribute(shown))
            for split, shown in failures.items()
        ],
    )


SHARE_COLUMNS = ("split", "task", "right", "95 % interval", "prompts")
ATTRIBUTE_COLUMNS = ("split", "attribute", *SHARE_COLUMNS[2:])
CHANGE_COLUMNS = ("split", "task", "before", "now", "difference")


def share_rows(splits: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """The rows of a table of shares: each split, then its tasks."""
    for split, result in splits.items():
        for task, share in {"all": result, **result["tasks"]}.items():
            yield split, task, *_cells(share)


def attribute_rows(splits: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """The rows of a table of attributes: those of each split, each among the prompts that ask for
    it.
    """
    for split, result in splits.items():
        for attribute, share in result["attributes"].items():
            yield split, attribute, *_cells(share)


def _cells(share: Mapping[str, Any]) -> tuple[str, ...]:
    interval = f"{share['low']:.1%} to {share['high']:.1%}"
    return f"{share['accuracy']:.1%}", interval, str(share["num_prompts"])


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


def _num_wrong(share: Mapping[str, Any]) -> int:
    return int(share["num_prompts"] - round(share["accuracy"] * share["num_prompts"]))


def _by_attribute(failures: Sequence[Failure]) -> dict[str, list[Figure]]:
    """Failures below the first attribute that is wrong, for what is wrong first spoils the rest."""
    found: dict[str, list[Figure]] = {}
    for failure in failures:
        found.setdefault(plain_name(failure.wrong[0]), []).append(_figure(failure))
    return found


def _figure(failure: Failure) -> Figure:
    details = [f"wrong: {', '.join(failure.wrong)}", f"{failure.task}, seed {failure.seed}"]
    return Figure(data_uri(failure.preview), ".png", failure.prompt, details)
