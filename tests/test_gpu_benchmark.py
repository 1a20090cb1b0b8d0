"""The benchmark for GPUs runs with tiny widths where there is none."""

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch

from lumina_core.backbone.transformer import Backbone

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "gpu.py"


@pytest.fixture(scope="module")
def benchmark():
    return runpy.run_path(str(SCRIPT))


@pytest.mark.parametrize(
    ("shape", "parameters"),
    [
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
    out, pixels, side = tmp_path / "gpu.json", 64, 4
    words = ["size=tiny", f"pixels={pixels}", "steps=1", "dtype=float32", "device=cpu"]
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *words, f"out={out}"])
    benchmark["main"]()
    assert len(capsys.readouterr().out.splitlines()) == 3
    found = json.loads(out.read_text())
    assert found["device"] == "cpu"
    measured = {each["shape"]: each for each in found["measured"]}
    assert measured.keys() == benchmark["SHAPES"].keys()
    assert measured["flag_dit_5b"]["positions"] == side * side + side  # a separator ends each row
    assert measured["z_image_6b"]["positions"] == 128 + 32  # text, and tokens filled up
    for shape, each in measured.items():
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
    out = tmp_path / "gpu.json"
    words = ["train", "size=tiny", "steps=2", f"vae={tiny_vae}", f"dtype={dtype}", "device=cpu"]
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *words, f"out={out}"])
    benchmark["main"]()
    (found,) = json.loads(out.read_text())["measured"]
    assert "gloo" in found["backend"] and "nccl" not in found["backend"]
    assert found["loss"] > 0 and found["step_seconds"] > 0 and found["tokens_per_second"] > 0


def test_what_is_no_shape_is_refused(benchmark, monkeypatch):
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "flag_dit_6b"])
    with pytest.raises(SystemExit, match="flag_dit_6b is unknown; shapes: flag_dit_5b"):
        benchmark["main"]()
