"""What a training run tells while it goes on: a progress bar, JSON lines, and when to stop."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import inf, nan
from pathlib import Path
from types import FrameType
from typing import Any

from lumina_core.errors import LuminaError
from lumina_core.files.reading import json_lines
from lumina_core.files.writing import atomic_write
from lumina_core.parallel import ranks
from lumina_core.terminal import duration_text, progress_bar, size_text, tell, tell_above

BAR_WIDTH = 12  # characters, so that all stands on a line of 80
SIGNALS = (signal.SIGINT, signal.SIGTERM)
HANDED_ON_SECONDS = 5.0  # from Ctrl-C until torchrun has told its ranks


class MetricsLog:
    """One JSON object per line; lines after the step at which a run starts again are dropped.

    `recorded` has the keys of the lines of that step, `begun` what was measured before the first.
    Rank 0 alone writes.

    Args:
        path: of the file.
        step: at which the run starts.
        written_too: takes each line as well.
    """

    def __init__(
        self, path: Path, step: int, written_too: Callable[[Mapping[str, Any]], None] | None = None
    ) -> None:
        self._path, self._written_too = path, written_too
        kept = []
        self.recorded: set[str] = set()
        self.begun: dict[str, Any] = {}
        for line, entry in json_lines(path):
            if _step_of(entry) <= step:
                kept.append(line)
                self._note(entry)
            if _step_of(entry) == step:
                self.recorded.update(entry)
        if ranks.rank() == 0:
            with atomic_write(path) as file:
                file.write("".join(f"{line}\n" for line in kept).encode())

    def write(self, metrics: Mapping[str, Any]) -> None:
        """Append one line."""
        self._note(metrics)
        if ranks.rank() > 0:
            return
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(metrics) + "\n")
                file.flush()
                if self._path.is_file():
                    os.fsync(file.fileno())  # before the checkpoint of the step
        except OSError as error:
            raise LuminaError(f"{self._path} cannot be written: {error.strerror}") from error
        if self._written_too is not None:
            self._written_too(metrics)

    def _note(self, metrics: Mapping[str, Any]) -> None:
        if not metrics["step"]:
            self.begun |= metrics


def _step_of(entry: Any) -> float:
    """The step of a line's value; that of one without a step is never reached."""
    step = entry.get("step") if isinstance(entry, dict) else None
    return step if isinstance(step, int | float) else inf


class TrainingBar:
    """Loss, speed and remaining time on stderr: a bar on a terminal, else lines."""

    def __init__(self, max_steps: int, step: int) -> None:
        from rich.progress import BarColumn, TextColumn

        self._max_steps = max_steps
        self._progress = progress_bar(
            TextColumn("step {task.completed:.0f}/{task.total:.0f}"),
            BarColumn(BAR_WIDTH),
            TextColumn("loss {task.fields[loss]:.3f}  {task.fields[figures]}"),
        )
        self._task = self._progress.add_task(
            "", total=max_steps, completed=step, loss=nan, figures=""
        )

    def __enter__(self) -> "TrainingBar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, step: int, loss: float) -> None:
        """Show the loss of one step in the bar."""
        self._progress.update(self._task, completed=step, loss=loss)

    def show_line(self, line: Mapping[str, Any]) -> None:
        """Show the figures of a line of the log: in the bar, or as a line where there is none."""
        speed = f"{line['tokens_per_second']:.0f} tokens/s  {line['peak_share']:.1%} of peak"
        left = f"{duration_text(line['seconds_left'])} left"
        self._progress.update(self._task, figures=f"{speed}  {left}")
        if self._progress.disable:
            figures = (
                f"step {line['step']}/{self._max_steps}",
                f"loss {line['loss']:.4f}",
                f"gradient {line['gradient_norm']:.3g}",
                f"learning rate {line['learning_rate']:.3g}",
                *([f"{line['num_skipped']} skipped"] if line["num_skipped"] else []),
                speed,
                f"waits {line['wait_seconds'] / line['seconds']:.0%}",
                size_text(line["peak_bytes"]),
                left,
            )
            self.say("  ".join(figures))

    def say(self, text: str) -> None:
        """Print a line, above the bar where there is one."""
        if self._progress.disable:
            tell(text)
        else:
            tell_above(self._progress, text)


@contextmanager
def stop_on_signal() -> Iterator[Callable[[], bool]]:
    """Within the block SIGINT and SIGTERM only set a flag, which the yielded function reads.

    A second one stops at once: it raises KeyboardInterrupt wherever the program is. torchrun hands
    on a signal that its ranks may have had from the terminal already: both are one.

    Python lets only the main thread set handlers; in another one nothing changes.
    """
    received: list[float] = []

    def note(number: int, frame: FrameType | None) -> None:
        received.append(time.monotonic())
        is_handed_on = ranks.is_launched() and received[-1] - received[0] < HANDED_ON_SECONDS
        if len(received) > 1 and not is_handed_on:
            raise KeyboardInterrupt

    is_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, note) for number in SIGNALS} if is_main else {}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
