"""Words of a command line that are options: read, refused, or a wish for help."""

from lumina_core import terminal
from lumina_core.cli import help
from lumina_core.errors import LuminaError, nearest


def wants_help(command: str, words: list[str], options: tuple[str, ...]) -> bool:
    """Whether help was asked for, and now printed; refuses every word that is no option."""
    if any(word in ("-h", "--help") for word in words):
        terminal.show(*help.command_help(command))
        return True
    for word in words:
        if word not in options:
            allowed = f"it takes {' and '.join(options)}" if options else "it takes none"
            hint = nearest(word, options)
            raise LuminaError(f"unknown option {word!r} of {command}; {allowed}.{hint}")
    return False


def parted(word: str, option: str) -> list[str]:
    """An option with its value as two words, also where one wrote OPTION=VALUE."""
    value = word.removeprefix(f"{option}=")
    return [word] if value == word else [option, value]
