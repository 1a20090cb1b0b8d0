"""What it costs to open a large checkpoint: seconds and memory, each time in a new process.

    python benchmarks/loading.py [FOLDER] [dtype=bfloat16] [repeats=3]

Without FOLDER a network of `backbone=600m` with random weights in bfloat16 is made in a temporary
folder, beside the text encoder and the autoencoder of the demo of pictures. The demo is opened
first, so that the libraries are there. The first time hashes the files, if they are new.

Prints for each time: seconds, seconds of CPU, and GiB above what the process had: the peak, memory
of its own, and pages of files, which the system takes back when it needs them.
"""

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from lumina_core.backbone.transformer import Backbone
from lumina_core.checkpoints.folder import save
from lumina_core.checkpoints.model import load
from lumina_core.config.compose import compose_options
from lumina_core.plugins import demos
from lumina_core.runtime import seeded
from lumina_core.sampling.generate import load_model
from lumina_core.sampling.settings import ModelSource
from lumina_core.training.compose import compose_train

KIB_PER_GIB = 1 << 20
FIELDS = {"peak": "VmHWM", "own": "RssAnon", "files": "RssFile"}
OPTIONS = {"patch_size": 2}  # of the demo


def make(folder: Path) -> None:
    """Write a checkpoint of about 600 million random weights in bfloat16."""
    options, cpu = compose_options("image", OPTIONS), torch.device("cpu")
    demo = load(demos.demo_folder("image"), "image", options, device=cpu, dtype=torch.float32)
    own = demo.backbone.config
    shape = compose_train(["modality=image", "backbone=600m"]).backbone
    shape = replace(shape, token_dims=own.token_dims, text_dim=own.text_dim)
    with torch.device("meta"):
        backbone = Backbone(shape).to(torch.bfloat16)
    backbone.to_empty(device=cpu).requires_grad_(False)
    for weight in backbone.parameters():
        weight.normal_(std=0.02, generator=seeded(0))
    model = replace(demo, backbone=backbone, placed=None)
    save(folder, [model], summary={}, sampling={}, dtype=torch.bfloat16)


def memory() -> dict[str, float]:
    """Of this process, in GiB."""
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    found = {line[0].rstrip(":"): line[1] for line in lines if len(line) == 3}
    return {name: int(found[key]) / KIB_PER_GIB for name, key in FIELDS.items()}


def opened(folder: str, dtype: str) -> dict[str, float]:
    """What opening a checkpoint costs this process."""
    source = ModelSource(
        modality="image",
        options=compose_options("image", OPTIONS),
        checkpoint=str(demos.demo_folder("image")),
        device="cpu",
    )
    load_model(source)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
    before, started, used = memory(), time.perf_counter(), time.process_time()
    model = load_model(replace(source, checkpoint=folder, dtype=dtype))
    model.ready_backbone()
    seconds, cpu = time.perf_counter() - started, time.process_time() - used
    above = {name: value - before[name] for name, value in memory().items()}
    above["peak"] = max(0.0, memory()["peak"] - before["own"] - before["files"])
    return {"seconds": seconds, "cpu": cpu, **above}


def main() -> None:
    """Open the checkpoint again and again, each time in a process of its own."""
    named = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
    folders = [word for word in sys.argv[1:] if "=" not in word]
    if "only" in named:
        print(json.dumps(opened(folders[0], named["only"])))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(folders[0]) if folders else Path(temporary) / "checkpoint"
        if not folders:
            make(folder)
        for _ in range(int(named.get("repeats", "3"))):
            words = [
                sys.executable,
                __file__,
                str(folder),
                f"only={named.get('dtype', 'bfloat16')}",
            ]
            done = subprocess.run(words, stdout=subprocess.PIPE, check=True)
            found = json.loads(done.stdout)
            print("  ".join(f"{name} {value:.2f}" for name, value in found.items()))


if __name__ == "__main__":
    main()
