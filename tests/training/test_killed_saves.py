"""Runs that are killed while they save: whole checkpoints stay, the run goes on from the newest.

The program that kills takes any number of kills: its first lines say how.
"""

import json
import os
import subprocess
import sys

from on_ranks import SUPPORT

TINY = (
    "+modality=image token_budget=300 backbone.hidden_size=32 backbone.depth=1 "
    "backbone.num_heads=2 backbone.conditioning_size=16 backbone.rope_dims=[0,4,4,4,4] "
    "text_encoder.hidden_size=32 text_encoder.depth=1 text_encoder.num_heads=2 data.pool_size=4 "
    "data.pool_start=2 data.refresh_per_step=1 num_threads=1 device=cpu"
)


def killed(out, *words):
    """What the program that kills tells of a run in a folder."""
    paths = os.pathsep.join(filter(None, [str(SUPPORT), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SUPPORT / "killed_saves.py"), str(out), *map(str, words)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_killed_run_goes_on_with_another_number_of_ranks_and_counts_each_sample_once(tmp_path):
    found = killed(tmp_path / "run", 4, "2,1")
    assert found["kills"] == sum(found["stages"].values()) == 4
    assert found["steps"] >= 3


def test_a_killed_training_goes_on(tmp_path):
    assert killed(tmp_path / "run", 3, 1, *TINY.split())["kills"] == 3
