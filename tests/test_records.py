"""Fields that say everything about a key, and the bounds that a record checks with them."""

from dataclasses import dataclass, fields, replace

import pytest

from lumina_core import LuminaError, Options, Settings, setting
from lumina_core.records import block, block_of, build, fixed_names, setting_of


@dataclass(frozen=True)
class Place(Settings, block="modality.place"):
    across: int = setting(1, "to the right", unit="cells", at_least=0)


@dataclass(frozen=True)
class ToyOptions(Options):
    height: int = setting(32, "of the toy", unit="pixels", at_least=1, at_most=1 << 20)
    patch: tuple[int, int] = setting((2, 2), "of a token", at_least=1, fixed=True)
    ratio: float = setting(1.0, above=0, below=4)
    share: float | None = setting(None, at_least=0.0, at_most=1.0)
    shift: float = setting(0.0)
    strength: float = setting(1.0, above=0, at_most=1)
    kind: str = setting("big", "how large", choices=("big", "small"))
    angle: float | tuple[float, ...] = setting(0.0, below=90)
    place: Place = block(Place)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"height": 0}, "height is 0; set a whole number from 1 to 1048576."),
        ({"height": 1 << 21}, "height is 2097152; set a whole number from 1 to 1048576."),
        ({"patch": (2, 0)}, "patch is [2, 0]; set whole numbers of at least 1."),
        ({"ratio": 4.0}, "ratio is 4.0; set a finite number above 0 and below 4."),
        ({"ratio": float("nan")}, "ratio is nan; set a finite number above 0 and below 4."),
        ({"share": 1.5}, "share is 1.5; set a number from 0 to 1, or null."),
        ({"shift": float("inf")}, "shift is inf; set a finite number."),
        ({"strength": 2.0}, "strength is 2.0; set a finite number above 0 and at most 1."),
        ({"kind": "bgi"}, "kind is 'bgi'; choose one of big, small. Did you mean 'big'?"),
        ({"angle": (0.0, 90.0)}, "angle is [0.0, 90.0]; set finite numbers below 90."),
        ({"place": {"across": -1}}, "place.across is -1; set a whole number of at least 0."),
    ],
)
def test_a_value_out_of_bounds_is_refused_with_what_is_allowed(values, said):
    with pytest.raises(LuminaError) as raised:
        build(ToyOptions, values, "modality.")
    assert str(raised.value) == f"modality.{said}"
    if "place" not in values:
        with pytest.raises(LuminaError, match=r"^modality\."):  # in Python, too
            replace(ToyOptions(), **values)


def test_bounds_are_within_and_null_is_no_number():
    options = ToyOptions(height=1 << 20, ratio=0.1, share=None, strength=1.0, angle=-500.0)
    assert replace(options, share=0.0).share == 0
    assert options.place == Place(1)


def test_a_field_says_all_about_its_key():
    height, patch, *_, place = fields(ToyOptions)
    about = setting_of(height)
    assert (height.default, about.meaning, about.unit) == (32, "of the toy", "pixels")
    assert block_of(place).record is Place
    assert block_of(patch) is None
    assert fixed_names(ToyOptions) == fixed_names(ToyOptions()) == ["patch"]


def test_a_check_of_two_fields_stands_behind_that_of_each():
    @dataclass(frozen=True)
    class Span(Settings, block="span"):
        low: int = setting(0, at_least=0)
        high: int = setting(1, at_least=0)

        def __post_init__(self):
            super().__post_init__()
            if self.low >= self.high:
                raise LuminaError("low is not below high")

    with pytest.raises(LuminaError, match=r"^span\.low is -1"):
        Span(low=-1, high=-2)
    with pytest.raises(LuminaError, match="not below"):
        Span(low=3)
