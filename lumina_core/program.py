"""How the user started the program, so that a command in a message works as it stands."""

import shlex
import sys
from pathlib import Path

SCRIPT, MODULE = "lumina", "python -m lumina_core"


def program() -> str:
    """What stands before a command: the installed script if that was typed, else the module."""
    return SCRIPT if Path(sys.argv[0]).stem == SCRIPT else MODULE


def command_line(*words: str) -> str:
    """A command as one types it, quoted for the shell.

    Args:
        words: after the program.
    """
    return f"{program()} {shlex.join(words)}"
