"""What a rule may find: kept, broken, or not applicable."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


KEPT, BROKEN, NOT_APPLICABLE, NOT_CHECKED = "kept", "broken", "not applicable", "not checked"


class BrokenRuleError(Exception):
    """A rule is broken: what was found, and what to do."""


class NotApplicableError(Exception):
    """A rule says nothing of this plugin, and why."""


def demand(condition: object, found: str, remedy: str) -> None:
    """Break the rule unless a condition holds.

    Args:
        condition: whatever is true or false.
        found: what is wrong, with values.
        remedy: what the author has to do.

    Raises:
        BrokenRuleError: the condition does not hold.
    """
    if not condition:
        raise BrokenRuleError(f"{found}; {remedy}")
