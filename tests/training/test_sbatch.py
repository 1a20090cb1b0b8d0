"""The script for SLURM starts torchrun on every machine, and goes on where a job was requeued."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "docs" / "use" / "train.sbatch"
WORDS = ["+modality=image", "parallel=hsdp", "out=~/run of mine", "seed=3"]


@pytest.fixture
def started(tmp_path):
    """Run the script as sbatch does, but for what it starts."""
    names = tmp_path / "scontrol"
    asked = '[ "$*" = "show hostnames node[1-2]" ]'
    names.write_text(f'#!/bin/bash\n{asked} && printf "node1\\nnode2\\n"\n')
    names.chmod(0o755)
    launch = tmp_path / "launch"
    launch.write_text('#!/bin/bash\nprintf "%s\\n" "$@"\n')
    launch.chmod(0o755)
    job = {
        "SLURM_JOB_NODELIST": "node[1-2]", "SLURM_NNODES": "2", "SLURM_GPUS_ON_NODE": "8",
        "SLURM_JOB_ID": "77", "LAUNCH": str(launch), "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
    }  # fmt: skip

    def start(**more):
        words = ["bash", str(SCRIPT), *WORDS]
        done = subprocess.run(words, env=job | more, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    return start


def test_the_script_is_one_for_bash():
    subprocess.run(["bash", "-n", str(SCRIPT)], check=True)


def test_a_job_starts_one_torchrun_per_machine_which_all_meet_at_the_first(started):
    torchrun = ["torchrun", "--nnodes=2", "--nproc-per-node=8", "--rdzv-id=77"]
    meeting = ["--rdzv-backend=c10d", "--rdzv-endpoint=node1:29500"]
    assert started() == [*torchrun, *meeting, "-m", "lumina_core", "train", *WORDS]


def test_a_requeued_job_goes_on_in_its_folder(started, tmp_path):
    assert started(SLURM_RESTART_COUNT="1")[-5:] == ["train", *WORDS]  # nothing is there yet
    (tmp_path / "run of mine").mkdir()
    (tmp_path / "run of mine" / "config.json").touch()
    train = ["train", "resume=true", "parallel=hsdp", "out=~/run of mine"]
    assert started(SLURM_RESTART_COUNT="1")[-4:] == train
    assert started()[-5:] == ["train", *WORDS]
