"""CPU time and memory of whole commands, beside what their imports alone cost, in one run.

    python benchmarks/start_up.py [REPEATS]

Prints the median of each and the ratios that the project promises. The last rows have NUM_PLUGINS
made-up plugins beside those that are installed, each in a package of its own.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

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
NUM_PLUGINS = 10
LISTINGS = {
    f"{' '.join(words)}, {NUM_PLUGINS} more": [PYTHON, "-m", "lumina_core", *words]
    for words in (["plugins"], ["plugins", "--json"], ["run", "--help"], ["plugins", "--check"])
}
"""With made-up plugins; the last imports them, and is shown for comparison."""
PLUGIN = """
from lumina_core import ModalitySpec, hookimpl

@hookimpl
def lumina_modality():
    return ModalitySpec("{name}.plugin:Options", "{name}.plugin:Toy", (3, 0))
"""
KIB_PER_GIB = 1024**2


def write_plugins(site: Path) -> dict[str, str]:
    """Install made-up plugins into a folder; the environment in which they are found."""
    for number in range(NUM_PLUGINS):
        name = f"lumina_made_up{number}"
        (site / name / "conf" / "modality").mkdir(parents=True)
        (site / name / "__init__.py").write_text("")
        (site / name / "plugin.py").write_text(PLUGIN.format(name=name))
        yaml = "".join(f"key{key}: 1  # what it means\n" for key in range(20))
        (site / name / "conf" / "modality" / f"made_up{number}.yaml").write_text(yaml)
        info = site / f"{name}-1.0.dist-info"
        info.mkdir()
        about = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nSummary: Made up\n"
        (info / "METADATA").write_text(about)
        entry = f"[lumina_core.modalities]\nmade_up{number} = {name}.plugin\n"
        (info / "entry_points.txt").write_text(entry)
    paths = [str(site), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


def cost(words: list[str], folder: str, environment: Mapping[str, str]) -> tuple[float, float]:
    """CPU seconds (user and system) and peak memory in GiB of one process."""
    process = subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    if status and "--check" not in words:  # the made-up plugins have no options
        sys.exit(f"{' '.join(words)} failed")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / KIB_PER_GIB


def main() -> None:
    """Run every command in turn, round by round, and print medians."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    commands = COMMANDS | LISTINGS
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    memory: dict[str, list[float]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as site:
        with_plugins = write_plugins(Path(site))
        for _ in range(repeats):
            for name, words in commands.items():
                environment = with_plugins if name in LISTINGS else os.environ
                used, peak = cost(words, folder, environment)
                seconds[name].append(used)
                memory[name].append(peak)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    for name, value in median.items():
        print(f"{name:26} {value:7.3f} s CPU   {max(memory[name]):5.2f} GiB")
    for name in REQUESTS:
        print(f"run {name} / imports: {median[f'run {name}'] / median['imports']:.2f}")
    for name in ("plugins", "--help", "complete", *LISTINGS):
        print(
            f"{name} above the bare interpreter: {median[name] - median['bare interpreter']:.3f} s"
        )


if __name__ == "__main__":
    main()
