"""The one exception for a user's mistake: the command line shows one line and exits with 2."""

from collections.abc import Sequence


class LuminaError(Exception):
    """A mistake of the user: says what we got, what is allowed and what to do, in one line."""


MAX_REASON = 300  # characters of a library's message


def reason_of(error: BaseException) -> str:
    """What another library says in its exception, on one line and not too long."""
    return " ".join(str(error).split())[:MAX_REASON]


def nearest(name: str, names: Sequence[str]) -> str:
    """The part of a message that names the nearest valid name, or the empty string.

    Args:
        name: what the user wrote.
        names: every valid name.
    """
    from difflib import get_close_matches  # costs 5 ms, needed only when something is wrong

    matches = get_close_matches(name, names, n=1)
    return f" Did you mean {matches[0]!r}?" if matches else ""
