"""The results of a contract for people and for machines."""

from collections.abc import Iterator, Sequence
from typing import Any

from lumina_core.testing.contract import BROKEN, KEPT, NOT_APPLICABLE, Result

_MARKS = {KEPT: "ok", BROKEN: "BROKEN", NOT_APPLICABLE: "-"}


def lines_of(result: Result) -> Iterator[str]:
    """One line for a rule that is kept; for a broken one also the rule and what to do."""
    yield f"{_MARKS[result.status]:<8}{result.check.part:<14}{result.check.name}"
    if result.status == BROKEN:
        yield f"        rule: {result.check.rule}"
    if result.message:
        yield f"        {result.message}"
    yield from (f"        {line}" for line in result.trace.splitlines())


def record_of(result: Result) -> dict[str, Any]:
    """What machines read of a result."""
    return {
        "check": result.check.name,
        "part": result.check.part,
        "rule": result.check.rule,
        "status": result.status,
        "message": result.message,
        "seconds": round(result.seconds, 3),
    }


def total_of(results: Sequence[Result]) -> str:
    """How many rules are kept."""
    counts = [sum(r.status == status for r in results) for status in (KEPT, BROKEN, NOT_APPLICABLE)]
    seconds = sum(result.seconds for result in results)
    return f"{counts[0]} rules kept, {counts[1]} broken, {counts[2]} do not apply ({seconds:.0f} s)"
