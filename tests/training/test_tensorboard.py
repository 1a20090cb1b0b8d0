"""What TensorBoard reads of a run: the numbers of its log, without what a resumed run took back."""

import sys

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lumina_core import LuminaError
from lumina_core.training.tensorboard import board, check_installed


def read(out):
    """By its name, the steps and values of each curve."""
    accumulator = EventAccumulator(str(out / "tensorboard"))
    accumulator.Reload()
    return {
        name: [(event.step, round(event.value, 4)) for event in accumulator.Scalars(name)]
        for name in accumulator.Tags()["scalars"]
    }


def test_every_number_of_a_line_is_a_point(tmp_path):
    with board(tmp_path, 0) as write:
        write({"step": 1, "loss": 2.0, "loss_at": {"0.1": 1.0}, "not_finite": "loss"})
        assert read(tmp_path) == {"loss": [(1, 2.0)], "loss_at/0.1": [(1, 1.0)]}  # at once
        write({"step": 2, "loss": float("nan")})


def test_a_run_that_goes_on_takes_back_later_steps(tmp_path):
    with board(tmp_path, 0) as write:
        for step in (1, 2, 3):
            write({"step": step, "loss": float(step)})
    with board(tmp_path, 1) as write:
        write({"step": 2, "loss": 20.0})
    assert read(tmp_path) == {"loss": [(1, 1.0), (2, 20.0)]}


def test_a_missing_package_is_a_line_that_says_what_to_install(monkeypatch):
    check_installed()
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(LuminaError, match=r"pip install 'lumina-core\[tensorboard\]'"):
        check_installed()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "tensorboard").write_text("mine")
    with pytest.raises(LuminaError, match="tensorboard cannot be written"):
        board(tmp_path, 0).__enter__()
