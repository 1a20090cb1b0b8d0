import os

import numpy as np
import pytest
import torch
from PIL import Image

from lumina_core import LuminaError
from lumina_core.media.previews import BACKGROUND, GAP, LINE_HEIGHT, save_contact_sheet

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
