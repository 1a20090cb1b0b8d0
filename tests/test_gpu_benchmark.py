"""The benchmark for GPUs runs with tiny widths where there is none."""

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch

from lumina_core.backbone.transformer import Backbone

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "gpu.py"


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    return runpy.run_path(str(SCRIPT))


def measured(benchmark, monkeypatch, out, *words):
    """What the command writes of cases."""
    fixed = ["size=tiny", "steps=1", "device=cpu", f"out={out}"]
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *fixed, *words])
    benchmark["main"]()
    return json.loads(out.read_text())["measured"]


@pytest.mark.parametrize(
    ("shape", "parameters"),
    [
        ("flag_dit_600m", 814_459_936),
        ("flag_dit_5b", 5_046_643_744),
        ("z_image_6b", 6_154_908_736),
        ("flag_dit_7b", 8_371_142_688),
    ],
)
def test_the_shapes_are_those_of_releases(benchmark, shape, parameters):
    with torch.device("meta"):
        backbone = Backbone(benchmark["config_of"](shape, "released"))
    assert sum(weight.numel() for weight in backbone.parameters()) == parameters


def test_tiny_shapes_are_measured_on_a_cpu(benchmark, tmp_path, monkeypatch, capsys):
    pixels, side = 64, 4
    shapes = list(benchmark["SHAPES"])
    found = measured(
        *(benchmark, monkeypatch, tmp_path / "gpu.json"),
        *(*shapes, f"pixels={pixels}", "dtype=float32"),
    )
    assert len(capsys.readouterr().out.splitlines()) == len(shapes)
    by_shape = {each["case"]: each for each in found}
    assert list(by_shape) == shapes
    assert by_shape["flag_dit_5b"]["positions"] == side * side + side  # a separator ends each row
    assert by_shape["z_image_6b"]["positions"] == 128 + 32  # text, and tokens filled up
    for shape, each in by_shape.items():
        assert each["step_seconds"] > 0
        assert 0 < each["share"] < 10
        blocks = Backbone(benchmark["config_of"](shape, "tiny")).blocks
        parts = [part for part in blocks.modules() if isinstance(part, torch.nn.Linear)]
        ours = sum(part.weight.numel() for part in parts if part.in_features != 32)
        least = 2 * 2 * each["positions"] * ours / 1e12  # two samples, a product and a sum
        assert least < each["step_tflop"] < 2 * least


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_step_of_training_is_measured_by_the_command_itself(
    benchmark, tiny_vae, small_vocabulary, tmp_path, monkeypatch, dtype
):
    words = ["train", "steps=2", f"vae={tiny_vae}", f"dtype={dtype}"]
    (found,) = measured(benchmark, monkeypatch, tmp_path / "gpu.json", *words)
    assert "gloo" in found["backend"] and "nccl" not in found["backend"]
    assert found["loss"] > 0 and found["step_seconds"] > 0 and found["tokens_per_second"] > 0


def test_backends_are_compared_or_said_to_be_absent(benchmark, tmp_path, monkeypatch):
    out = tmp_path / "gpu.json"
    found = measured(benchmark, monkeypatch, out, "backends", "dtype=bfloat16")
    by_name = {(each["attention"], each["backend"]): each for each in found}
    assert len(by_name) == 6
    for kind in ("self", "text"):
        own = by_name[kind, "sdpa"]
        assert 0 < own["forward_seconds"] < own["both_seconds"]
        assert all(1e-4 < error < 0.02 for error in own["errors"])  # that of bfloat16
        assert "CUDA" in by_name[kind, "varlen"]["absent"]


def test_pictures_beside_pipelines_have_their_latents(benchmark, tmp_path, monkeypatch):
    words = ["beside", "pixels=64", "dtype=float32", "steps=2"]
    found = measured(benchmark, monkeypatch, tmp_path / "gpu.json", *words)
    assert [each["family"] for each in found] == ["lumina_next", "lumina2", "z_image"]
    assert all(each["ratio"] > 0 and each["distance"] < 1e-4 for each in found)


def test_a_long_sequence_is_measured_and_the_rest_left_out_when_time_is_over(
    benchmark, tmp_path, monkeypatch
):
    out = tmp_path / "gpu.json"
    (found,) = measured(benchmark, monkeypatch, out, "long", "dtype=float32")
    assert found["positions"] == 1024
    assert found["blocks"] == 2
    assert found["seconds"] > 0 and found["tflops"] > 0
    found = measured(benchmark, monkeypatch, out, "minutes=0")
    assert {each["case"] for each in found} == set(benchmark["CASES"])
    assert all("left_out" in each for each in found)


def test_what_is_no_case_is_refused(benchmark, monkeypatch):
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "flag_dit_6b"])
    with pytest.raises(SystemExit, match="flag_dit_6b is unknown; cases: backends, flag_dit_600m"):
        benchmark["main"]()
