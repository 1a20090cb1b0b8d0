"""What a rule demands of a refusal: a LuminaError in one line, which a user can act on."""

from collections.abc import Callable

from lumina_core.errors import LuminaError, reason_of
from lumina_core.testing.verdicts import BrokenRuleError, demand


def refusal(call: Callable[[], object], what: str, remedy: str) -> str:
    """The message with which a call is refused.

    Args:
        call: what must not succeed.
        what: it is, for a message.
        remedy: what the author has to do.

    Raises:
        BrokenRuleError: it succeeds, raises something else, or is refused in several lines.
    """
    try:
        found = call()
    except LuminaError as error:
        demand("\n" not in str(error), f"{what} is refused in several lines", "use one")
        return str(error)
    except Exception as error:
        raise BrokenRuleError(
            f"{what} raises {type(error).__name__}: {reason_of(error)}; {remedy}"
        ) from error
    told = f" as {found!r}"[:80] if isinstance(found, str | dict) else ""
    raise BrokenRuleError(f"{what} is accepted{told}; {remedy}")
