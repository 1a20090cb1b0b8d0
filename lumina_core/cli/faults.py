"""What the command line says of an exception, and the code that it exits with.

0 is good, 2 the user's mistake (one line), 1 a fault of ours or of a plugin (with a traceback where
something was raised; one line where a plugin returned what it must not), 130 interrupted.
"""

import errno
import io
import os
import select
import sys
from traceback import walk_tb

from lumina_core import terminal
from lumina_core.errors import NO_SPACE, LuminaError, PluginError, reason_of
from lumina_core.parallel import ranks
from lumina_core.plugins import host
from lumina_core.plugins.entry_points import Plugin

WAYS_OUT = {
    errno.EACCES: "change its permissions or choose another path",
    errno.EPERM: "change its permissions or choose another path",
    errno.EROFS: "choose another path",
    errno.EISDIR: "name a file",
    errno.ENOTDIR: "name a path that leads through folders only",
    errno.ELOOP: "name a path whose links do not lead in a circle",
    errno.ENAMETOOLONG: "use a shorter name",
}
"""What a user can do where the file system refuses a path."""


def report(error: BaseException) -> int:
    """Say on stderr what happened.

    Args:
        error: that ended a command.

    Returns:
        The exit code.
    """
    if isinstance(error, ranks.ToldError):
        return 2
    if ranks.rank() > 0 and not isinstance(error, KeyboardInterrupt):
        terminal.unmute()  # what happened here alone, rank 0 does not know
        terminal.tell(f"on rank {ranks.rank()}:")
    if isinstance(error, LuminaError):
        terminal.tell(f"error: {error}")
        return 2
    if isinstance(error, PluginError):
        terminal.tell(f"error: {error}. Tell its author")
        return 1
    if isinstance(error, KeyboardInterrupt):
        notes = "; ".join(getattr(error, "__notes__", ()))
        terminal.tell(f"interrupted {notes}".rstrip())
        return 130
    if isinstance(error, BrokenPipeError):
        return 0 if _is_reader_gone() else _report_fault(error)
    return _report_os_error(error) if isinstance(error, OSError) else _report_fault(error)


def _report_fault(error: BaseException) -> int:
    terminal.tell_trace(error)
    text = f"{type(error).__name__}: {reason_of(error)}"
    if culprit := _plugin_in(error):
        terminal.tell(f"error: {culprit.title} failed: {text}. Tell its author")
    else:
        terminal.tell(f"internal error: {text}")
    return 1


def _plugin_in(error: BaseException) -> Plugin | None:
    """The loaded plugin whose code an exception comes from; None where it passed through none."""
    names = [frame.f_globals.get("__name__", "") for frame, _ in walk_tb(error.__traceback__)]
    tops = {name.partition(".")[0] for name in names}
    plugins = [*host.discover(), *host.extensions()]
    loaded = (plugin for plugin in plugins if plugin.status == "loaded")
    return next((each for each in loaded if each.module.partition(".")[0] in tops), None)


def _report_os_error(error: OSError) -> int:
    if error.errno in NO_SPACE:
        return _report_full_disk(error)
    if error.filename is None or error.errno not in WAYS_OUT:
        return _report_fault(error)
    way_out = WAYS_OUT[error.errno]
    terminal.tell(f"error: {error.filename}: {error.strerror}; {way_out}")
    return 2


def _report_full_disk(error: OSError) -> int:
    """Say that there is no space, be it for a file or for what we print."""
    try:
        terminal.tell(
            f"error: {error.filename or 'the output'} cannot be written: {error.strerror}"
        )
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        # Python flushes once more at exit, and would complain.
        for stream in (sys.stdout, sys.stderr):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return 2


def _is_reader_gone() -> bool:
    """Whether it is our own standard output that broke, as in `lumina plugins | head -1`."""
    try:
        stdout = sys.stdout.fileno()
    except (io.UnsupportedOperation, AttributeError):  # collected by a program, or closed
        return False
    poll = select.poll()
    poll.register(stdout, select.POLLOUT)
    if not any(event & select.POLLERR for _, event in poll.poll(0)):
        return False
    # Python flushes once more at exit, and would complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), stdout)
    return True
