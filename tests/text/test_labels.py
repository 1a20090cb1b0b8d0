"""A class is found by its number and by its names, and what names none is refused."""

from pathlib import Path

import pytest

from lumina_core.errors import LuminaError
from lumina_core.plugins import host
from lumina_core.text.labels import LabelEncoder, read_labels

NAMES = "# of a test\ntench, Tinca tinca\ncrane\ngoldfish\ncrane\n"


@pytest.fixture
def encoder(tmp_path):
    (tmp_path / "few.txt").write_text(NAMES)
    return LabelEncoder(4, tmp_path / "few.txt")


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0), ("3", 3), ("Tinca  TINCA", 0), ("goldfish", 2), ("", 4)]
)
def test_a_class_has_a_number_and_names(encoder, text, number):
    assert encoder.number(text) == number


def test_features_are_the_numbers(encoder):
    features, lengths = encoder.encode(["goldfish", "", "goldfish"])
    assert features.flatten().tolist() == [2.0, 4.0, 2.0]
    assert lengths == (1, 1, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("crane", "'crane' names the classes 1 and 3; write the number"),
        ("goldfisch", r"'goldfisch' is no class .* 0 to 3 .*goldfish"),
        ("4", "'4' is no class"),
        ("-1", "'-1' is no class"),
        ("\x1b[31m", "no class"),
    ],
)
def test_what_names_no_class_is_refused(encoder, text, message):
    with pytest.raises(LuminaError, match=message) as caught:
        encoder.number(text)
    assert "\n" not in str(caught.value) and "\x1b" not in str(caught.value)


def test_without_names_numbers_are_left():
    assert LabelEncoder(10).number("7") == 7
    with pytest.raises(LuminaError, match="write a number from 0 to 9"):
        LabelEncoder(10).number("dog")


def test_imagenet_has_its_classes():
    path = host.conf_folder("image") / "labels" / "imagenet.txt"
    assert len(read_labels(path)) == 1000
    encoder = LabelEncoder(1000, path)
    known = {
        "golden retriever": 207,
        "otter": 360,
        "macaw": 88,
        "volcano": 980,
        "toilet tissue": 999,
    }
    assert {name: encoder.number(name) for name in known} == known


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(LuminaError, match=r"none\.txt cannot be read"):
        LabelEncoder(3, Path(tmp_path / "none.txt")).number("x")
