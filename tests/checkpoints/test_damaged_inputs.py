"""Whatever stands in a file that a user names: one line, or read as it is legal; never a fault."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lumina_core import LuminaError
from lumina_core.data.listing import list_folder
from lumina_core.data.manifests import list_manifest
from lumina_core.evaluation.comparison import compared, read_result, refuse_unlike
from lumina_core.sampling.compose import compose_run
from lumina_core.sampling.prompt_file import read_prompts

NUM_DAMAGES = 20  # of each file, beside those that are written out
VALUES = (None, True, 0, -1, 1e400, 10**400, "", "x", "\ud800", "\0", [], [[]], {}, {"a": 1})

SHARE = {"accuracy": 0.5, "low": 0.1, "high": 0.9, "num_prompts": 2}
RESULT = {
    "checkpoint": "a" * 64,
    "protocol": {
        "modality": "image", "oracle": "1", "seed": 0, "num_prompts": 2,
        "options": {}, "solver": {"name": "euler"}, "dtype": "float32",
    },
    "splits": {"trained": SHARE | {"tasks": {"color": SHARE}}},
}  # fmt: skip
PROTOCOL = RESULT["protocol"] | {"splits": {"trained": ["color"]}}
PROMPTS = [
    {"prompt": "a red circle", "seed": 3, "height": 32, "width": 64, "negative_prompt": ""},
    {"prompt": "two blue squares"},
]
RECORDS = [
    {"file_name": "a.png", "text": "a cat"},
    {"path": "b.png", "conversations": [{"from": "gpt", "value": "a dog"}]},
]


def damaged(text, rng):
    """Bytes with a cut, a lost piece, a foreign byte, or a piece that stands there twice."""
    data = bytearray(text if isinstance(text, bytes) else text.encode())
    at = rng.randrange(len(data))
    kind = rng.randrange(4)
    if kind == 0:
        return bytes(data[:at])
    if kind == 1:
        return bytes(data[:at] + data[at + rng.randrange(1, 9) :])
    if kind == 2:
        data[at] = rng.randrange(256)
        return bytes(data)
    return bytes(data[:at] + data[max(0, at - 20) :])


def with_other_value(value, rng):
    """A value of JSON with one of its parts, at any depth, replaced by one of another kind."""
    if not isinstance(value, dict | list) or not value or rng.random() < 0.15:
        return rng.choice(VALUES)
    keys = list(value) if isinstance(value, dict) else range(len(value))
    key = rng.choice(keys)
    changed = dict(value) if isinstance(value, dict) else list(value)
    changed[key] = with_other_value(value[key], rng)
    return changed


def lines(records):
    return "\n".join(json.dumps(record) for record in records)


def read_comparison(path):
    earlier = read_result(path)
    refuse_unlike(earlier, PROTOCOL, path)
    compared(earlier, RESULT | {"protocol": PROTOCOL})


@pytest.fixture
def config(tiny_checkpoint):
    words = [f"checkpoint={tiny_checkpoint}", "prompt_file=x.txt"]
    return compose_run(["modality=image", *words])


@pytest.fixture
def is_refused():
    """Read a file, and tell whether it was refused."""

    def result(read, path):
        try:
            read(path)
        except LuminaError as error:
            assert "\n" not in str(error)
            return True
        return False

    return result


@pytest.mark.parametrize(
    ("name", "value", "as_text"),
    [
        ("a.txt", ["a red circle", "a blue square"], "\n".join),
        ("a.jsonl", PROMPTS, lines),
        ("compare.json", RESULT, json.dumps),
        ("manifest.json", RECORDS, json.dumps),
        ("manifest.jsonl", RECORDS, lines),
        ("metadata.jsonl", RECORDS, lines),
    ],
)
def test_a_damaged_text_is_refused_or_read(tmp_path, config, is_refused, name, value, as_text):
    path = tmp_path / name
    (tmp_path / "a.png").touch()
    read = {
        "compare.json": read_comparison,
        "manifest.json": list_manifest,
        "manifest.jsonl": list_manifest,
        "metadata.jsonl": lambda path: list_folder(path.parent, (".png",)),
    }.get(name, lambda path: read_prompts(path, config))
    path.write_text(as_text(value))
    assert not is_refused(read, path)
    rng = random.Random(name)
    contents = [damaged(as_text(value), rng) for _ in range(NUM_DAMAGES)]
    if name != "a.txt":
        others = [with_other_value(value, rng) for _ in range(NUM_DAMAGES)]
        others = [other for other in others if as_text is json.dumps or isinstance(other, list)]
        contents += [as_text(other).encode() for other in others]
    contents += [b"", b"\0", b"[" * 100_000, b"\xff\xfe", b"1" * 5000]
    refused = []
    for content in contents:
        path.write_bytes(content)
        refused.append(is_refused(read, path))
    assert any(refused) or name == "metadata.jsonl"  # which only leaves items out


@pytest.mark.parametrize("suffix", [".png", ".webp", ".jpg"])
@pytest.mark.parametrize("key", ["image", "mask"])
def test_a_damaged_given_picture_is_refused_or_read(tmp_path, tiny_model, is_refused, suffix, key):
    from lumina_image.options import ImageCondition

    whole, broken = tmp_path / f"whole{suffix}", tmp_path / f"broken{suffix}"
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(whole)
    options = tiny_model.modality.options
    given = {"image": str(whole), "mask": None, "offset": None}

    def read(path: Path):
        wanted = ImageCondition(**given | {key: str(path)})
        tiny_model.modality.condition(wanted, options)

    assert not is_refused(read, whole)
    rng = random.Random(suffix)
    contents = [damaged(whole.read_bytes(), rng) for _ in range(NUM_DAMAGES)]
    refused = []
    for content in [*contents, b"", b"\0" * 100]:
        broken.write_bytes(content)
        refused.append(is_refused(read, broken))
    assert any(refused)
