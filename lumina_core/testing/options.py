"""Rules about a modality's options: how they are typed, checked and turned into shapes."""

import dataclasses
import re
from dataclasses import replace
from math import inf, nan
from typing import Any, get_args, get_origin, get_type_hints

from lumina_core import host
from lumina_core.config import compose_options, compose_sampling, compose_train
from lumina_core.errors import LuminaError
from lumina_core.layers import modality_options
from lumina_core.testing.contract import BrokenRuleError, NotApplicableError, demand, rule
from lumina_core.testing.subject import Subject

ABSURD = {int: (-(10**9), 10**12), float: (nan, inf, -1e12)}
MAX_STEPS_BESIDE = 4  # above and below a size of the world, looking for one that is illegal


@rule
def options_are_frozen_and_comparable(subject: Subject) -> None:
    """The options are a frozen dataclass, so that equal options are equal and none is changed."""
    found: Any = host.options_class(subject.name)
    demand(
        found.__dataclass_params__.frozen,
        f"{found.__name__} is not frozen",
        "write @dataclass(frozen=True)",
    )
    demand(
        compose_options(subject.name) == compose_options(subject.name),
        "equal options are not equal",
        "leave __eq__ to the dataclass",
    )


@rule
def yaml_and_options_agree(subject: Subject) -> None:
    """The YAML has a value of the right type for each field of the options, and no other key."""
    fields = {field.name for field in dataclasses.fields(host.options_class(subject.name))}
    keys = set(modality_options(subject.name))
    demand(keys >= fields, f"the YAML lacks {sorted(fields - keys)}", "give each a value there")
    demand(fields >= keys, f"nothing reads {sorted(keys - fields)}", "delete it from the YAML")
    _composed(lambda: compose_options(subject.name), "its options")


@rule
def recommendations_compose(subject: Subject) -> None:
    """What the YAML recommends for sampling and training are keys and values of the core."""
    _composed(lambda: compose_sampling(subject.name), "its block 'sampling'")
    _composed(lambda: compose_train([f"modality={subject.name}"]), "its block 'training'")


@rule
def absurd_options_are_refused(subject: Subject) -> None:
    """A number that no medium has, such as -1e9 or nan, is refused in one line with its key."""
    hints = get_type_hints(host.options_class(subject.name))
    for key, hint in hints.items():
        choices = [] if get_origin(hint) is tuple else get_args(hint)  # of int | None, say
        kinds = [kind for kind in (hint, *choices) if kind in ABSURD]
        for value in (value for kind in kinds for value in ABSURD[kind]):
            try:
                replace(subject.options, **{key: value})
            except LuminaError as error:
                demand(
                    key in str(error) and "\n" not in str(error),
                    f"{key}={value} is refused with {str(error)!r}",
                    f"name modality.{key} in one line, and what is allowed",
                )
                continue
            raise BrokenRuleError(
                f"{key}={value} is accepted; check it in __post_init__ of the options"
            )


@rule
def illegal_sizes_name_legal_ones(subject: Subject) -> None:
    """A size that no token fits is refused with the nearest one that is legal."""
    key, legal = _sized_key(subject)
    for size in range(legal + 1, legal + 1 + MAX_STEPS_BESIDE):
        options = replace(subject.options, **{key: size})
        try:
            subject.grid_of(options)
        except LuminaError as error:
            told = {int(text) for text in re.findall(r"\d+", str(error))} - {size}
            near = _nearest_legal(subject, key, size)
            demand(
                told & near,
                f"{key}={size} is refused with {str(error)!r}, which does not name {near}",
                "name the nearest sizes that are legal",
            )
            return
    raise NotApplicableError(f"every {key} near {legal} is legal")


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
    modality: Any = subject.modality
    if not getattr(modality, "feature_dim", 0):
        raise NotApplicableError("its frames have no features")
    for sample in subject.samples:
        found = modality.features(sample.options, sample.grid)
        wanted = (sample.grid.frames, modality.feature_dim)
        demand(
            tuple(found.shape) == wanted and bool(found.isfinite().all()),
            f"features are {tuple(found.shape)} or not finite",
            f"give {wanted} finite numbers",
        )


def _composed(compose: Any, what: str) -> None:
    try:
        compose()
    except LuminaError as error:
        raise BrokenRuleError(f"{what} cannot be used: {error}") from error


def _sized_key(subject: Subject) -> tuple[str, int]:
    """A whole number by which the world's sizes differ, and its value in the options."""
    for sample in subject.samples:
        for field in dataclasses.fields(sample.options):
            value = getattr(subject.options, field.name)
            if type(value) is int and getattr(sample.options, field.name) != value:
                return field.name, value
    raise NotApplicableError("no whole number of its options changes a size")


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
        subject.grid_of(replace(subject.options, **{key: value}))
    except LuminaError:
        return False
    return True
