"""What holds for the demo checkpoint of every shipped modality, be it its own or a shared one."""

import os
import subprocess
import sys

import pytest

from lumina_core.checkpoints import manifest as checkpoint
from lumina_core.plugins import demos, host

MAX_BYTES = 16e6
SLOW = (
    *("transformers", "diffusers", "accelerate", "peft", "torchao", "huggingface_hub"),
    *("torch._dynamo", "torch.distributed.tensor", "sympy", "scipy", "torchdiffeq"),
)
"""To import them costs more than all that `run` does with a demo (benchmarks/cold_start.py)."""


@pytest.mark.parametrize("name", host.SHIPPED)
def test_every_shipped_modality_has_a_demo(name):
    folder = demos.demo_folder(name)
    assert folder is not None, f"no demo of {name}: neither its plugin nor lumina-demo has one"
    assert name in checkpoint.read_manifest(folder)["modalities"]


@pytest.mark.parametrize("name", host.SHIPPED)
def test_a_demo_is_small_and_whole(name):
    demo = demos.demo_folder(name)
    files = [path for path in demo.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= MAX_BYTES
    assert not list(demo.rglob("state"))
    manifest = checkpoint.read_manifest(demo)
    checkpoint.verify(demo, manifest)
    names = {path.relative_to(demo).as_posix() for path in files}
    assert names == {*manifest["files"], checkpoint.MANIFEST}


@pytest.mark.demos
@pytest.mark.parametrize("name", host.SHIPPED)
def test_a_run_imports_nothing_slow_beside_torch(name, tmp_path):
    words = ["run", f"+modality={name}", "anything", "solver.num_steps=1", f"out={tmp_path}/"]
    source = (
        f"import gc, sys; from lumina_core.cli.main import main; code = main({words!r}); "
        "assert gc.isenabled() and gc.get_freeze_count(); "
        f"sys.exit(code or [name for name in {SLOW!r} if name in sys.modules] or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", source],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
