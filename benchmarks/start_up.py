"""CPU time and memory of whole commands, beside what their imports alone cost, in one run.

    python benchmarks/start_up.py [REPEATS]

Prints the median of each and the ratios that the project promises.
"""

import os
import statistics
import subprocess
import sys
import tempfile

PYTHON = sys.executable
IMPORTS = (
    "import torch; from transformers import LlamaModel; "
    "from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL"
)
REQUESTS = {
    "image": ("a red circle to the left of a blue square",),
    "video": ("a red circle moving to the right",),
    "multiview": ("a cube, red in front and blue behind", "modality.views=8"),
    "audio": ("two short high beeps, then a falling sweep",),
}
COMMANDS = {
    "bare interpreter": [PYTHON, "-c", "pass"],
    "imports": [PYTHON, "-c", IMPORTS],
    **{
        f"run {name}": [PYTHON, "-m", "lumina_core", "run", f"+modality={name}", *words]
        for name, words in REQUESTS.items()
    },
    "plugins": [PYTHON, "-m", "lumina_core", "plugins"],
    "--help": [PYTHON, "-m", "lumina_core", "--help"],
    "complete": [PYTHON, "-m", "lumina_core", "complete", "--", "run", "modality=image", ""],
}
KIB_PER_GIB = 1024**2


def cost(words: list[str], folder: str) -> tuple[float, float]:
    """CPU seconds (user and system) and peak memory in GiB of one process."""
    process = subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(words)} failed")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / KIB_PER_GIB


def main() -> None:
    """Run every command in turn, round by round, and print medians."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    memory: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(repeats):
            for name, words in COMMANDS.items():
                used, peak = cost(words, folder)
                seconds[name].append(used)
                memory[name].append(peak)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    for name, value in median.items():
        print(f"{name:18} {value:7.3f} s CPU   {max(memory[name]):5.2f} GiB")
    for name in REQUESTS:
        print(f"run {name} / imports: {median[f'run {name}'] / median['imports']:.2f}")
    for name in ("plugins", "--help", "complete"):
        print(
            f"{name} above the bare interpreter: {median[name] - median['bare interpreter']:.3f} s"
        )


if __name__ == "__main__":
    main()
