"""Checks what the parts of a modality return, in this one place.

A value of a wrong type would fail somewhere in the core, far from where it came from. Here it is a
`PluginError`, which names the plugin, the method, what it returned and what is wanted. Types and
numbers of axes are checked, which costs microseconds; what values mean is the contract's business.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import partial
from inspect import isfunction
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lumina_core.errors import PluginError, printable, reason_of
from lumina_core.modality import VAE, Decoder, Given, Modality, Tokenizer, World, members
from lumina_core.plugins import host
from lumina_core.sequence import Grid

_MAX_SHOWN = 60  # characters of a wrong value


class _Want(NamedTuple):
    """What a plugin has to give under a name."""

    what: str
    fits: Callable[[Any], bool] | None
    """None: it is an object of the class of the modality's options."""
    is_none_fine: bool = False


def make_modality(name: str, options: Any, vae_folder: Path | None) -> Modality:
    """The parts of an installed modality, each of which tells what it returns wrongly.

    Args:
        name: of the modality.
        options: the plugin's own dataclass.
        vae_folder: with the weights of its autoencoder; None for one without weights.

    Raises:
        LuminaError: the modality cannot be used, or refuses the options or the folder.
        PluginError: its class cannot be called so, or is no Modality.
    """
    made_by, title = host.modality_class(name), host.find(name).title
    place = f"its class {made_by.__name__}"
    try:
        made = made_by(options, vae_folder)
    except TypeError as error:
        if error.__traceback__ is None or error.__traceback__.tb_next is not None:
            raise  # by a line of the plugin, which a trace shows
        raise PluginError(
            f"{title}: {place} cannot be called as {made_by.__name__}(options, vae_folder): "
            f"{reason_of(error)}",
            place,
        ) from None
    if not isinstance(made, Modality):
        raise PluginError(f"{title}: {place} does not inherit lumina_core.Modality", place)
    return _CHECKED["modality"](made, title, type(options))


class _Checked:
    """A part of a plugin; the classes of the single parts inherit their base class, too.

    They have a property per name of it. What else a part has is handed on, and what is set is set
    on the part itself.
    """

    kind: str
    base: type

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

    def overrides(self, name: str) -> bool:
        """Whether the part has a method of its own in place of that of its base class."""
        return getattr(type(self.part), name) is not getattr(self.base, name)

    def taken(self, name: str, want: _Want) -> Any:
        """What the part has under a name.

        Raises:
            PluginError: nothing, though the contract asks for it.
        """
        try:
            return getattr(self.part, name)
        except AttributeError:
            if name in dir(type(self.part)):  # raised by a line of the plugin
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
        if found is None and want.is_none_fine:
            return
        fits = isinstance(found, self.options_class) if want.fits is None else want.fits(found)
        if not fits:
            told = f"{self._named(name)} {verb} {_shown(found)}; {want.what} is wanted"
            raise PluginError(f"{self.title}: {told}", self._named(name))

    def _named(self, name: str) -> str:
        return f"its {name}" if self.kind == "modality" else f"its {self.kind}.{name}"


def _handed_on(name: str) -> property:
    """What the contract names and the core takes as it is."""
    return property(lambda self: getattr(self.part, name))


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
        called = getattr(self.part, name)
        if getattr(called, "__func__", None) is getattr(self.base, name, None):
            called = partial(called.__func__, self)  # asks other parts, which are checked, too

        def checked(*arguments: Any, **more: Any) -> Any:
            found = called(*arguments, **more)
            self.refuse_unlike(found, want, name, "returned")
            return found

        return checked

    return property(method)


def _writer(name: str) -> property:
    """A method that writes a file or folder, which is there afterwards."""

    def method(self: _Checked) -> Callable[..., None]:
        def write(media: Tensor, path: Path, *more: Any, **named: Any) -> None:
            getattr(self.part, name)(media, path, *more, **named)
            if not os.path.lexists(path):
                raise PluginError(
                    f"{self.title}: {self._named(name)} wrote nothing where it was told to",
                    self._named(name),
                )

        return write

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


def _or_none(want: _Want) -> _Want:
    return want._replace(what=f"{want.what} or None", is_none_fine=True)


def _object_of(base: type) -> _Want:
    what = f"an object of a class that inherits lumina_core.{base.__name__}"
    return _Want(what, lambda value: isinstance(value, base))


_BASES = {
    "modality": Modality,
    "tokenizer": Tokenizer,
    "vae": VAE,
    "decoder": Decoder,
    "world": World,
}
_WANTS: Mapping[str, Mapping[str, _Want]] = {
    "modality": {
        "tokenizer": _object_of(Tokenizer),
        "vae": _object_of(VAE),
        "decoder": _object_of(Decoder),
        "world": _or_none(_object_of(World)),
        "feature_dim": _Want("a number of features", lambda v: type(v) is int and v >= 0),
        "media_shape": _Want("a tuple of integers", _is_shape),
        "fit": _MEDIA,
        "coarser": _or_none(_OPTIONS),
        "enlarged": _MEDIA,
        "decode": _MEDIA,
        "read": _MEDIA,
        "described": _OPTIONS,
        "features": _or_none(_floats("frame feature")),
        "condition": _Want(
            "a Given of media and a boolean tensor (frames height width)", _is_given
        ),
    },
    "tokenizer": {
        "token_dim": _Want("a positive integer", lambda v: type(v) is int and v > 0),
        "grid": _Want("a Grid", lambda value: isinstance(value, Grid)),
        "tokenize": _floats("patch token_dim"),
        "detokenize": _LATENT,
    },
    "vae": {
        "folder": _or_none(_Want("a Path", lambda value: isinstance(value, Path))),
        "latent_shape": _Want(
            "a tuple of four integers", lambda value: _is_shape(value) and len(value) == 4
        ),
        "encode": _LATENT,
        "decode": _MEDIA,
        "pixels": _floats("frames channels height width"),
    },
    "decoder": {
        "suffixes": _SOME_TEXTS,
        "read_suffixes": _TEXTS,
        "folder_suffixes": _TEXTS,
        "folder_files": _TEXTS,
        "read": _MEDIA,
        "read_metadata": _or_none(_Want("a dictionary", lambda value: isinstance(value, dict))),
        "preview": _Want("a uint8 tensor of 3 axes (3 height width)", _is_picture),
    },
    "world": {
        "version": _TEXT,
        "splits": _SOME_TEXTS,
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
        "vocabulary": _Want(
            "a frozenset of texts",
            lambda value: isinstance(value, frozenset) and _is_text_sequence([*value]),
        ),
        "plainest": _or_none(_TEXT),
        "nearest": _or_none(_TEXT),
        "judge": _Want("a dictionary of True and False by texts", _is_judgement),
    },
}


def _class_of(kind: str) -> type[_Checked]:
    base, wants = _BASES[kind], _WANTS[kind]
    names: dict[str, Any] = {"kind": kind, "base": base}
    for name in members(base):
        make = _method if isfunction(getattr(base, name, None)) else _value
        if name in _BASES:
            make = _part
        names[name] = make(name, wants[name]) if name in wants else _handed_on(name)
    if kind == "decoder":
        names["write"] = _writer("write")
    return type(f"Checked{kind.title()}", (_Checked, base), names)


_CHECKED: Mapping[str, Any] = {kind: _class_of(kind) for kind in _BASES}
