"""Bars of what stands beside diffusers, drawn from the figures of a folder.

    python benchmarks/plots.py FOLDER    # writes FOLDER/peers.svg from forward.json, step.json, ...

A bar is the CPU time of diffusers over ours; 1 is equal. matplotlib has to be there.
"""

import json
import sys
from pathlib import Path
from typing import Any

RATIOS = {  # of each benchmark: the figure that is drawn, what is compared
    "forward": ("ratio", "one evaluation"),
    "step": ("ratio", "one update"),
    "guided": ("ratio", "guided sampling"),
    "mixed": ("ratio_padded", "many sizes, padded"),
}
FAMILIES = {
    "next_dit": "Next-DiT",
    "lumina_next": "Next-DiT",
    "lumina_image_2": "Lumina-Image-2.0",
    "lumina2": "Lumina-Image-2.0",
    "z_image": "Z-Image",
}
COLOURS = {"float32": "#8fb3d9", "bfloat16": "#2c6fb0"}


def label(what: str, case: dict[str, Any]) -> str:
    """What a bar stands for, the dtype left out."""
    size = f", {case['cells']} x {case['cells']} cells" if "cells" in case else ""
    return f"{FAMILIES[case['family']]}: {what}{size}"


def main(folder: Path) -> None:
    """Draw all that is there."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    bars: dict[str, dict[str, float]] = {}
    for name, (figure, what) in RATIOS.items():
        path = folder / f"{name}.json"
        if path.exists():
            for case in json.loads(path.read_text("utf-8")):
                bars.setdefault(label(what, case), {})[case["dtype"]] = case[figure]
    canvas, axes = pyplot.subplots(figsize=(8, 0.42 * len(bars) + 1), layout="constrained")
    for row, values in enumerate(bars.values()):
        for offset, (dtype, value) in zip((0.2, -0.2), values.items(), strict=False):
            axes.barh(row - offset, value, 0.38, color=COLOURS[dtype], label=dtype * (not row))
            axes.text(value, row - offset, f" {value:.2f}", va="center", fontsize=7)
    axes.axvline(1, color="grey", linewidth=0.8)
    axes.set_yticks(range(len(bars)), list(bars), fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("CPU time of diffusers over ours")
    axes.legend([pyplot.Rectangle((0, 0), 1, 1, color=each) for each in COLOURS.values()], COLOURS)
    canvas.savefig(folder / "peers.svg", metadata={"Date": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
