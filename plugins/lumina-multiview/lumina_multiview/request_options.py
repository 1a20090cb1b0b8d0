"""The options of views as a request names them; a file of others may hold anything there."""

from collections.abc import Mapping
from typing import Any

from lumina_core import LuminaError
from lumina_multiview.options import MultiviewOptions

KEYS = ("height", "width", "views", "azimuths", "elevation")
MAX_SHOWN = 40  # characters of a value in a message
MAX_NUMBER = 1e30  # its square is a number, too


def options_in(metadata: Any) -> MultiviewOptions:
    """The options of a request; what a checkpoint fixes is not in it and has no meaning here.

    Args:
        metadata: the request, as JSON or the core gives it.

    Raises:
        LuminaError: they are missing, or are none.
    """
    options = metadata.get("options") if isinstance(metadata, Mapping) else None
    if not isinstance(options, Mapping) or not all(key in options for key in KEYS):
        raise LuminaError(
            f"its request is not of views, whose options name {', '.join(KEYS)}; give a file that "
            "`run` made of views"
        )
    azimuths, elevation = options["azimuths"], options["elevation"]
    return MultiviewOptions(
        height=_whole(options, "height"),
        width=_whole(options, "width"),
        views=None if options["views"] is None else _whole(options, "views"),
        azimuths=None if azimuths is None else _numbers(azimuths, "azimuths"),
        elevation=_numbers(elevation, "elevation")
        if isinstance(elevation, list | tuple)
        else number_in(elevation, "elevation"),
        patch=(1, 1),
        vae="",
    )


def number_in(value: Any, what: str) -> float:
    """A number out of JSON, which may hold anything in its place, NaN and endless digits, too.

    Args:
        value: out of the file.
        what: it should be, for the message.

    Raises:
        LuminaError: it is none.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not -MAX_NUMBER <= value <= MAX_NUMBER:
        raise LuminaError(f"{what}={shown(value)} is no number that can be used")
    return float(value)


def shown(value: Any) -> str:
    """A value out of a file for a message, on one line and not too long."""
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def _whole(options: Mapping[str, Any], key: str) -> int:
    value = options[key]
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > MAX_NUMBER:
        raise LuminaError(f"{key}={shown(value)} in its request is no whole number")
    return value


def _numbers(values: Any, key: str) -> tuple[float, ...]:
    if not isinstance(values, list | tuple):
        raise LuminaError(f"{key}={shown(values)} in its request is no list of numbers")
    return tuple(number_in(value, f"{key} in its request") for value in values)
