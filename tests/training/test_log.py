"""The lines of a run, and the signals that end it."""

import json
import re
import signal
import sys

import pytest

from lumina_core import LuminaError, terminal
from lumina_core.training import log
from lumina_core.training.log import MetricsLog, TrainingBar, stop_on_signal


def test_log_drops_what_came_after_a_step(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"st')
    lines = MetricsLog(path, 2)
    lines.write({"step": 3, "loss": 0.5})
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


LINE = {
    **{"step": 12345, "loss": 1.2345, "gradient_norm": 1.41, "learning_rate": 1e-3},
    **{"tokens_per_second": 51234.0, "peak_share": 0.4123, "seconds": 2.0, "wait_seconds": 0.5},
    **{"peak_bytes": 2.5e9, "seconds_left": 11000.0, "num_skipped": 2},
}


def test_without_a_terminal_a_line_has_all_figures(capsys):
    with TrainingBar(20000, 12344) as bar:
        bar.show(12345, 1.2)
        bar.show_line(LINE)
    assert capsys.readouterr().err.split("  ") == [
        *("step 12345/20000", "loss 1.2345", "gradient 1.41", "learning rate 0.001", "2 skipped"),
        *("51234 tokens/s", "41.2% of peak", "waits 25%", "2.5 GB", "3.06 h left\n"),
    ]


def test_on_a_terminal_of_80_columns_the_figures_stand_beside_a_bar(monkeypatch, capsys):
    monkeypatch.setattr(terminal, "is_terminal", lambda stream: stream is sys.stderr)
    for name, value in (("COLUMNS", "80"), ("LINES", "24"), ("TERM", "xterm")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FORCE_COLOR", "1")
    with TrainingBar(20000, 12344) as bar:
        bar.show(12345, 1.2345)
        bar.show_line(LINE)
    last = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", capsys.readouterr().err).strip().split("\r")[-1]
    assert last.startswith("step 12345/20000 ") and "\n" not in last.strip()
    assert last.strip().endswith("loss 1.234  51234 tokens/s  41.2% of peak  3.06 h left")


def test_a_signal_that_torchrun_hands_on_is_no_second_one(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(log.time, "monotonic", lambda: now[0])
    for name in ("TORCHELASTIC_RUN_ID", "WORLD_SIZE", "RANK"):
        monkeypatch.setenv(name, "1")
    with stop_on_signal() as is_stopped:
        signal.raise_signal(signal.SIGINT)
        now[0] += 1
        signal.raise_signal(signal.SIGTERM)
        assert is_stopped()
        now[0] += 9
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
