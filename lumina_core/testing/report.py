"""The results of a contract for people and for machines."""

from collections.abc import Iterator, Sequence
from typing import Any

from lumina_core.testing.rules import Result, all_checks
from lumina_core.testing.verdicts import BROKEN, KEPT, NOT_APPLICABLE, NOT_CHECKED

_MARKS = {KEPT: "ok", BROKEN: "BROKEN", NOT_APPLICABLE: "-", NOT_CHECKED: "?"}


def lines_of(result: Result, before: Sequence[Result] = ()) -> Iterator[str]:
    """One line for a rule that is kept; for a broken one also the rule and what to do.

    Args:
        result: of one check.
        before: results that were told already; a trace of theirs is not told again.
    """
    yield f"{_MARKS[result.status]:<8}{result.check.part:<14}{result.check.name}"
    if result.status == BROKEN:
        yield f"        rule: {result.check.rule}"
    if result.message:
        yield f"        {result.message}"
    same = [one.check.name for one in before if one.trace and one.message == result.message]
    if result.trace and same:
        yield f"        as of {same[0]}"
    else:
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
        "trace": result.trace,
    }


def total_of(results: Sequence[Result]) -> str:
    """How many rules are kept."""
    kept, broken, others, hidden = (sum(r.status == each for r in results) for each in _MARKS)
    unknown = f", {hidden} not checked" if hidden else ""
    seconds = sum(result.seconds for result in results)
    return f"{kept} rules kept, {broken} broken{unknown}, {others} do not apply ({seconds:.0f} s)"


def contract_page() -> str:
    """docs/authors/contract.md: every rule, by the part of a plugin that it is about."""
    lines = ["# The contract of a modality", "", *_INTRODUCTION]
    part = ""
    for number, check in enumerate(all_checks(), start=1):
        if check.part != part:
            part = check.part
            lines += ["", f"## {_TITLES[part]}", "", "| | rule | check |", "|---|---|---|"]
        lines.append(f"| {number} | {check.rule} | `{check.name}` |")
    return "\n".join(lines) + "\n"


_INTRODUCTION = (
    "Every modality keeps these rules; the four of this project keep all of them. The command",
    "`python -m lumina_core doctor NAME --contract` (`--json` for machines) checks them, and so",
    "does a test file of the plugin:",
    "",
    "```python",
    "from lumina_core.testing import ModalityContract",
    "",
    "",
    "class TestContract(ModalityContract):",
    '    modality = "image"',
    "```",
    "",
    "A rule that does not apply to a plugin is skipped, such as one about weights where there are",
    "none. If a modality needs weights and ships no demo, give it some: `modality.vae=FOLDER`, or",
    "`vae = Path(...)` in the class. If a plugin cannot keep a rule yet, say so in the class:",
    '`expected_failures = {"check": "why"}`. Once the plugin keeps the rule, that line fails.',
    "",
    "`python -m nox -s docs -- write` makes this page from the checks.",
)
_TITLES = {
    "package": "The package",
    "options": "Options and shapes",
    "tokenizer": "Tokenizer and sequence",
    "vae": "VAE",
    "decoder": "Decoder and files",
    "world": "World and oracle",
    "training": "Training",
    "whole": "The parts together",
    "surroundings": "Surroundings",
}
