"""The parts of a modality as the core takes them: what they return is checked, in this one place.

A value of a wrong type would fail somewhere in the core, far from where it came from. Here it is a
`PluginError`, which names the plugin, the method, what it returned and what is wanted. Types and
numbers of axes are checked, which costs microseconds; what values mean is the contract's business.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lumina_core import host
from lumina_core.errors import PluginError, printable, reason_of
from lumina_core.modality import Given, Modality
from lumina_core.sequence import Grid

_MAX_SHOWN = 60  # characters of a wrong value


class _Want(NamedTuple):
    """What a plugin has to give under a name."""

    what: str
    fits: Callable[[Any], bool] | None
    """None: it is an object of the class of the modality's options."""
    is_optional: bool = False
    """A plugin may have nothing of this name."""


def make_modality(name: str, options: Any, vae_folder: Path | None) -> Modality:
    """The parts of an installed modality, each of which tells what it returns wrongly.

    Args:
        name: of the modality.
        options: the plugin's own dataclass.
        vae_folder: with the weights of its autoencoder; None for one without weights.

    Raises:
        LuminaError: the modality cannot be used, or refuses the options or the folder.
        PluginError: its class cannot be called so.
    """
    made_by, title = host.modality_class(name), host.find(name).title
    try:
        made = made_by(options, vae_folder)
    except TypeError as error:
        if error.__traceback__ is None or error.__traceback__.tb_next is not None:
            raise  # by a line of the plugin, which a trace shows
        raise PluginError(
            f"{title}: its class {made_by.__name__} cannot be called as "
            f"{made_by.__name__}(options, vae_folder): {reason_of(error)}",
            f"its class {made_by.__name__}",
        ) from None
    return _CHECKED["modality"](made, title, type(options))


