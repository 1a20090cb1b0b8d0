import json
import os
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
from torch import float32

from lumina_core import LuminaError
from lumina_core.checkpoints.placement import Placed, Placement
from lumina_core.evaluation.comparison import (
    MAX_BYTES,
    compared,
    protocol_of,
    read_result,
    refuse_unlike,
)
from lumina_core.evaluation.compose import compose_evaluate
from lumina_core.sampling.settings import sampling_of


def share(right, count):
    accuracy = right / count
    low, high = max(0, accuracy - 0.1), min(1, accuracy + 0.1)
    return {"accuracy": accuracy, "low": low, "high": high, "num_prompts": count}


def nested(depth):
    value = {}
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.fixture
def result():
    tasks = {"counting": share(3, 5), "position": share(5, 5)}
    return {
        "modality": "toy",
        "checkpoint": "a" * 64,
        "protocol": {
            "modality": "toy", "oracle": "1", "seed": 0, "num_prompts": 10,
            "splits": {"trained": ["counting", "position"]}, "options": {"rate": 8},
            "solver": {"name": "euler", "num_steps": 10}, "guidance": {"interval": [0.0, 1.0]},
            "rope_scaling": {}, "longest_side": None, "proportional_attention": None,
            "dtype": "float32",
        },
        "splits": {"trained": share(8, 10) | {"tasks": tasks}},
    }  # fmt: skip


@pytest.fixture
def write(tmp_path):
    def path(content):
        file = tmp_path / "earlier.json"
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        return file

    return path


def test_what_changed_is_said_per_split_and_task(result):
    now = deepcopy(result)
    now["splits"]["trained"]["tasks"]["counting"] = share(4, 5)
    now["splits"]["trained"] |= share(9, 10)
    now["protocol"]["solver"]["num_steps"] = 20
    now["protocol"]["dtype"] = "bfloat16"
    found = compared(result, now)
    assert found["checkpoint"] == "a" * 64
    assert found["settings"] == {
        "solver.num_steps": [10, 20],
        "dtype": ["float32", "bfloat16"],
    }
    trained = found["splits"]["trained"]
    assert trained["difference"] == pytest.approx(0.1)
    assert trained["then"] == pytest.approx({"accuracy": 0.8, "low": 0.7, "high": 0.9})
    assert trained["now"]["high"] == 1
    assert trained["tasks"]["counting"]["difference"] == pytest.approx(0.2)
    assert trained["tasks"]["position"]["difference"] == 0


def test_nothing_changes_against_itself(result):
    found = compared(result, result)
    assert found["settings"] == {}
    assert found["splits"]["trained"]["difference"] == 0


@pytest.mark.parametrize(
    ("key", "value"),
    [("oracle", "2"), ("seed", 1), ("num_prompts", 9), ("modality", "other")],
)
def test_unlike_protocols_are_refused_by_name(result, write, key, value):
    protocol = result["protocol"] | {key: value}
    old = result["protocol"][key]
    with pytest.raises(LuminaError) as error:
        refuse_unlike(read_result(write(result)), protocol, "earlier.json")
    message = f"compare=earlier.json was measured with {key}={old!r}, this would be with {value!r}"
    assert message in str(error.value)


def test_missing_splits_and_other_tasks_are_refused(result):
    refuse_unlike(result, result["protocol"], "x")
    for splits, message in (
        ({"held_out": []}, "x has no split 'held_out'; .* splits=\\[trained\\]"),
        ({"trained": ["counting"]}, "x has the tasks counting, position in split 'trained'"),
    ):
        with pytest.raises(LuminaError, match=message):
            refuse_unlike(result, result["protocol"] | {"splits": splits}, "x")


def test_settings_may_differ(result):
    refuse_unlike(result, result["protocol"] | {"dtype": "bfloat16", "solver": {}}, "x")


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "5", "null", "{}", "[" * 100_000, '{"files": []}'],
)
def test_a_foreign_file_is_refused(write, content):
    with pytest.raises(LuminaError, match="is no result of `evaluate json=true`"):
        read_result(write(content))
    with pytest.raises(LuminaError, match=f"cannot be read: it has more than {MAX_BYTES} bytes"):
        read_result(write(" " * (MAX_BYTES + 1)))


def test_what_never_ends_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(LuminaError, match="cannot be read: it is no regular file"):
            read_result(path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda result: result.pop("protocol"),
        lambda result: result["protocol"].pop("oracle"),
        lambda result: result.update(protocol="modality oracle seed num_prompts"),
        lambda result: result.update(protocol=["modality", "oracle", "seed", "num_prompts"]),
        lambda result: result["protocol"].update(solver=nested(300)),
        lambda result: result.update(checkpoint=5),
        lambda result: result.update(splits=["trained"]),
        lambda result: result["splits"]["trained"].pop("tasks"),
        lambda result: result["splits"]["trained"].update(accuracy=80),
        lambda result: result["splits"]["trained"].update(low=float("nan")),
        lambda result: result["splits"]["trained"]["tasks"].update(counting="good"),
    ],
)
def test_a_damaged_result_is_refused(result, write, damage):
    read_result(write(result))
    damage(result)
    with pytest.raises(LuminaError, match="is no result of `evaluate json=true`"):
        read_result(write(result))


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(LuminaError, match="cannot be read: No such file"):
        read_result(tmp_path / "nowhere.json")
    with pytest.raises(LuminaError, match="cannot be read: Is a directory"):
        read_result(tmp_path)
    (tmp_path / "a").write_bytes(b"\xff\xfe")
    with pytest.raises(LuminaError, match="is no result"):
        read_result(tmp_path / "a")


def test_weights_in_8_bits_are_a_setting_that_may_differ(result, tiny_model):
    config = compose_evaluate(["modality=image"])
    rounded = Placed(tiny_model.backbone, Placement(tiny_model.device, float32, quantise="int8"))
    exact, other = (
        protocol_of(model, config, sampling_of(config))
        for model in (tiny_model, replace(tiny_model, placed=rounded))
    )
    assert other == exact | {"quantise": "int8"}
    changed = compared(result, {**result, "protocol": result["protocol"] | {"quantise": "int8"}})
    assert changed["settings"] == {"quantise": [None, "int8"]}
