"""Given pictures through the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from lumina_core.cli import main

SMALL = ["modality.height=32", "modality.width=32", "solver.num_steps=2", "device=cpu"]


@pytest.fixture
def read(tiny_model):
    return tiny_model.modality.decoder.read


@pytest.fixture
def files(tmp_path):
    """Write pictures: a gradient of a size, and a mask that is white in a box."""

    def write(name, height, width, box=None):
        if box is None:
            rows = np.linspace(0, 255, height)[:, None, None]
            array = np.broadcast_to(rows, (height, width, 3)).astype(np.uint8)
        else:
            array = np.zeros((height, width), np.uint8)
            array[box] = 255
        path = tmp_path / name
        Image.fromarray(array).save(path)
        return str(path)

    return write


@pytest.fixture
def make(tiny_checkpoint, read, tmp_path, capsys):
    """Run a request and give the picture and what was printed."""

    def result(name, *words):
        out = tmp_path / name
        capsys.readouterr()
        first = ["run", "+modality=image", f"checkpoint={tiny_checkpoint}", *SMALL, "a red circle"]
        code = main([*first, f"out={out}", "json=true", *words])
        captured = capsys.readouterr()
        if code:
            return code, captured.err
        return read(out), json.loads(captured.out)

    return result


def test_the_seed_changes_only_what_is_filled(make, files, tiny_model):
    image = files("a.png", 32, 32)
    mask = files("m.png", 32, 32, np.s_[:, 13:])  # the token of columns 8 to 15 is not known
    words = (f"condition.image={image}", f"condition.mask={mask}")
    (filled, _), (other, _) = make("filled.png", *words), make("other.png", *words, "seed=9")
    change = (filled.int() - other.int()).abs().amax(dim=(0, 1))
    assert change[:6].max() < change[16:].max()  # the decoder sees a little beyond a cell


def test_the_strength_says_how_much_of_a_picture_stays(make, files, read, tiny_model):
    image = files("a.png", 32, 32)
    vae = tiny_model.modality.vae
    kept = vae.decode(vae.encode(read(Path(image)))).int()

    def change(strength):
        words = (f"condition.image={image}", f"condition.strength={strength}")
        return (make(f"{strength}.png", *words)[0].int() - kept).abs().float().mean()

    assert change(0.01) < change(0.2) < change(1 - 1e-6)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["condition.image={image}"], "nothing is left to generate"),
        (["condition.strength=0.5"], "changes something that is given"),
        (["condition.image={image}", "condition.strength=0"], "set a share from 1e-06 to 1"),
        (["condition.image=missing.png"], "missing.png"),
        (["condition.mask={image}"], "condition.image=FILE"),
        (["condition.imagee={image}"], "Did you mean 'condition.image'"),
        (["condition.image={image}", "condition.offset=[1]"], "condition.offset"),
        (["condition.image={image}", "condition.strength=1e-17"], "set a share from"),
        (["condition.image={small}"], "only if all of it is given"),
        (["condition.image={image}", "condition.mask={grid}"], "only if all of it is given"),
    ],
)
def test_wrong_conditions_are_one_line(make, files, words, said):
    image = files("a.png", 32, 32)
    small = files("small.png", 4, 4)
    grid = files("grid.png", 32, 32, np.s_[::4, ::4])
    names = {"image": image, "small": small, "grid": grid}
    code, line = make("x.png", *(word.format(**names) for word in words))
    assert code == 2
    assert said in line
    assert line.count("\n") == 1


def test_a_filled_picture_is_repeated_from_the_same_files(make, files, tmp_path, capsys):
    image = files("a.png", 32, 32)
    mask = files("m.png", 32, 32, np.s_[8:])
    words = (f"condition.image={image}", f"condition.mask={mask}")
    _, first = make("first.png", *words)
    repeat = ["run", f"repeat={tmp_path / 'first.png'}", f"out={tmp_path / 'b.png'}"]
    assert main(repeat) == 2
    assert "give it again: condition.image=FILE" in capsys.readouterr().err
    _, again = make("again.png", f"repeat={tmp_path / 'first.png'}", *words)
    assert first["files"][0]["media_sha256"] == again["files"][0]["media_sha256"]


@pytest.mark.parametrize("key", ["image", "mask"])
def test_a_repeated_file_wants_the_very_files_it_was_made_from(make, files, tmp_path, key):
    given = {
        "image": files("a.png", 32, 32),
        "mask": files("m.png", 32, 32, np.s_[8:]),
    }
    make("first.png", *(f"condition.{name}={path}" for name, path in given.items()))
    given[key] = files("other.png", 32, 32, np.s_[:16])
    words = (f"condition.{name}={path}" for name, path in given.items())
    code, line = make("again.png", f"repeat={tmp_path / 'first.png'}", *words)
    assert code == 2
    assert f"condition.{key}={given[key]} differs from the file" in line
    assert line.count("\n") == 1
    assert not (tmp_path / "again.png").exists()


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
def test_a_damaged_request_is_one_line(tmp_path, capsys, damage):
    info = PngInfo()
    info.add_itxt("lumina", json.dumps({"modality": "image", "prompt": "a red circle"} | damage))
    path = tmp_path / "a.png"
    Image.new("RGB", (32, 32)).save(path, pnginfo=info)
    assert main(["run", f"repeat={path}", "solver.num_steps=2", f"out={tmp_path / 'b.png'}"]) == 2
    line = capsys.readouterr().err
    assert "a.png carries a broken request" in line
    assert line.count("\n") == 1
