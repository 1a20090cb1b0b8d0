"""Programs that torchrun starts on two ranks, for the tests of what ranks write together."""

import os
import subprocess
import sys
from pathlib import Path

START = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
WAIT_SECONDS = 240  # for a machine that does other things


def run_on_two_ranks(*words, **more):
    """Run a program of tests/support with words on two ranks; returns the finished process."""
    program, *rest = words
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*START, str(Path(__file__).with_name(program)), *map(str, rest)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        **more,
    )