class _Checked:
    """A part of a plugin; the classes of the single parts have a property per name of the contract.

    What else a part has is handed on, and what is set is set on the part itself.
    """

    kind: str

    def __init__(self, part: Any, title: str, options_class: type) -> None:
        vars(self).update(part=part, title=title, options_class=options_class, parts={})

    def __getattr__(self, name: str) -> Any:
        return getattr(vars(self)["part"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.part, name, value)

    def __copy__(self) -> "_Checked":
        return type(self)(copy(self.part), self.title, self.options_class)

    def __delattr__(self, name: str) -> None:
        delattr(self.part, name)

    def taken(self, name: str, want: _Want) -> Any:
        """What the part has under a name.

        Raises:
            PluginError: nothing, though the contract asks for it.
        """
        try:
            return getattr(self.part, name)
        except AttributeError:
            if want.is_optional or hasattr(type(self.part), name):  # raised by a line of the plugin
                raise
        raise PluginError(
            f"{self.title}: {self._named(name)} is not there; {want.what} is wanted. "
            "lumina_core.modality says what a modality has",
            self._named(name),
        )

    def refuse_unlike(self, found: Any, want: _Want, name: str, verb: str) -> None:
        """Refuse what is not what is wanted.

        Args:
            found: what the plugin gave.
            want: what is wanted in its place.
            name: under which it was found.
            verb: whether a method returned it, or it is there.
        """
        fits = isinstance(found, self.options_class) if want.fits is None else want.fits(found)
        if not fits:
            told = f"{self._named(name)} {verb} {_shown(found)}; {want.what} is wanted"
            raise PluginError(f"{self.title}: {told}", self._named(name))

    def _named(self, name: str) -> str:
        return f"its {name}" if self.kind == "modality" else f"its {self.kind}.{name}"


def _value(name: str, want: _Want) -> property:
    """A value that the contract names."""

    def value(self: _Checked) -> Any:
        found = self.taken(name, want)
        self.refuse_unlike(found, want, name, "is")
        return found

    return property(value)


def _method(name: str, want: _Want) -> property:
    """A method that the contract names."""

    def method(self: _Checked) -> Callable[..., Any]:
        called = self.taken(name, want)

        def checked(*arguments: Any, **more: Any) -> Any:
            found = called(*arguments, **more)
            self.refuse_unlike(found, want, name, "returned")
            return found

        return checked

    return property(method)


def _part(name: str, want: _Want) -> property:
    """One of the four parts of a modality; the same object as long as the plugin's is the same."""

    def part(self: _Checked) -> Any:
        found = self.taken(name, want)
        self.refuse_unlike(found, want, name, "is")
        if found is None:
            return None
        known = self.parts.get(name)
        if known is None or known.part is not found:
            known = self.parts[name] = _CHECKED[name](found, self.title, self.options_class)
        return known

    return property(part)


def _shown(value: Any) -> str:
    """A wrong value, as a message has it."""
    if isinstance(value, Tensor):
        return f"a {value.dtype} tensor of shape {tuple(value.shape)}"
    if value is None or isinstance(value, type):
        return "None" if value is None else f"the class {value.__name__}, not an object of it"
    name = printable(type(value).__name__, _MAX_SHOWN)
    if not isinstance(value, bool | int | float | str | bytes | tuple | list):
        return f"an object of type {name}"
    try:
        return f"{printable(repr(value), _MAX_SHOWN)} of type {name}"
    except Exception:  # of something in it that somebody wrote
        return f"an object of type {name}"


def _floats(axes: str) -> _Want:
    """A floating tensor with an axis for each word."""
    num_axes = len(axes.split())
    return _Want(
        f"a floating tensor of {num_axes} axes ({axes})",
        lambda value: (
            isinstance(value, Tensor) and value.ndim == num_axes and value.is_floating_point()
        ),
    )


def _is_picture(value: Any) -> bool:
    return (
        isinstance(value, Tensor)
        and value.dtype == torch.uint8
        and value.ndim == 3
        and len(value) == 3  # colours
    )


def _is_text_sequence(value: Any) -> bool:
    is_sequence = isinstance(value, Sequence) and not isinstance(value, str)
    return is_sequence and all(isinstance(item, str) for item in value)


def _is_shape(value: Any) -> bool:
    return isinstance(value, tuple) and all(type(size) is int for size in value)


def _is_judgement(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(key, str) and isinstance(verdict, bool) for key, verdict in value.items()
    )


def _is_given(value: Any) -> bool:
    return (
        isinstance(value, Given)
        and isinstance(value.media, Tensor)
        and isinstance(value.known, Tensor)
        and value.known.dtype == torch.bool
        and value.known.ndim == 3  # frames height width
    )


def _is_object(value: Any) -> bool:
    return value is not None and not isinstance(value, type)


_MEDIA = _Want("a tensor", lambda value: isinstance(value, Tensor))
_LATENT = _floats("channels frames height width")
_TEXT = _Want("a text", lambda value: isinstance(value, str))
_TEXTS = _Want(
    "a tuple of texts", lambda value: isinstance(value, tuple) and _is_text_sequence(value)
)
_SOME_TEXTS = _Want(
    "a tuple of one text or more",
    lambda value: isinstance(value, tuple) and len(value) > 0 and _is_text_sequence(value),
)
_OPTIONS = _Want("an object of the modality's options", None)
_COUNT = _Want("a positive integer", lambda value: type(value) is int and value > 0)


def _optional(want: _Want) -> _Want:
    return want._replace(is_optional=True)


_PARTS = {
    name: _Want(f"an object with the methods of a {name}", _is_object)
    for name in ("tokenizer", "vae", "decoder")
} | {"world": _Want("an object, or None", lambda value: value is None or _is_object(value))}
_VALUES: Mapping[str, Mapping[str, _Want]] = {
    "modality": {"feature_dim": _optional(_COUNT)},
    "tokenizer": {"token_dim": _COUNT},
    "vae": {"folder": _Want("a Path or None", lambda v: v is None or isinstance(v, Path))},
    "decoder": {
        "suffixes": _SOME_TEXTS,
        "read_suffixes": _optional(_TEXTS),
        "folder_suffixes": _optional(_TEXTS),
        "folder_files": _optional(_TEXTS),
    },
    "world": {"version": _TEXT, "splits": _SOME_TEXTS},
}
_METHODS: Mapping[str, Mapping[str, _Want]] = {
    "modality": {
        "media_shape": _Want("a tuple of integers", _is_shape),
        "fit": _MEDIA,
        "coarser": _optional(_OPTIONS),
        "enlarged": _optional(_MEDIA),
        "decode": _optional(_MEDIA),
        "read": _optional(_MEDIA),
        "described": _optional(_OPTIONS),
        "features": _optional(_floats("frame feature")),
        "condition": _optional(
            _Want("a Given of media and a boolean tensor (frames height width)", _is_given)
        ),
    },
    "tokenizer": {
        "grid": _Want("a Grid", lambda value: isinstance(value, Grid)),
        "tokenize": _floats("patch token_dim"),
        "detokenize": _LATENT,
    },
    "vae": {
        "latent_shape": _Want(
            "a tuple of four integers", lambda value: _is_shape(value) and len(value) == 4
        ),
        "encode": _LATENT,
        "decode": _MEDIA,
        "pixels": _optional(_floats("frames channels height width")),
    },
    "decoder": {
        "read": _MEDIA,
        "read_metadata": _Want(
            "a dictionary or None", lambda value: value is None or isinstance(value, dict)
        ),
        "preview": _Want("a uint8 tensor of 3 axes (3 height width)", _is_picture),
    },
    "world": {
        "tasks": _Want(
            "a tuple of one text or more", lambda value: _is_text_sequence(value) and len(value) > 0
        ),
        "caption": _TEXT,
        "task_of": _TEXT,
        "variants": _Want(
            "a sequence of mappings",
            lambda value: (
                isinstance(value, Sequence) and all(isinstance(item, Mapping) for item in value)
            ),
        ),
        "draw": _MEDIA,
        "nearest": _optional(
            _Want("a text or None", lambda value: value is None or isinstance(value, str))
        ),
        "judge": _Want("a dictionary of True and False by texts", _is_judgement),
    },
}


def _class_of(kind: str) -> type[_Checked]:
    names = {name: _value(name, want) for name, want in _VALUES[kind].items()}
    names |= {name: _method(name, want) for name, want in _METHODS[kind].items()}
    if kind == "modality":
        names |= {name: _part(name, want) for name, want in _PARTS.items()}
    return type(f"Checked{kind.title()}", (_Checked,), {"kind": kind, **names})


_CHECKED = {kind: _class_of(kind) for kind in _METHODS}
