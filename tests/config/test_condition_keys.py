"""Given pictures through the command line."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo


def picture(path, side=32):
    """Write one that turns from black to white."""
    Image.linear_gradient("L").resize((side, side)).convert("RGB").save(path)
    return path


def mask(path, box):
    """Write one that is white in a box."""
    array = np.zeros((32, 32), np.uint8)
    array[box] = 255
    Image.fromarray(array).save(path)
    return path


@pytest.fixture
def both(work):
    """The words that give a picture and a mask of the rows below the first token."""
    image, below = picture(work / "a.png"), mask(work / "m.png", np.s_[8:])
    return [f"condition.image={image}", f"condition.mask={below}"]


@pytest.fixture
def read(tiny_model):
    return tiny_model.modality.decoder.read


@pytest.fixture
def made(make, read):
    """Make a red circle and read it."""
    return lambda *words: read(Path(make("a red circle", *words)["files"][0]["path"])).int()


def test_the_seed_changes_only_what_is_filled(made, work):
    image = picture(work / "a.png")
    right = mask(work / "m.png", np.s_[:, 13:])  # the token of columns 8 to 15 is not known
    words = (f"condition.image={image}", f"condition.mask={right}")
    change = (made(*words) - made(*words, "seed=9")).abs().amax(dim=(0, 1))
    assert change[:6].max() < change[16:].max()  # the decoder sees a little beyond a cell


def test_the_strength_says_how_much_of_a_picture_stays(made, read, work, tiny_model):
    image = picture(work / "a.png")
    vae = tiny_model.modality.vae
    kept = vae.decode(vae.encode(read(image))).int()

    def change(strength):
        again = made(f"condition.image={image}", f"condition.strength={strength}")
        return (again - kept).abs().float().mean()

    assert change(0.01) < change(0.2) < change(1 - 1e-6)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["condition.image=a.png"], "nothing is left to generate"),
        (["condition.strength=0.5"], "changes something that is given"),
        (["condition.image=a.png", "condition.strength=0"], "set a number from 1e-06 to 1"),
        (["condition.image=missing.png"], "missing.png"),
        (["condition.mask=a.png"], "condition.image=FILE"),
        (["condition.image="], "condition.image is empty. Give a path"),
        (["condition.image=a.png", "condition.mask="], "condition.mask is empty"),
        (
            ["condition=1"],
            "condition.strength, condition.label, condition.image, condition.mask, "
            "condition.offset",
        ),
        (["condition.imagee=a.png"], "Did you mean 'condition.image'"),
        (["condition.image=a.png", "condition.offset=[1]"], "condition.offset"),
        (["condition.image=a.png", "condition.strength=1e-17"], "set a number from"),
        (["condition.image=small.png"], "only if all of it is given"),
        (["condition.image=a.png", "condition.mask=grid.png"], "only if all of it is given"),
    ],
)
def test_wrong_conditions_are_one_line(clean_refusal, ask, work, words, said):
    picture(work / "a.png")
    picture(work / "small.png", 4)
    mask(work / "grid.png", np.s_[::4, ::4])
    assert said in clean_refusal(*ask("a red circle", *words))


def test_a_filled_picture_is_repeated_from_the_same_files(make, both, refusal):
    (first,) = make("a red circle", "out=first.png", *both)["files"]
    error = refusal("run", "repeat=first.png", "out=b.png")
    assert "give it again: condition.image=FILE" in error
    (again,) = make("a red circle", "repeat=first.png", "out=again.png", *both)["files"]
    assert first["media_sha256"] == again["media_sha256"]


@pytest.mark.parametrize("number", [0, 1], ids=["image", "mask"])
def test_a_repeated_file_wants_the_very_files_it_was_made_from(
    make, ask, both, clean_refusal, work, number
):
    make("a red circle", "out=first.png", *both)
    other = mask(work / "other.png", np.s_[:16])
    both[number] = f"{both[number].partition('=')[0]}={other}"
    error = clean_refusal(*ask("a red circle", "repeat=first.png", *both))
    assert f"{both[number]} differs from the file" in error


def test_what_never_ends_is_not_hashed_for_a_repeated_file(make, ask, both, clean_refusal, work):
    make("a red circle", "out=first.png", *both)
    os.mkfifo(work / "pipe")
    for path in ("/dev/zero", "pipe"):
        words = ("repeat=first.png", f"condition.image={path}", both[1])
        error = clean_refusal(*ask("a red circle", *words))
        assert f"condition.image={path} cannot be read: it is no regular file" in error


@pytest.mark.parametrize(
    "damage",
    [
        {"condition": "abc"},
        {"condition": 5},
        {"condition": []},
        {"condition": {"files": ["image"]}},
        {"condition": {"files": None}},
        {"condition": {"files": {"image": 5}}},
        {"solver": 5},
        {"guidance": None},
        {"guidance": [1]},
        {"rope_scaling": "linear"},
        {"options": "height"},
    ],
)
def test_a_damaged_request_is_one_line(tmp_path, refusal, damage):
    info = PngInfo()
    info.add_itxt("lumina", json.dumps({"modality": "image", "prompt": "a red circle"} | damage))
    path = tmp_path / "a.png"
    Image.new("RGB", (32, 32)).save(path, pnginfo=info)
    error = refusal("run", f"repeat={path}", "solver.num_steps=2", f"out={tmp_path / 'b.png'}")
    assert "a.png carries a broken request" in error
