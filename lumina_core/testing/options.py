"""Rules about a modality's options: how they are typed, checked and turned into shapes."""

import re
from dataclasses import replace
from functools import partial
from math import inf, nan
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from lumina_core.config.compose import compose_options
from lumina_core.errors import LuminaError
from lumina_core.plugins import host
from lumina_core.sampling.compose import compose_sampling
from lumina_core.testing.refusal import refusal
from lumina_core.testing.rules import rule
from lumina_core.testing.samples import GROWTH, growing_keys
from lumina_core.testing.subject import Subject
from lumina_core.testing.verdicts import BrokenRuleError, NotApplicableError, demand
from lumina_core.training.compose import compose_train

NO_NUMBERS = (nan, inf)
ABSURD = {int: (-(10**9), 10**12), float: (*NO_NUMBERS, -1e12)}
MAX_STEPS_BESIDE = 4  # above and below a size of the world, looking for one that is illegal


@rule
def options_are_frozen_and_comparable(subject: Subject) -> None:
    """The options are a frozen dataclass, of which two with equal values are equal."""
    demand(
        compose_options(subject.name) == compose_options(subject.name),
        "equal options are not equal",
        "leave __eq__ to the dataclass",
    )


@rule
def defaults_make_options(subject: Subject) -> None:
    """The options are made of their defaults, each of the type of its field."""
    _composed(lambda: compose_options(subject.name), "its options")


@rule
def recommendations_compose(subject: Subject) -> None:
    """The YAML holds nothing but keys and values of the core, for sampling and for training."""
    _composed(lambda: compose_sampling(subject.name), "its block 'sampling'")
    _composed(lambda: compose_train([f"modality={subject.name}"]), "its block 'training'")


@rule
def absurd_options_are_refused(subject: Subject) -> None:
    """A number that no medium has, such as -1e9 or nan, or a length of 0, is refused in one line
    with its key.
    """
    hints = get_type_hints(host.options_class(subject.name))
    lengths = growing_keys(subject.modality, subject.small_options)
    for key, hint in hints.items():
        values = _absurd(hint)
        if key in lengths:
            kind = type(getattr(subject.small_options, key))
            values += [kind(0), kind(-1)]
        for value in values:
            message = refusal(
                partial(replace, subject.options, **{key: value}),
                f"{key}={value}",
                "raise LuminaError in __post_init__ of the options",
            )
            demand(
                key in message,
                f"{key}={value} is refused with {message!r}",
                f"name modality.{key} in one line, and what is allowed",
            )


@rule
def illegal_sizes_name_legal_ones(subject: Subject) -> None:
    """A size that no token fits is refused with the nearest one that is legal, never rounded."""
    keys = [
        key
        for key in growing_keys(subject.modality, subject.small_options)
        if type(getattr(subject.small_options, key)) is int
    ]
    if not [key for key in keys if _names_legal_sizes(subject, key)]:
        raise NotApplicableError("no whole number of its options has an illegal value near it")


def _names_legal_sizes(subject: Subject, key: str) -> bool:
    """Whether there is an illegal size near the usual one; breaks the rule where it names none."""
    usual = subject.small_options
    legal = getattr(usual, key)
    shapes = [
        subject.modality.media_shape(replace(usual, **{key: value}))
        for value in (legal, GROWTH * legal)
    ]
    axes = [
        n for n, pair in enumerate(zip(*shapes, strict=True)) if pair == (legal, GROWTH * legal)
    ]
    for size in range(legal + 1, legal + 1 + MAX_STEPS_BESIDE):
        options = replace(usual, **{key: size})
        if _is_legal(subject, key, size):
            made = tuple(subject.modality.media_shape(options))
            demand(
                not axes or size in [made[axis] for axis in axes],
                f"{key}={size} is taken and makes media {made}",
                "refuse a size that is not made, and name the nearest legal ones",
            )
            continue
        message = refusal(
            partial(subject.grid_of, options), f"{key}={size}", "raise LuminaError in media_shape"
        )
        told = {int(text) for text in re.findall(r"\d+", message)} - {size}
        near = _nearest_legal(subject, key, size)
        demand(
            told & near,
            f"{key}={size} is refused with {message!r}, which does not name {near}",
            "name the nearest sizes that are legal",
        )
        return True
    return False


@rule
def media_have_the_shape_they_are_said_to(subject: Subject) -> None:
    """`media_shape` tells the shape of media before any is made."""
    for sample in subject.samples:
        told = tuple(subject.modality.media_shape(sample.options))
        made = subject.decoded(sample.latent, sample.options)
        demand(
            tuple(made.shape) == told,
            f"media_shape says {told}, decoding makes {tuple(made.shape)}",
            "make both agree",
        )


@rule
def features_fit_the_frames(subject: Subject) -> None:
    """The features of a sample are finite numbers, `feature_dim` for each frame of its grid."""
    modality = subject.modality
    for sample in subject.samples:
        found = modality.features(sample.options, sample.grid)
        wanted = (sample.grid.frames, modality.feature_dim)
        if found is None and not modality.feature_dim:
            raise NotApplicableError("its frames have no features")
        shape = None if found is None else tuple(found.shape)
        demand(
            found is not None and shape == wanted and bool(found.isfinite().all()),
            f"features are {shape} or not finite",
            f"give {wanted} finite numbers",
        )


def _composed(compose: Any, what: str) -> None:
    try:
        compose()
    except LuminaError as error:
        raise BrokenRuleError(f"{what} cannot be used: {error}") from error


def _absurd(hint: Any) -> list[Any]:
    """Values of a type that no medium has; none for types that hold no number."""
    kind = get_origin(hint)
    if kind in (Union, UnionType):
        return [value for one in get_args(hint) for value in _absurd(one)]
    if kind is tuple:
        first, *rest = (one for one in get_args(hint) if one is not ...)
        if first is not float or set(rest) - {float}:
            return []
        return [(value, *(1.0 for _ in rest)) for value in NO_NUMBERS]
    return list(ABSURD.get(hint, ()))


def _nearest_legal(subject: Subject, key: str, size: int) -> set[int]:
    """The legal size that is nearest to an illegal one; two, where they are as near."""
    distance = 1
    while True:
        near = {size - distance, size + distance}
        found = {other for other in near if other > 0 and _is_legal(subject, key, other)}
        if found:
            return found
        distance += 1


def _is_legal(subject: Subject, key: str, value: int) -> bool:
    try:
        subject.grid_of(replace(subject.small_options, **{key: value}))
    except Exception:  # what else it may raise is told where it is asked for
        return False
    return True
