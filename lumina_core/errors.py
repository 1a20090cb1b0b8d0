"""The exceptions for mistakes of users and of plugins, and foreign text as lines of messages."""

import errno
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from unicodedata import category

_OBEYED = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Of Unicode: controls, formats such as marks of direction, surrogates, separators of lines."""
_JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
"""Formats that Persian and emoji are written with."""


class LuminaError(Exception):
    """A mistake of the user: says what we got, what is allowed and what to do, in one line."""


class PluginError(Exception):
    """A plugin breaks the contract: says which, what it gave and what is wanted, in one line.

    Args:
        text: the line.
        place: the part of it that says where in the plugin.
    """

    def __init__(self, text: str, place: str) -> None:
        super().__init__(text)
        self.place = place


NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the disk is full, or a file's limit reached
MAX_REASON = 300  # characters of a library's message
MAX_NAME = 80  # characters of a foreign name in a message


def reason_of(error: BaseException) -> str:
    """What another library says in its exception, on one line and not too long."""
    try:
        text = str(error)
    except Exception:  # of an exception that somebody wrote
        text = "it cannot say why"
    return printable(text, MAX_REASON)


def is_full_disk(error: BaseException | None) -> bool:
    """Whether it came about because the disk is full, or a file's limit reached."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in NO_SPACE:
            return True
        error = error.__cause__
    return False


def why(error: BaseException) -> str:
    """What the system says of a file, without its name; of any other exception its reason."""
    return getattr(error, "strerror", None) or reason_of(error)


def unread(path: object, error: BaseException) -> LuminaError:
    """The refusal of a file that somebody else made and that cannot be read."""
    return LuminaError(f"{path} cannot be read: {why(error)}; copy it again")


def printable(text: str, length: int) -> str:
    """A text that others wrote as one line that no terminal obeys.

    Args:
        text: may hold line breaks, escape sequences, or marks that turn the direction of writing.
        length: characters at most; what is cut off leaves three dots.
    """
    line = harmless(" ".join(text[: 4 * length].split()))  # a text of 100 MB is not searched
    return line if len(line) <= length else line[: length - 3] + "..."


def harmless(line: str) -> str:
    """A line as long as before, each character replaced that a terminal would obey or not write.

    These are control characters, line breaks, marks of direction and halves of surrogate pairs.
    """
    if line.isprintable():
        return line
    return "".join(char if _is_harmless(char) else "\N{REPLACEMENT CHARACTER}" for char in line)


def harmless_lines(text: str) -> str:
    """The same for a text of several lines, which keeps its lines."""
    return "\n".join(harmless(line) for line in text.split("\n"))


def _is_harmless(char: str) -> bool:
    return char.isprintable() or char in _JOINERS or category(char) not in _OBEYED


def nearest(name: str, names: Sequence[str]) -> str:
    """The part of a message that names the nearest valid name, or the empty string.

    Args:
        name: what the user wrote.
        names: every valid name.
    """
    meant = similar(name, names)
    return f" Did you mean {meant!r}?" if meant else ""


def similar(name: str, names: Sequence[str]) -> str | None:
    """The valid name that was probably meant; None where none is like it."""
    from difflib import get_close_matches  # costs 5 ms, needed only when something is wrong

    matches = get_close_matches(name, names, n=1) or get_close_matches(name.lower(), names, n=1)
    return matches[0] if matches else None


@contextmanager
def when_interrupted(say: Callable[[], str]) -> Iterator[None]:
    """Say at Ctrl-C within the block, or the function that it decorates, what is left of the work.

    Args:
        say: gives the words after "interrupted", called then.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        error.add_note(say())
        raise


_LIKENESS = 0.7  # of difflib: below it keys of few letters are like each other by chance
_LIKENESS_OF_PARTS = 0.6  # where one is a part of the other, as step is of num_steps
_MAX_LISTED = 16  # keys in a message


def closest(name: str, names: list[str]) -> str | None:
    """The key that was probably meant: one with this last part, else the most similar.

    Args:
        name: what the user wrote.
        names: every valid dotted key.
    """
    from difflib import get_close_matches

    block, dot, last = name.lower().rpartition(".")
    alike = [full for full in names if full.rpartition(".")[2] == last and full != name]
    if alike:
        return get_close_matches(name, alike, n=1, cutoff=0.0)[0]
    siblings = [full for full in names if full.rpartition(".")[0] == block]
    by_last = {full.rpartition(".")[2]: full for full in reversed(names)}
    searches = (
        (last, {full.removeprefix(block + dot): full for full in siblings}),
        # a block in common makes keys alike that have nothing else in common
        (name, {full: full for full in names if full not in siblings}),
        (last, by_last),
    )
    for wanted, known in searches:
        parts = [key for key in known if wanted in key or key in wanted]
        if found := (
            get_close_matches(wanted, known, n=1, cutoff=_LIKENESS)
            or get_close_matches(wanted, parts, n=1, cutoff=_LIKENESS_OF_PARTS)
        ):
            return known[found[0]]
    return None


def unknown_key(name: str, names: list[str], where: str = "") -> LuminaError:
    """The refusal of a key that is not there: tells the one that was meant, else all of a few.

    Args:
        name: what was written.
        names: every valid key.
        where: of the file, if it stands in one.
    """
    if meant := closest(name, names):
        hint = f" Did you mean {meant!r}?"
    else:
        is_short = len(names) <= _MAX_LISTED
        hint = f" Known: {', '.join(names) or 'none'}." if is_short else ""
    return LuminaError(f"unknown key {name!r}{where}.{hint}")
