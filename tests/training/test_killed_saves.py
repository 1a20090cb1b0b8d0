"""Runs that are killed while they save: whole checkpoints stay, the run goes on from the newest.

The program that kills takes any number of kills: its first lines say how.
"""

import json
import os
import subprocess
import sys

from on_ranks import SUPPORT
from streams import make_index, train_words, write_shards


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


def test_a_killed_training_from_shards_goes_on_from_two_ranks_to_one_and_back(tmp_path, tiny_vae):
    shards = write_shards(tmp_path / "set", (20, 30, 10))
    make_index(tiny_vae, shards)
    out, words = tmp_path / "run", ("gradient_accumulation=2", "data.shuffle_window=16")
    found = killed(out, 3, "2,1", *train_words(tiny_vae, shards, out, *words))
    assert found["kills"] == 3
    lines = [json.loads(line) for line in out.with_suffix(".samples").read_text().splitlines()]
    ranks_of = {(start, rank) for _, start, rank, _ in lines}
    assert ranks_of == {(0, 0), (0, 1), (1, 0), (2, 0), (2, 1), (3, 0)}
