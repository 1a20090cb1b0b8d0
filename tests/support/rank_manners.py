"""Ranks that agree, refuse and part, for the tests: `torchrun rank_manners.py`."""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import torch

from lumina_core import terminal
from lumina_core.cli.faults import report
from lumina_core.data.file_pool import Quarantine
from lumina_core.errors import LuminaError
from lumina_core.parallel import ranks


def say(text):
    """From every rank, muted or not."""
    sys.stdout.write(f"rank {ranks.rank()}: {text}\n")
    sys.stdout.flush()


def refused(refusing):
    """What every rank raises where some refuse."""
    try:
        with ranks.agreed():
            if ranks.rank() in refusing:
                raise LuminaError(f"refusal of {ranks.rank()}")
    except LuminaError as error:
        return f"{type(error).__name__} {error}"
    return "none"


def quarantined():
    """What stands in a quarantine where both ranks met something, one of it alike."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(ranks.from_rank_0(lambda: folder), "quarantine.jsonl")
        quarantine = Quarantine(path)
        quarantine.open(0)
        quarantine.collect()
        for name in ("both", f"own {ranks.rank()}"):
            quarantine.add(name, "broken")
        quarantine.collect()
        quarantine.collect()
        lines = path.read_text().splitlines() if ranks.rank() == 0 else []
        ranks.any_rank(False)  # the folder is in use until both have come
        return sorted(json.loads(line)["path"] for line in lines)


def main():
    terminal.tell(f"loud {ranks.rank()}")
    with ranks.joined():
        terminal.tell(f"voice of {ranks.rank()}")
        say(f"refusals {refused(())} / {refused((1,))} / {refused((0, 1))}")
        say(f"flags {ranks.any_rank(False)} {ranks.any_rank(ranks.rank() == 1)}")
        say(f"told {ranks.from_rank_0(lambda: [ranks.rank(), 'x'])}")
        say(f"sum {ranks.summed(torch.tensor([1.0, ranks.rank()])).tolist()}")
        say(f"quarantine {quarantined()}")
        say(f"device {ranks.local_device('auto')} {ranks.num_ranks()} {ranks.num_nodes()}")
        if ranks.rank() == 1:
            time.sleep(1)
            os._exit(0)  # without a word, so that torchrun ends nobody
        ranks.any_rank(False)


if __name__ == "__main__":
    try:
        main()
    except LuminaError as error:
        sys.exit(report(error))
