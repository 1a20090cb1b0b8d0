"""Networks that are cut over two ranks compute what one rank computes."""

from dataclasses import replace

import pytest
import rank_checks
import torch
from on_ranks import on_ranks
from rank_checks import CONFIGS, CROSS, losses_of, networks_of, trained

from lumina_core import LuminaError
from lumina_core.backbone.parallel_plan import check_fit
from lumina_core.parallel import ranks
from lumina_core.parallel.mesh import mesh_of
from lumina_core.parallel.settings import Axes, ParallelConfig

CASES = [
    *(f"{mesh}-{network}-adamw" for mesh in ("fsdp", "tensor", "sequence") for network in CONFIGS),
    "copies-cross-muon", "fsdp-odd-muon", "tensor-cross-muon", "half-joint-muon",
]  # fmt: skip
BY_NOTHING = "text_k_norm.bias"
"""Adds the same to all scores of a query: its gradient is zero but for rounding, which AdamW takes
for a direction."""


@pytest.fixture(scope="module")
def on_two(tmp_path_factory):
    """What two ranks found, each with samples of its own where the mesh says so."""
    folder = tmp_path_factory.mktemp("ranks")
    done = on_ranks("rank_checks.py", folder, *CASES)
    assert done.returncode == 0, done.stderr
    return torch.load(folder / "found.pt", weights_only=True)


@pytest.fixture(scope="module")
def alone():
    """By network and optimizer, what one process finds that has all samples."""
    return {rest: trained(*rest.split("-")) for rest in {case.partition("-")[2] for case in CASES}}


def furthest(found, wanted, *, at_least=1e-3):
    """The largest difference, as a share of the largest number of its tensor."""
    assert found.keys() == wanted.keys()
    return max(
        (found[name] - wanted[name]).abs().max() / wanted[name].abs().max().clamp(min=at_least)
        for name in wanted
        if BY_NOTHING not in name
    )


@pytest.mark.parametrize("case", CASES)
def test_two_ranks_find_losses_and_gradients_of_one(on_two, alone, case):
    mesh, _, rest = case.partition("-")
    found, wanted = on_two[case], alone[rest]
    exact = 1e-2 if mesh == "half" else 1e-6
    assert found["loss"] == pytest.approx(wanted["loss"], rel=exact)
    assert found["norm"] == pytest.approx(wanted["norm"], rel=exact)
    assert furthest(found["gradients"], wanted["gradients"]) < (0.1 if mesh == "half" else 1e-5)
    assert all(gradient.any() for gradient in found["gradients"].values())


@pytest.mark.parametrize("case", [case for case in CASES if not case.startswith("half")])
def test_two_ranks_update_weights_and_average_as_one(on_two, alone, case):
    found, wanted = on_two[case], alone[case.partition("-")[2]]
    assert furthest(found["weights"], wanted["weights"]) < 1e-4
    assert furthest(found["average"], wanted["average"]) < 1e-4
    assert furthest(found["weights"], found["average"]) > 1e-3


def test_weights_stay_float32_where_they_compute_in_half_precision(on_two):
    assert on_two["half-joint-muon"]["dtypes"] == {torch.float32}


def test_one_process_computes_in_half_precision_as_two(on_two):
    with ranks.joined(alone=True):
        mesh = mesh_of(ParallelConfig(), "cpu")
        found = trained("joint", "muon", mesh, torch.bfloat16)
    assert found["loss"] == pytest.approx(on_two["half-joint-muon"]["loss"], rel=1e-2)
    assert found["dtypes"] == {torch.float32}


def test_text_is_read_in_the_blocks_as_ahead():
    networks, (batch, times, features) = networks_of("cross"), inputs()
    backbone = networks["backbone"]
    context = backbone.prepare(batch, *features, attention="sdpa")
    assert torch.equal(networks(batch, times, features), backbone(batch, times, context))


def inputs():
    samples, texts, times, _ = zip(*(rank_checks.sample_of(n) for n in (0, 2)), strict=True)
    batch = networks_of("cross")["backbone"].pack(list(samples))
    return batch, batch.segment_time(torch.stack(times)), (torch.cat(texts), tuple(map(len, texts)))


def test_projections_of_modalities_that_a_batch_lacks_have_gradients_of_zero():
    networks = networks_of("cross")
    losses_of(networks, [0, 2]).sum().backward()
    for name, weight in networks.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.any() != ("audio" in name), name


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        (Axes(1, 1, 1, 3), r"parallel.tensor=3 does not divide the backbone's num_heads=4"),
        (Axes(1, 1, 1, 4), r"parallel.tensor=4 does not divide the backbone's num_kv_heads=2"),
        (Axes(1, 1, 4, 2), r"parallel.sequence=4 does not divide .* num_heads/2=2"),
    ],
)
def test_a_mesh_that_does_not_fit_is_refused(axes, words):
    with pytest.raises(LuminaError, match=words):
        check_fit(CROSS, axes)


def test_heads_of_keys_go_into_the_ranks_or_the_ranks_into_them():
    check_fit(CROSS, Axes(1, 1, 4, 1))  # each of two is read by two ranks
    with pytest.raises(LuminaError, match=r"sequence=4 and the 6 heads of keys .* do not go"):
        check_fit(replace(CROSS, hidden_size=96, num_heads=12, num_kv_heads=6), Axes(1, 1, 4, 1))
    with pytest.raises(LuminaError, match=r"columns of the feed-forward layer=29"):
        check_fit(replace(CROSS, ffn_size=29), Axes(1, 1, 1, 2))
