"""What others mean by the name of a file."""

import os
from unicodedata import normalize

import pytest

from lumina_core.media.file_names import finder

COMPOSED, APART = (normalize(form, "é") for form in ("NFC", "NFD"))


@pytest.fixture
def folder(tmp_path):
    """Folders and files of odd spellings."""
    for name in ("train/a.png", "b.JPG", f"d{APART}/{COMPOSED}{APART}.png", "x\\y.png", "x/y.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("train/a.png", "train/a.png"),
        ("train\\a.png", "train/a.png"),
        (".\\train\\a.PNG", "train/a.png"),
        ("x\\y.png", "x\\y.png"),  # as it stands
        ("b.jpg", "b.JPG"),
        (f"d{COMPOSED}/{APART}{COMPOSED}.png", f"d{APART}/{COMPOSED}{APART}.png"),
        (f"d{COMPOSED}\\{COMPOSED}{COMPOSED}.Png", f"d{APART}/{COMPOSED}{APART}.png"),
        ("train", "train"),
        ("c.png", None),
        ("B.jpg", None),
        ("b", None),
        ("c/d/e.png", None),
        ("b.JPG/c", None),
        ("a\0b", None),
        ("a" * 300, None),
    ],
)
def test_finder_understands_names_of_other_systems(folder, name, found):
    assert finder(folder)(name) == (found and folder / found)


def test_finder_takes_what_a_name_leaves_out_and_what_will_do(folder):
    (folder / "train.png").write_text("")
    assert finder(folder, ("", ".png", ".jpg"))("train") == folder / "train"
    assert finder(folder, ("", ".png"), os.path.isfile)("train") == folder / "train.png"
    assert finder(folder, ("", ".png", ".jpg"), os.path.isfile)("b") == folder / "b.JPG"


def test_finder_guesses_nothing_where_two_fit(folder):
    (folder / "b.Jpg").write_text("")
    assert finder(folder)("b.jpg") is None
    assert finder(folder)("b.Jpg") == folder / "b.Jpg"
