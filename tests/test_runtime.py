"""Devices and dtypes; tests with the marker `gpu` need a CUDA device and are skipped elsewhere."""

from dataclasses import replace

import pytest
import torch

from lumina_core import LuminaError
from lumina_core.backbone.settings import BACKENDS
from lumina_core.checkpoints import model as checkpoint
from lumina_core.cli.main import main
from lumina_core.config.compose import compose_options
from lumina_core.runtime import resolve_device, resolve_dtype
from lumina_core.sampling.compose import compose_sampling
from lumina_core.sampling.request import Request
from lumina_core.sampling.sample import batches, sample

TOLERANCE = 2  # grey levels of 255: kernels round differently from device to device


def gpu(test):
    """Mark a test that needs a CUDA device."""
    skipped = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
    return pytest.mark.gpu(skipped(test))


@pytest.fixture
def settings():
    values = compose_sampling("image")
    return replace(values, solver=replace(values.solver, num_steps=3), token_budget=10_000)


@pytest.fixture
def requests_():
    options = compose_options("image")
    sizes = [(32, 48), (64, 32), (32, 48), (48, 48)]
    return [
        Request("a red circle", "", seed, replace(options, height=height, width=width))
        for seed, (height, width) in enumerate(sizes)
    ]


@pytest.fixture
def load(tiny_checkpoint):
    def model(device, dtype=torch.float32):
        options = compose_options("image", {"patch_size": 2})
        return checkpoint.load(
            tiny_checkpoint, "image", options, device=torch.device(device), dtype=dtype
        )

    return model


def difference(one, other):
    return max(
        (a.media.int() - b.media.int()).abs().max().item() for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("name", ["tpu", "", "cpu:x", "cuda:-1", "mps", "meta", "cuda:x"])
def test_an_unknown_device_names_those_that_are_known(name):
    with pytest.raises(LuminaError, match=r"is unknown; use auto, cpu, cuda or cuda:N") as error:
        resolve_device(name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:7"])
def test_cuda_that_is_not_there_says_so(name, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(LuminaError, match=f"device={name} is not there: this machine has 0 CUDA"):
        resolve_device(name)


def test_auto_takes_cuda_where_there_is_one(monkeypatch):
    for is_there, wanted in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=is_there: there)
        assert resolve_device("auto") == torch.device(wanted)


def test_dtypes_are_known_by_name():
    assert resolve_dtype("bfloat16") == torch.bfloat16
    with pytest.raises(LuminaError, match="Did you mean 'bfloat16'"):
        resolve_dtype("bfloat")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_runs_on_a_cpu(tiny_checkpoint, tmp_path, dtype):
    words = ["modality.height=32", "modality.width=32", "solver.num_steps=2", "device=cpu"]
    out = tmp_path / "a.png"
    where = ["run", "+modality=image", f"checkpoint={tiny_checkpoint}", f"out={out}"]
    assert main([*where, *words, f"dtype={dtype}", "a star"]) == 0
    assert out.is_file()


def test_half_precision_is_near_to_full(load, requests_, settings):
    full, half = (sample(load("cpu", dtype), requests_[:1], settings) for dtype in
                  (torch.float32, torch.bfloat16))  # fmt: skip
    assert difference(full, half) < 32  # an eighth of the range; noise would differ by all of it


@gpu
def test_cuda_equals_the_cpu(load, requests_, settings):
    on_cpu, on_gpu = (sample(load(name), requests_, settings) for name in ("cpu", "cuda"))
    assert all(item.media.device.type == "cpu" for item in on_gpu)
    assert difference(on_cpu, on_gpu) <= TOLERANCE


@gpu
@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_a_packed_batch_of_mixed_sizes_equals_each_alone(load, requests_, settings, scale):
    settings = replace(settings, guidance=replace(settings.guidance, scale=scale))
    model = load("cuda")
    assert len(list(batches(model, requests_, settings))) == 1
    together = sample(model, requests_, settings)
    alone = [sample(model, [request], settings)[0] for request in requests_]
    assert difference(together, alone) <= TOLERANCE


@gpu
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_on_cuda_is_finite_and_near(load, requests_, settings, dtype):
    half = sample(load("cuda", resolve_dtype(dtype)), requests_, settings)
    assert difference(sample(load("cuda"), requests_, settings), half) < 32


@gpu
@pytest.mark.parametrize("separators", ["true", "false"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_bfloat16_trains_on_cuda_with_every_backend(backend, separators, tiny_training, tmp_path):
    """Steps, a sheet of samples and a validation; test_cuda_rules.py plays this on a CPU."""
    if backend == "xformers":
        pytest.importorskip("xformers")
    words = ["device=cuda", "dtype=bfloat16", f"attention={backend}", "sample_every=2"]
    words += [f"backbone.separators={separators}", "num_sample_prompts=2", "validate_every=2"]
    assert main(["train", *tiny_training(tmp_path / "out", *words)]) == 0


@gpu
def test_a_prompt_file_runs_packed_on_cuda(tiny_checkpoint, tmp_path):
    prompts = tmp_path / "a.jsonl"
    prompts.write_text('{"prompt": "a star", "height": 48}\n{"prompt": "a ring"}\n')
    out = tmp_path / "made"
    where = ["run", "+modality=image", f"checkpoint={tiny_checkpoint}", f"out={out}", "device=cuda"]
    assert main([*where, "modality.width=32", "solver.num_steps=2", f"prompt_file={prompts}"]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["0001-s0.png", "0002-s0.png"]
