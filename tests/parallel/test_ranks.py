"""Ranks agree, rank 0 speaks, and none waits for one that is gone."""

import pytest
import torch
import torch.distributed as dist
from on_ranks import on_ranks

from lumina_core import LuminaError
from lumina_core.cli.main import main
from lumina_core.parallel import ranks
from lumina_core.parallel.settings import Axes, ParallelConfig


@pytest.fixture(scope="module")
def manners():
    done = on_ranks("rank_manners.py")
    said = [line.removeprefix("rank ") for line in done.stdout.splitlines() if "rank " in line]
    return done, [[line[3:] for line in said if line.startswith(f"{n}: ")] for n in range(2)]


def test_a_refusal_of_one_rank_is_that_of_all(manners):
    told = "LuminaError rank 1: refusal of 1 / LuminaError refusal of 0"
    silent = "ToldError rank 1: refusal of 1 / ToldError refusal of 0"
    assert manners[1][0][0] == f"refusals none / {told}"
    assert manners[1][1][0] == f"refusals none / {silent}"


def test_ranks_agree_on_flags_values_and_sums(manners):
    for said in manners[1]:
        assert said[1:4] + said[5:] == [
            "flags False True",
            "told [0, 'x']",
            "sum [2.0, 1.0]",
            "device cpu 2 1",
        ]


def test_rank_0_alone_writes_down_what_all_ranks_left_out(manners):
    assert [said[4] for said in manners[1]] == [
        "quarantine ['both', 'own 0', 'own 1']",
        "quarantine []",
    ]


def test_rank_0_alone_speaks_once_all_have_met(manners):
    assert {"loud 0", "loud 1", "voice of 0"} <= set(manners[0].stderr.splitlines())
    assert "voice of 1" not in manners[0].stderr


def test_a_rank_that_lost_another_one_ends_and_says_so(manners):
    assert "error: rank 0 lost another rank of the run" in manners[0].stderr
    assert "exitcode  : 2" in manners[0].stderr


def test_one_process_agrees_with_itself():
    assert (ranks.rank(), ranks.num_ranks(), ranks.num_nodes()) == (0, 1, 1)
    assert ranks.any_rank(True) and not ranks.any_rank(False)
    assert ranks.from_rank_0(lambda: 5) == 5
    assert ranks.summed(torch.ones(2)).tolist() == [1, 1]
    with pytest.raises(LuminaError, match="no") as caught, ranks.agreed():
        raise LuminaError("no")
    assert type(caught.value) is LuminaError
    with ranks.joined():
        assert not dist.is_initialized()


def test_a_group_of_one_is_there_within_the_block_alone():
    for _ in range(2):
        with ranks.joined(alone=True), ranks.joined(alone=True):
            assert dist.get_world_size() == 1
        with pytest.raises(ZeroDivisionError), ranks.joined(alone=True):
            raise ZeroDivisionError
        assert not dist.is_initialized()


@pytest.fixture
def launched(monkeypatch):
    words = {"RANK": 3, "WORLD_SIZE": 4, "LOCAL_RANK": 1, "LOCAL_WORLD_SIZE": 2}
    for name, value in {**words, "TORCHELASTIC_RUN_ID": "none"}.items():
        monkeypatch.setenv(name, str(value))


def test_each_rank_has_the_gpu_of_its_number_on_its_machine(launched, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert (ranks.rank(), ranks.num_ranks(), ranks.num_nodes()) == (3, 4, 2)
    assert ranks.local_device("auto") == ranks.local_device("cuda") == "cuda:1"
    assert ranks.local_device("cpu") == "cpu"
    with pytest.raises(LuminaError, match="device=cuda:0 would be that of 2 ranks; use"):
        ranks.local_device("cuda:0")


def test_commands_of_one_process_are_refused_by_all_ranks_and_rank_0_says_so(
    launched, monkeypatch, capsys
):
    assert main(["version"]) == 2
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("RANK", "0")
    assert main(["version"]) == 2
    told = "error: version works in one process, and torchrun started 4; start it without torchrun"
    assert capsys.readouterr().err.startswith(told)


@pytest.mark.parametrize(
    ("config", "num_ranks", "num_nodes", "sides"),
    [
        ({}, 1, 1, (1, 1, 1, 1)),
        ({}, 8, 1, (1, 8, 1, 1)),
        ({"replicate": None}, 16, 2, (2, 8, 1, 1)),
        ({"replicate": None, "shard": 1}, 16, 2, (16, 1, 1, 1)),
        ({"replicate": None, "shard": 4, "tensor": 2}, 16, 2, (2, 4, 1, 2)),
        ({"sequence": 2, "tensor": 2}, 16, 2, (1, 4, 2, 2)),
    ],
)
def test_a_mesh_takes_what_is_left_of_the_ranks(config, num_ranks, num_nodes, sides):
    assert ParallelConfig(**config).axes(num_ranks, num_nodes) == Axes(*sides)


@pytest.mark.parametrize(
    ("config", "num_ranks"),
    [({"tensor": 3}, 8), ({"replicate": 3}, 8), ({"shard": 4}, 8), ({"sequence": 2}, 1)],
)
def test_a_mesh_that_does_not_multiply_to_the_ranks_is_refused(config, num_ranks):
    with pytest.raises(LuminaError, match=r"mesh of replicate \d x shard .* the run has") as caught:
        ParallelConfig(**config).axes(num_ranks, 1)
    assert "\n" not in str(caught.value)
