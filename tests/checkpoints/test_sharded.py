"""The state of a training as files of any number of ranks: exact, strict, and never a program."""

import pickle

import pytest
import torch
from on_ranks import on_ranks
from safetensors.torch import load_file, save_file

from damage import flipped, limited_files
from lumina_core.checkpoints.sharded import Stored, read_state, stored_tensors, write_state


@pytest.fixture
def state():
    """Tensors as a training has them."""
    generator = torch.Generator().manual_seed(0)
    shapes = {"matrix": (6, 4), "columns": (3, 8), "one_row": (1, 5), "uneven": (5, 2)}
    tensors = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    vector = torch.randn(7, generator=generator).bfloat16()
    return tensors | {"vector": vector, "step": torch.tensor(3.0), "none": torch.zeros(0, 2)}


def emptied(state):
    return {name: torch.full_like(tensor, -1) for name, tensor in state.items()}


def assert_equal(first, second):
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert tensor.dtype == second[name].dtype
        assert torch.equal(tensor, second[name]), name


def test_a_state_comes_back_to_the_bit_and_the_files_are_plain_safetensors(state, tmp_path):
    (path,) = write_state(tmp_path / "state", state)
    assert [path] == list((tmp_path / "state").iterdir())
    assert_equal(load_file(path), state)
    assert stored_tensors(tmp_path / "state")["vector"] == Stored((7,), torch.bfloat16)
    into = emptied(state)
    read_state(tmp_path / "state", into)
    assert_equal(into, state)


def test_equal_states_are_equal_files(state, tmp_path):
    (path,) = write_state(tmp_path / "first", state)
    for number in range(8):
        reverse = dict(reversed(state.items()))
        (other,) = write_state(tmp_path / str(number), reverse)
        assert other.read_bytes() == path.read_bytes()


def test_what_does_not_fit_is_refused_before_anything_is_filled(state, tmp_path):
    write_state(tmp_path / "state", state)
    for changed, message in (
        ({"matrix": torch.zeros(4, 6)}, r"matrix is 4x6 float32 here and is 6x4 float32 there"),
        ({"step": torch.tensor(0)}, "step is one int64 here and is one float32 there"),
        (
            {"more\x1b": torch.zeros(2)},
            "more\N{REPLACEMENT CHARACTER} is 2 float32 here and is miss",
        ),
    ):
        into = emptied(state) | changed
        with pytest.raises(ValueError, match=message):
            read_state(tmp_path / "state", into)
        assert (into["columns"] == -1).all()


def test_a_damaged_file_is_refused_and_never_crashes(state, tmp_path):
    (path,) = write_state(tmp_path / "state", state)
    whole = path.read_bytes()
    num_refused = 0
    for data in [*flipped(whole[:400], 30), *(whole[:cut] for cut in (0, 7, 50, len(whole) - 1))]:
        path.write_bytes(data + whole[400:] if len(data) == 400 else data)
        try:
            read_state(tmp_path / "state", emptied(state))
        except ValueError:
            num_refused += 1
    assert num_refused > 15


def test_a_missing_part_is_noticed(tmp_path):
    (tmp_path / "state").mkdir()
    about = {"DCP_SHARDING_INFO": '{"matrix": {"saved_offsets": [3, 0]}}'}
    path = tmp_path / "state" / "shard-00002.safetensors"
    save_file({"matrix": torch.ones(3, 4)}, path, metadata=about)
    with pytest.raises(ValueError, match="parts of matrix are missing"):
        read_state(tmp_path / "state", {"matrix": torch.zeros(6, 4)})


class Hostile:
    """Runs a program where somebody unpickles it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_pickle_in_the_folder_is_never_opened(state, tmp_path):
    write_state(tmp_path / "state", state)
    for name in (".metadata", "__0_0.distcp", "x.safetensors.pt"):
        (tmp_path / "state" / name).write_bytes(pickle.dumps(Hostile(tmp_path / "ran")))
    read_state(tmp_path / "state", emptied(state))
    (tmp_path / "state" / "x.safetensors").write_bytes(pickle.dumps(Hostile(tmp_path / "ran")))
    with pytest.raises(ValueError, match="cannot be read"):
        read_state(tmp_path / "state", emptied(state))
    assert not (tmp_path / "ran").exists()


def test_a_full_disk_says_so_as_any_file_does(state, tmp_path, capfd):
    with pytest.raises(OSError, match="too large"), limited_files(200):
        write_state(tmp_path / "state", state)
    assert capfd.readouterr() == ("", "")


def test_one_rank_and_two_read_what_the_other_wrote(state, tmp_path):
    write_state(tmp_path / "one", state)
    done = on_ranks("sharded_on_ranks.py", tmp_path / "one", tmp_path / "two")
    assert done.returncode == 0, done.stderr
    into = emptied(state)
    read_state(tmp_path / "two", into)
    assert_equal(into, state)
