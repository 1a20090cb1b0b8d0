"""Saving in the background: what a run goes on from is what it was, whole, one at a time."""

import errno
import json
import os
from threading import Event

import pytest
import torch
from states import STATE_FILE, state_in

from lumina_core import LuminaError
from lumina_core.checkpoints.newest import finished
from lumina_core.cli.main import main
from lumina_core.training import saving
from lumina_core.training.saving import Kept, Saver

WAIT_SECONDS = 60  # for a machine that does other things


@pytest.fixture
def state():
    """Of a run: one weight, its average, and a moment."""
    names = ("model.w", "average.w", "optimizer.w.exp_avg")
    return {name: torch.full((2, 3), float(number)) for number, name in enumerate(names)}


@pytest.fixture
def gate(monkeypatch):
    """Saves wait for it before they write their manifest, in which the averaged weights stand."""
    event = Event()
    event.set()

    def fill(folder, contents, weights, hashes):
        assert event.wait(WAIT_SECONDS)
        assert list(hashes) == [STATE_FILE]
        content = {name: value.tolist() for name, value in weights.items()}
        (folder / "lumina.json").write_text(json.dumps(content))

    monkeypatch.setattr(saving, "fill", fill)
    return event


def folder_of(tmp_path, step):
    return tmp_path / "checkpoints" / f"step-{step:07d}"


def test_a_run_goes_on_and_its_state_is_that_of_the_call(state, gate, tmp_path):
    folder = folder_of(tmp_path, 1)
    gate.clear()
    with Saver(Kept(2, 0)) as saver:
        saver.begin(folder, state, None)
        for tensor in state.values():
            tensor += 10
        assert not folder.exists()
        gate.set()
    assert {name: value[0, 0].item() for name, value in state_in(folder).items()} == {
        "average.w": 1.0,
        "model.w": 0.0,
        "optimizer.w.exp_avg": 2.0,
    }
    assert json.loads((folder / "lumina.json").read_text()) == {"w": [[1.0] * 3] * 2}


def test_a_save_begins_when_the_one_before_is_whole(state, gate, tmp_path):
    with Saver(Kept(9, 0)) as saver:
        for step in range(4):
            state["model.w"].fill_(step)
            saver.begin(folder_of(tmp_path, step), state, None)
            assert finished(tmp_path / "checkpoints")[:step] == [
                folder_of(tmp_path, each) for each in range(step)
            ]
    for step in range(4):
        assert (state_in(folder_of(tmp_path, step))["model.w"] == step).all()


def test_a_full_disk_is_told_in_one_line_and_loses_nothing_before(
    state, gate, tmp_path, monkeypatch
):
    with Saver(Kept(1, 0)) as saver:
        saver.begin(folder_of(tmp_path, 1), state, None)
        saver.wait()
        with monkeypatch.context() as patch:
            full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            patch.setattr(saving, "fill", lambda *_: (_ for _ in ()).throw(full))
            saver.begin(folder_of(tmp_path, 2), state, None)
            saver._thread.join()
            assert saver.has_failed
            with pytest.raises(LuminaError) as raised:
                saver.wait()
        place = folder_of(tmp_path, 2)
        assert str(raised.value) == f"{place} cannot be written: No space left on device"
        assert os.listdir(tmp_path / "checkpoints") == ["step-0000001"]
        assert (folder_of(tmp_path, 1) / STATE_FILE).exists()
        saver.begin(place, state, None)
    assert not (folder_of(tmp_path, 1) / "state").exists()
    assert (place / STATE_FILE).exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, LuminaError])
def test_only_a_second_signal_gives_a_save_up(state, gate, tmp_path, error, monkeypatch):
    monkeypatch.setattr(saving, "GIVE_UP_SECONDS", 0.1)
    gate.clear()
    with pytest.raises(error), Saver(Kept(1, 0)) as saver:
        saver.begin(folder_of(tmp_path, 1), state, None)
        if error is LuminaError:
            gate.set()
        raise error
    gate.set()
    saver._thread.join()
    assert folder_of(tmp_path, 1).exists() == (error is LuminaError)
    assert len(os.listdir(tmp_path / "checkpoints")) == (error is LuminaError)


def test_states_of_the_newest_and_of_each_so_many_steps_stay(state, gate, tmp_path):
    checkpoints = tmp_path / "checkpoints"
    (tmp_path / "archive" / "state").mkdir(parents=True)
    (tmp_path / "archive" / "lumina.json").write_text("{}")
    checkpoints.mkdir()
    folder_of(tmp_path, 1).symlink_to(tmp_path / "archive")
    with Saver(Kept(last=2, every=4)) as saver:
        for step in range(2, 11):
            saver.begin(folder_of(tmp_path, step), state, None)
    steps = [int(path.name[-2:]) for path in finished(checkpoints) if (path / "state").exists()]
    assert steps == [1, 4, 8, 9, 10]
    assert len(finished(checkpoints)) == 10
    assert not list(checkpoints.glob(".*"))


def test_a_run_ends_at_the_step_after_a_save_failed(tiny_training, tmp_path, capsys, monkeypatch):
    out, write = tmp_path / "out", saving.write_state

    def full(folder, state, group):
        if (out / "checkpoints" / "step-0000002").exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(folder, state, group)

    monkeypatch.setattr(saving, "write_state", full)
    capsys.readouterr()
    words = tiny_training(out, "max_steps=9", "save_every=1")
    assert main(["train", *words]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    place = out / "checkpoints" / "step-0000003"
    assert error == f"error: {place} cannot be written: No space left on device"
    assert sorted(os.listdir(out / "checkpoints")) == ["step-0000001", "step-0000002"]
    monkeypatch.undo()
    assert main(["train", *words, "resume=true", "max_steps=3"]) == 0


def test_a_state_that_is_kept_for_good_has_to_be_one_that_is_saved(tiny_training, refusal):
    words = ["save_every=3", "keep_every=10"]
    error = refusal("train", *tiny_training("out", *words))
    assert "keep_every is 10; give a multiple of save_every, which is 3." in error
