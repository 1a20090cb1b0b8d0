"""The lines of a run, and the signals that end it."""

import json
import signal

import pytest

from lumina_core import LuminaError
from lumina_core.training.log import MetricsLog, stop_on_signal


def test_log_drops_what_came_after_a_step(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"st')
    log = MetricsLog(path, 2)
    log.write({"step": 3, "loss": 0.5})
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 3]
    with pytest.raises(LuminaError, match="cannot be read"):
        MetricsLog(path / "below", 0)
    path.write_text('{"step": 1}\n{"step": 2, "a": {"b": 1}\n')  # cut short by a full disk
    MetricsLog(path, 2)
    assert path.read_text() == '{"step": 1}\n'
    path.write_bytes(b'\xff\xfe\n{"step": 1, "a": "\xff"}\n[1]\n{"step": "1"}\n{"step": 2}\n')
    MetricsLog(path, 2)
    assert path.read_text() == '{"step": 2}\n'
    path.unlink()
    path.symlink_to("/dev/full")
    with pytest.raises(LuminaError, match="is no regular file"):
        MetricsLog(path, 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_only_sets_a_flag(number):
    before = signal.getsignal(number)
    with stop_on_signal() as is_stopped:
        assert not is_stopped()
        signal.raise_signal(number)
        assert is_stopped()
        with pytest.raises(KeyboardInterrupt):  # a second one stops at once
            signal.raise_signal(number)
    assert signal.getsignal(number) is before
