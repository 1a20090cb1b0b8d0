"""Measure a checkpoint on captions that never change: those of the worlds before people's words.

    python benchmarks/old_captions.py +modality=image [checkpoint=FOLDER] [splits=[trained]] ...

The folder `old_captions` has the 200 prompts of each split that `evaluate num_prompts=200 seed=1`
drew when each modality had a demo of its own: docs/use/demos.md has what that demo reached on them.
The worlds have grown since and draw others, but still read these. Words are those of `evaluate`;
`num_prompts` takes the first ones. Where the other words are alike, so are the prompts, their sizes
and their seeds, and only the checkpoint differs.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from lumina_core.errors import LuminaError
from lumina_core.evaluation.compose import compose_evaluate
from lumina_core.evaluation.evaluate import show_tables
from lumina_core.evaluation.oracle import Case, judge, summarise
from lumina_core.evaluation.settings import EvaluateConfig
from lumina_core.files.reading import read_json
from lumina_core.sampling.generate import load_model
from lumina_core.sampling.request import Request
from lumina_core.sampling.settings import sampling_of
from lumina_core.terminal import progress, show_json

FOLDER = Path(__file__).parent / "old_captions"
FIRST_SEED = 1


def old_cases(old: dict[str, Any], split: str, config: EvaluateConfig) -> list[Case]:
    """The first prompts of a split, each with the size and the seed that it had."""
    options = [
        {key: tuple(value) if isinstance(value, list) else value for key, value in each.items()}
        for each in old["options"]
    ]
    return [
        Case(
            number,
            task,
            Request(caption, "", FIRST_SEED + number, replace(config.options, **options[size])),
        )
        for number, (task, size, caption) in enumerate(old["splits"][split][: config.num_prompts])
    ]


def measure(config: EvaluateConfig) -> dict[str, Any]:
    """The shares of each split, as `evaluate` prints them."""
    old = read_json(FOLDER / f"{config.modality}.json")
    splits = config.splits or list(old["splits"])
    if unknown := [split for split in splits if split not in old["splits"]]:
        raise LuminaError(f"splits={unknown} is unknown; use {', '.join(old['splits'])}")
    model, sampling = load_model(config), sampling_of(config)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for split in splits:
            cases = old_cases(old, split, config)
            judged = judge(model, cases, sampling, Path(folder, split), dtype=config.dtype)
            found[split] = summarise([next(judged) for _ in progress(range(len(cases)), split)])
    return {"modality": config.modality, "checkpoint": model.checkpoint_sha256, "splits": found}


def main() -> None:
    config = compose_evaluate(["num_prompts=200", *sys.argv[1:]])
    result = measure(config)
    show_json(result) if config.json else show_tables(result)


if __name__ == "__main__":
    try:
        main()
    except LuminaError as error:
        sys.exit(f"error: {error}")
