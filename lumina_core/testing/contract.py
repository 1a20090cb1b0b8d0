"""Checks the rules one by one: no check knows another, each has the plugin to itself.

A check is a function of a `Subject`. Its docstring is the rule, in one sentence. Where the rule is
broken it raises `BrokenRuleError` with what was found and what to do; where it says nothing of this
plugin, `NotApplicableError`. Anything else that is raised breaks the rule, too: by the plugin's
code it is told with its place, elsewhere with a trace.
"""

import time
import traceback
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from lumina_core.errors import LuminaError, PluginError, nearest, reason_of
from lumina_core.modality import has_weights
from lumina_core.sampling.python_arguments import path, text, texts
from lumina_core.testing.process_state import SETTINGS, state_kept
from lumina_core.testing.rules import Check, Result, _place, all_checks, reason_and_place
from lumina_core.testing.verdicts import (
    BROKEN,
    KEPT,
    NOT_APPLICABLE,
    NOT_CHECKED,
    BrokenRuleError,
    NotApplicableError,
)

if TYPE_CHECKING:
    from lumina_core.testing.subject import Subject


@contextmanager
def silent() -> Iterator[None]:
    """Within the block nothing is printed."""
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        yield


def run_check(check: Check, subject: "Subject") -> Result:
    """The result of one check, whatever it raises."""
    started, trace = time.perf_counter(), ""
    status, message = KEPT, ""
    raised: BaseException | None = None
    try:
        with state_kept() as changed, silent(), warnings.catch_warnings(action="ignore"):
            check.run(subject)
    except NotApplicableError as error:
        status, message = NOT_APPLICABLE, str(error)
    except BrokenRuleError as error:
        status, message, raised = BROKEN, str(error), error.__cause__
    except (LuminaError, PluginError) as error:
        status, message, raised = BROKEN, str(error), error
    except (Exception, SystemExit) as error:
        status, message, raised = BROKEN, reason_and_place(error, subject), error
        settings = [name for name in changed if name in SETTINGS]
        if settings and not message:
            message = (
                f"{type(error).__name__}: {reason_of(error)}, after the plugin changed the "
                f"{' and the '.join(settings)}; pass settings as arguments, or put them back"
            )
        if not message:
            trace = "".join(traceback.format_exception(error))
            message = f"{type(error).__name__}: {reason_of(error)}; see where it was raised"
    if status == BROKEN and (told := _told_before(check, message, raised, subject)):
        status, message, trace = NOT_CHECKED, told, ""
    return Result(check, status, message, time.perf_counter() - started, trace)


def _told_before(
    check: Check, message: str, raised: BaseException | None, subject: "Subject"
) -> str | None:
    """Why a rule cannot be checked: what is raised here has broken an earlier one; None: nothing.

    A cause that is met for the first time is kept, under the name of its rule.
    """
    for cause, name in subject.causes.items():
        if cause in message:
            return f"{name} is broken by the same, and stands in the way ({cause.strip()})"
    for name in check.builds_on:
        if name in subject.broken:
            return f"{name} is broken, on which this rule builds"
    subject.broken.append(check.name)
    if raised is not None:
        subject.causes |= dict.fromkeys(_causes(raised, subject), check.name)
    return None


def _causes(error: BaseException, subject: "Subject") -> Iterator[str]:
    """Texts by which what was raised is known again in the message of another rule."""
    if isinstance(error, PluginError):
        yield f"{error.place} "
    elif isinstance(error, LuminaError):
        yield str(error)
    else:
        yield f"{type(error).__name__}: {reason_of(error)}"
        if place := _place(error, subject):
            yield place


def check_names(names: Iterable[str]) -> None:
    """Refuse names that no check has.

    Raises:
        LuminaError: with the nearest name.
    """
    known = [check.name for check in all_checks()]
    for name in names:
        if name not in known:
            raise LuminaError(
                f"there is no check {name!r}; docs/authors/contract.md lists them."
                f"{nearest(name, known)}"
            )


def load_parts(subject: "Subject", vae: Path | None) -> None:
    """Make the parts, so that what keeps all of them from being made is told once.

    Args:
        subject: whose parts.
        vae: what was named as the folder of its weights.

    Raises:
        LuminaError: the parts cannot be made, or weights are named for a modality without any.
    """
    try:
        with state_kept(), silent(), warnings.catch_warnings(action="ignore"):
            if vae is not None and not has_weights(subject.options):
                raise LuminaError(
                    f"modality {subject.name!r} has no weights; leave out modality.vae={vae}"
                )
            made = subject.new_modality()
            for part in ("tokenizer", "vae", "decoder", "world"):
                getattr(made, part)
    except NotApplicableError:
        return  # without weights; the rules that need none are checked
    except LuminaError:
        raise
    except PluginError as error:
        raise LuminaError(str(error)) from error
    except (Exception, SystemExit) as error:
        place = reason_and_place(error, subject)
        reason = place or f"{type(error).__name__}: {reason_of(error)}"
        raise LuminaError(f"{subject.plugin.title} cannot be made: {reason}") from error


def run_contract(
    modality: str, names: Sequence[str] = (), *, vae: str | Path | None = None
) -> Iterator[Result]:
    """Check an installed modality, each rule as soon as it is asked for.

    Args:
        modality: its name.
        names: of the checks to run; none: all of them.
        vae: folder of an autoencoder for one that needs weights; None: its demo's.

    Raises:
        LuminaError: the modality cannot be used, a check is unknown, or an argument is of another
            type.
    """
    from lumina_core.testing.subject import subject_of

    modality, names = text("modality", modality), texts("names", names)
    vae = None if vae is None else path("vae", vae)
    check_names(names)
    checks = [check for check in all_checks() if not names or check.name in names]
    with subject_of(modality, vae) as subject:
        load_parts(subject, vae)
        for check in checks:
            yield run_check(check, subject)
