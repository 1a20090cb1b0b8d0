"""What a fresh process costs before and while it makes one sample of each demo in one step.

    python benchmarks/cold_start.py [rounds=5] [beside=CHECKOUT] [out=FILE.json]

Each round starts every process once, in turn, with one thread; the median counts. CPU time is that
of user and system, which a busy machine changes little; wall time is told, too. Rows: the bare
interpreter, `import torch`, the classes of autoencoder and text encoder, `run` of each modality,
and the same request made again in a process that made it before: the model's own work. With
`beside` a `run` of another checkout is measured in the same rounds.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from start_up import IMPORTS, REQUESTS

TORCH, CLASSES = "import torch", "classes of diffusers and transformers"
AGAIN = """
import sys, time
from lumina_core.cli.main import main
for number in range(2):
    begun = time.process_time()
    if main([*sys.argv[1:], f"seed={number}"]):
        sys.exit("failed")
print(time.process_time() - begun, file=sys.stderr)
"""


def words_of(name: str) -> list[str]:
    """The request of a modality."""
    return ["run", f"+modality={name}", *REQUESTS[name], "solver.num_steps=1"]


def costs_of(command: list[str], folder: str, environment: Mapping[str, str]) -> dict[str, float]:
    """Seconds of one process: CPU, wall, and what it tells of itself, if anything."""
    begun = time.perf_counter()
    with tempfile.TemporaryFile() as told:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=told,
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begun
        told.seek(0)
        text = told.read().decode()
    if status:
        sys.exit(f"{' '.join(command)} failed: {text}")
    cpu = float(text.split()[-1]) if AGAIN in command else usage.ru_utime + usage.ru_stime
    return {"cpu": cpu, "wall": wall}


def main() -> None:
    """Measure, and print medians."""
    given = dict(word.split("=", 1) for word in sys.argv[1:])
    alone = dict(os.environ) | {"OMP_NUM_THREADS": "1"}
    rows = {"bare interpreter": (["-c", "pass"], alone)}
    rows |= {TORCH: (["-c", TORCH], alone), CLASSES: (["-c", IMPORTS], alone)}
    for name in REQUESTS:
        command = ["-m", "lumina_core", *words_of(name)]
        rows[f"run {name}"] = (command, alone)
        rows[f"again {name}"] = (["-c", AGAIN, *words_of(name)], alone)
        if "beside" in given:
            other = Path(given["beside"]).absolute()
            paths = os.pathsep.join(map(str, [other, *sorted(other.glob("plugins/*"))]))
            rows[f"beside {name}"] = (command, alone | {"PYTHONPATH": paths})
    found: dict[str, list[dict[str, float]]] = {name: [] for name in rows}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(int(given.get("rounds", 5))):
            for name, (command, environment) in rows.items():
                found[name].append(costs_of(command, folder, environment))
    medians = {
        name: {unit: median(each[unit] for each in costs) for unit in ("cpu", "wall")}
        for name, costs in found.items()
    }
    torch = medians[TORCH]["cpu"]
    for name, costs in medians.items():
        print(f"{name:38} {costs['cpu']:6.2f} s CPU {costs['wall']:6.2f} s wall")
    for name in REQUESTS:
        start = medians[f"run {name}"]["cpu"] - medians[f"again {name}"]["cpu"]
        print(f"run {name} without the model's own work: {start / torch:.2f} times {TORCH}")
    if "out" in given:
        Path(given["out"]).write_text(json.dumps({"medians": medians, "rounds": found}, indent=2))


if __name__ == "__main__":
    main()
