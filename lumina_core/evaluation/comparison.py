"""Two measurements of `evaluate` side by side; refuses those that were not made alike.

Alike means the same modality, version of the oracle, seed, number of prompts, splits and tasks:
then both answered the same questions. How samples were made (steps, guidance, dtype) may differ,
for that is what one compares; such differences are shown.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lumina_core.checkpoints.model import Model
from lumina_core.data.synthetic import varied_options, world_of
from lumina_core.errors import LuminaError
from lumina_core.evaluation.settings import EvaluateConfig
from lumina_core.files.reading import read_json
from lumina_core.records import flat
from lumina_core.sampling.adapters import ADAPTERS
from lumina_core.sampling.request import Request, describe
from lumina_core.sampling.settings import SAMPLING_SETTINGS, Sampling

QUESTIONS = ("modality", "oracle", "seed", "num_prompts")
"""What must be the same for numbers to be comparable, beside splits and their tasks."""
SETTINGS = ("options", *SAMPLING_SETTINGS, "dtype", "quantise", ADAPTERS)
"""How samples are made; may differ."""
SHARE = ("accuracy", "low", "high")
MAX_BYTES = 10_000_000  # of a file to compare with; a measurement has a few thousand


def protocol_of(model: Model, config: EvaluateConfig, sampling: Sampling) -> dict[str, Any]:
    """What a measurement must say to be compared with another, as JSON has it."""
    world = world_of(model.modality)
    varied = varied_options(world)
    request = Request("", "", config.seed, config.options)
    described = describe(model, request, sampling, config.dtype)
    options = {key: v for key, v in described["options"].items() if key not in varied}
    protocol = {
        "modality": config.modality,
        "oracle": world.version,
        "seed": config.seed,
        "num_prompts": config.num_prompts,
        "splits": {
            split: list(world.tasks(split)[: config.num_prompts])
            for split in config.splits or world.splits
        },
        **{key: described[key] for key in SETTINGS if key in described},
        "options": options,
    }
    return dict(json.loads(json.dumps(protocol)))


def read_result(path: Path) -> dict[str, Any]:
    """A measurement that `evaluate json=true` printed or kept.

    Raises:
        LuminaError: the file cannot be read or is something else.
    """
    try:
        result = read_json(path, MAX_BYTES)
        _check_result(result)
    except OSError as error:
        raise LuminaError(f"compare={path} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LuminaError(
            f"compare={path} is no result of `evaluate json=true` with its protocol; measure "
            "that checkpoint again"
        ) from error
    return dict(result)


def refuse_unlike(earlier: Mapping[str, Any], protocol: Mapping[str, Any], path: Path) -> None:
    """Refuse to compare answers to different questions.

    Raises:
        LuminaError: naming the first thing that differs.
    """
    then = earlier["protocol"]
    for key in QUESTIONS:
        if then[key] != protocol[key]:
            raise LuminaError(
                f"compare={path} was measured with {key}={then[key]!r}, this would be with "
                f"{protocol[key]!r}; measure both alike"
            )
    for split, tasks in protocol["splits"].items():
        if split not in earlier["splits"]:
            raise LuminaError(
                f"compare={path} has no split {split!r}; measure both alike, or use "
                f"splits=[{','.join(earlier['splits'])}]"
            )
        found = list(earlier["splits"][split]["tasks"])
        if found != tasks:
            raise LuminaError(
                f"compare={path} has the tasks {', '.join(found)} in split {split!r}, this would "
                f"have {', '.join(tasks)}; measure both alike"
            )


def compared(earlier: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    """What changed since an earlier measurement of the same questions.

    Returns:
        The earlier checkpoint, the settings that differ as [then, now], and for each split and
        task both shares with their intervals and the difference, now minus then.
    """
    then, now = (
        flat({key: measured["protocol"].get(key) for key in SETTINGS})
        for measured in (earlier, result)
    )
    return {
        "checkpoint": earlier["checkpoint"],
        "settings": {
            key: [then.get(key), now.get(key)]
            for key in dict.fromkeys([*then, *now])
            if then.get(key) != now.get(key)
        },
        "splits": {
            split: _change(earlier["splits"][split], shares)
            | {
                "tasks": {
                    task: _change(earlier["splits"][split]["tasks"][task], share)
                    for task, share in shares["tasks"].items()
                }
            }
            for split, shares in result["splits"].items()
        },
    }


def _change(then: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "then": {key: then[key] for key in SHARE},
        "now": {key: now[key] for key in SHARE},
        "difference": now["accuracy"] - then["accuracy"],
    }


def _check_result(result: Any) -> None:
    """Fail with a plain error unless it has the form that `compared` reads."""
    protocol = result["protocol"]
    if not (isinstance(protocol, dict) and protocol.keys() >= set(QUESTIONS)):
        raise ValueError
    if not isinstance(result["checkpoint"], str):
        raise ValueError
    for split in result["splits"].values():
        for share in (split, *split["tasks"].values()):
            if not 0 <= share["low"] <= share["accuracy"] <= share["high"] <= 1:
                raise ValueError
