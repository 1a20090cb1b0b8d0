"""The list of rules that a plugin keeps."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from lumina_core.errors import reason_of

if TYPE_CHECKING:
    from lumina_core.testing.subject import Subject


MODULES = (
    *("package", "options", "tokenizer", "vae", "decoder", "world", "training", "whole"),
    "surroundings",
)
"""Where the checks are, in the order in which they run: what others build on comes first."""


@dataclass(frozen=True)
class Check:
    """One rule and how it is checked."""

    name: str
    part: str
    """Of the plugin, which the rule is about; one of MODULES."""
    rule: str
    """What a plugin must do, one sentence."""
    run: "Callable[[Subject], None]"
    builds_on: tuple[str, ...] = ()
    """Checks of earlier rules; where one of them is broken, this one says nothing new."""


@dataclass(frozen=True)
class Result:
    """What became of one check."""

    check: Check
    status: str
    """KEPT, BROKEN, NOT_APPLICABLE, or NOT_CHECKED: what broke another rule stood in the way."""
    message: str
    """What was found and what to do; empty where the rule is kept."""
    seconds: float
    trace: str = ""
    """Of an exception that neither the check nor the plugin's code raised."""


_CHECKS: list[Check] = []


def rule(check: "Callable[[Subject], None]") -> "Callable[[Subject], None]":
    """Put a function on the list; its docstring is the rule."""
    sentence = " ".join((check.__doc__ or "").split())
    if not sentence.endswith("."):
        raise ValueError(f"the check {check.__name__} states no rule")
    part = check.__module__.rpartition(".")[2]
    _CHECKS.append(Check(check.__name__, part, sentence, check, vars(check).get("builds_on", ())))
    return check


def builds_on(*names: str) -> "Callable[[Callable[[Subject], None]], Callable[[Subject], None]]":
    """Name the checks of earlier rules without which a check says nothing new; below `rule`."""

    def named(check: "Callable[[Subject], None]") -> "Callable[[Subject], None]":
        vars(check)["builds_on"] = names
        return check

    return named


def all_checks() -> tuple[Check, ...]:
    """Every check, in the order in which they run."""
    for module in MODULES:
        import_module(f"lumina_core.testing.{module}")
    return tuple(sorted(_CHECKS, key=lambda check: MODULES.index(check.part)))


def reason_and_place(error: BaseException, subject: "Subject") -> str:
    """What was raised by which line of the plugin, and what to do; empty where no line of it was.

    The line is the innermost one of the plugin, also where a library that it called raised.
    """
    found = _place(error, subject)
    if not found:
        return _lacking(error, subject)
    reason = " ".join(f"{type(error).__name__}: {reason_of(error)}".split())
    return (
        f"{found} raises {reason}; mend that line, or raise a LuminaError there if the user is to "
        "do something"
    )


def _place(error: BaseException, subject: "Subject") -> str:
    found = ""
    for frame, number in traceback.walk_tb(error.__traceback__):
        module = str(frame.f_globals.get("__name__"))
        if module.partition(".")[0] == subject.top_package:
            code = frame.f_code
            found = f"{Path(code.co_filename).name}, line {number}, in {code.co_name}"
    return found


def _lacking(error: BaseException, subject: "Subject") -> str:
    """What a part of the plugin has not that it was asked for; empty where it was not that."""
    if isinstance(error, AttributeError):
        owner = type(error.obj)
        if owner.__module__.partition(".")[0] == subject.top_package:
            return f"{owner.__name__} has no {error.name!r}; write it as lumina_core.modality says"
    return ""
