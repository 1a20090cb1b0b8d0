import os

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from lumina_core import LuminaError
from lumina_core.media.previews import BACKGROUND, GAP, LINE_HEIGHT, read_sheet, save_contact_sheet

SIDE = 128  # at this size a preview is not enlarged


def uniform(value, height=SIDE, width=SIDE):
    return torch.full((3, height, width), value, dtype=torch.uint8)


def test_sheet_holds_every_preview_in_its_place(tmp_path):
    path = tmp_path / "sheet.png"
    values = [40, 90, 140, 190, 240]
    save_contact_sheet(path, [uniform(v) for v in values], ["x"] * 5)
    pixels = np.asarray(Image.open(path))
    for number, value in enumerate(values):
        top = GAP + number // 2 * (SIDE + GAP + LINE_HEIGHT)
        left = GAP + number % 2 * (SIDE + GAP)
        assert (pixels[top : top + SIDE, left : left + SIDE] == value).all()
    assert tuple(pixels[-1, -1]) == BACKGROUND


def test_sheet_takes_any_mix_of_sizes_and_labels(tmp_path):
    previews = [uniform(9, 8, 30), uniform(9, 50, 4)]
    labels = ["a very long label: " * 40, "雪だるま\n☃ müller"]
    save_contact_sheet(tmp_path / "a.png", previews, labels)
    small, large = uniform(9, 8, 8), uniform(9, 600, 10)
    save_contact_sheet(tmp_path / "b.png", [small, large], ["", ""])
    assert Image.open(tmp_path / "b.png").height >= 600


def test_small_previews_are_enlarged_by_a_whole_factor(tmp_path):
    dots = torch.zeros(3, 2, 2, dtype=torch.uint8)
    dots[:, 0, 0] = 255
    save_contact_sheet(tmp_path / "a.png", [dots], [""])
    pixels = np.asarray(Image.open(tmp_path / "a.png"))[GAP : GAP + SIDE, GAP : GAP + SIDE]
    assert (pixels[: SIDE // 2, : SIDE // 2] == 255).all()
    assert (pixels == 255).sum() == 3 * (SIDE // 2) ** 2


def test_sheet_is_written_whole_or_not_at_all(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LuminaError, match="cannot be written"):
        save_contact_sheet(tmp_path / "file" / "a.png", [uniform(1)], [""])
    assert os.listdir(tmp_path) == ["file"]


def test_a_contact_sheet_says_where_its_pictures_are(tmp_path):
    path = tmp_path / "sheet.png"
    previews = [uniform(shade, 40, 30) for shade in (50, 100, 150)]
    save_contact_sheet(path, previews, ["a", "é <b>", "c"])
    sheet = read_sheet(path)
    image = Image.open(path)
    assert (sheet.width, sheet.height) == image.size
    assert [cell.label for cell in sheet.cells] == ["a", "é <b>", "c"]
    for cell, shade in zip(sheet.cells, (50, 100, 150), strict=True):
        box = (cell.left, cell.top, cell.left + cell.width, cell.top + cell.height)
        assert image.crop(box).getextrema() == ((shade, shade),) * 3
        assert (cell.width, cell.height) == (90, 120)


@pytest.mark.parametrize(
    "text",
    [
        *("[", "7", "{}", "[[0, 0, 9, 9]]", '[[0, 0, 9, 9, "a", 1]]', "[[0, 0, 9, 9, 5]]"),
        *('[[-1, 0, 9, 9, "a"]]', '[[0, 0, 0, 9, "a"]]', '[[0, 0, 99, 9, "a"]]'),
        *('[[0, 0, 9.5, 9, "a"]]', '[[0, 0, true, 9, "a"]]', '[["0", 0, 9, 9, "a"]]'),
    ],
)
def test_places_that_others_wrote_into_a_sheet_lie_in_it_or_are_left_out(tmp_path, text):
    info = PngInfo()
    info.add_itxt("lumina-sheet", text)
    Image.new("RGB", (20, 10)).save(tmp_path / "sheet.png", pnginfo=info)
    assert read_sheet(tmp_path / "sheet.png") == (20, 10, ())
