"""What a run costs: figures of several steps, the peak that they are shares of, the time left."""

import time
from types import SimpleNamespace

import pytest
import torch

from lumina_core.backbone.cost import Sizes, flops
from lumina_core.backbone.settings import BackboneConfig
from lumina_core.backbone.transformer import Backbone
from lumina_core.data.source import CaptionedSample
from lumina_core.sequence import Grid, TokenSample
from lumina_core.training import machine
from lumina_core.training.machine import Peak, matmul_peak, peak_bytes
from lumina_core.training.meter import SLOWEST, Meter, Pace

CPU = torch.device("cpu")
CONFIG = BackboneConfig(token_dims={"image": 4}, depth=1)
SHAPE = (CONFIG.hidden_size, CONFIG.ffn_dim)


@pytest.fixture
def meter(monkeypatch):
    """One whose texts have as many tokens as letters, of a device with a peak of 1000."""
    monkeypatch.setattr("lumina_core.training.meter.matmul_peak", lambda *_: Peak(1e3, "measured"))
    return Meter(trained([True, True]), torch.float32)


def trained(are_trained):
    """A model of as many weights, each trained or not, with a token of text for each letter."""
    weights = [torch.nn.Parameter(torch.zeros(3), is_trained) for is_trained in are_trained]
    backbone = Backbone.__new__(Backbone)  # of these weights alone
    torch.nn.Module.__init__(backbone)
    backbone.config, backbone.weights = CONFIG, torch.nn.ParameterList(weights)
    reader = SimpleNamespace(token_ids=lambda text: list(str(text)))
    return SimpleNamespace(backbone=backbone, text_reader=reader, device=CPU)


def sample(rows, caption):
    grid = Grid(1, rows, rows, step=(1.0, 1.0, 1.0))
    return CaptionedSample(TokenSample("image", grid, torch.zeros(rows * rows, 4)), caption)


def test_figures_are_those_of_all_steps_since_the_last_line(meter):
    small, large = sample(2, "a"), sample(4, "abc")
    sizes = Sizes(4, 6, 2), Sizes(16, 20, 2)  # of text the mean
    one, other = (flops(CONFIG, "image", size).training for size in sizes)
    meter.add(1.0, 0.5, [small, large])
    meter.add(3.0, 0.1, [small, large])
    found = meter.take()
    assert found.pop("peak_bytes") > 10**7  # of this process
    assert found == {
        "tokens_per_second": 2 * (6 + 20) / 4,
        "seconds": 2.0,
        "wait_seconds": pytest.approx(0.3),
        "peak_share": pytest.approx(2 * (one + other) / 4 / 1000),
        "peak": {"measured": 1000.0},
    }
    meter.add(1.0, 0.0, [small])
    assert (meter.num_steps, meter.take()["tokens_per_second"], meter.num_steps) == (1, 6, 0)


def test_no_gradient_of_a_frozen_weight_is_counted(meter):
    half = Meter(trained([True, False]), torch.float32)
    for each in (meter, half):
        each.add(1.0, 0.0, [sample(2, "a")])
    shares = [each.take()["peak_share"] for each in (half, meter)]
    assert shares[0] / shares[1] == pytest.approx(2.5 / 3)


def test_the_time_left_is_that_of_steps_and_of_what_comes_beside_them():
    pace = Pace()
    pace.step(1.0)
    pace.step(3.0)
    assert pace.seconds_left(10) == 10 * 2
    with pace.beside():
        time.sleep(0.01)
    assert pace.seconds_left(1000) >= 1000 * (2 + 0.01 / 2)


def test_a_first_step_that_was_slow_is_forgotten():
    pace = Pace()
    for number in range(1000):
        pace.step(1.0 if number else 100.0)
    assert pace.seconds_left(1) == pytest.approx(1, abs=0.1)
    pace.step(51.0)
    assert pace.seconds_left(1) == pytest.approx(1 + 50 * SLOWEST, abs=0.1)


@pytest.mark.parametrize(
    ("name", "peak", "source"),
    [
        ("NVIDIA H200", 989.4e12, "data sheet of H200"),
        ("NVIDIA H100 PCIe", 756e12, "data sheet of H100 PCIe"),
        ("NVIDIA A100-SXM4-80GB", 312e12, "data sheet of A100"),
        ("NVIDIA L40S", 362e12, "data sheet of L40S"),
        ("NVIDIA GeForce RTX 4090", 165.2e12, "data sheet of 4090"),
        ("Somebody's GPU", 5.0, "measured"),
    ],
)
def test_the_peak_of_a_known_gpu_stands_in_a_table(monkeypatch, name, peak, source):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: name)
    monkeypatch.setattr(machine, "_measured", lambda *_: 5.0)
    cuda = torch.device("cuda")
    assert matmul_peak(SHAPE, torch.bfloat16, cuda) == (peak, source)
    assert matmul_peak(SHAPE, torch.float32, cuda) == (5.0, "measured")


def test_a_process_measures_its_peak_once(monkeypatch):
    monkeypatch.setattr(machine, "MEASURED_SECONDS", 0)
    machine._measured.cache_clear()
    first = matmul_peak(SHAPE, torch.float32, CPU)
    assert first.flops_per_second > 10**6
    monkeypatch.setattr(machine, "flops_per_second", None)
    assert matmul_peak(SHAPE, torch.float32, CPU) == first
    machine._measured.cache_clear()


def test_peak_memory_of_a_process_has_what_it_held():
    before = peak_bytes(CPU)
    held = torch.ones(before // 4 + 10_000_000)  # of four bytes
    assert peak_bytes(CPU) >= held.nbytes
