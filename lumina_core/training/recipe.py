"""The numbers that decide which weights a run arrives at: stored with them, compared on resuming.

How often a run logs, measures or saves is no part of it, and neither is where it runs: device and
attention backend.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lumina_core.data.mixture import Mixture
from lumina_core.errors import LuminaError
from lumina_core.records import flat
from lumina_core.training.settings import OWN_SHARES, TrainConfig

LISTING = "data.listing_sha256"
MAY_CHANGE = {  # the number grows while files are read; the share only says when to stop
    "max_steps",
    "data.num_quarantined",
    "data.max_quarantined",
}


def recipe(config: TrainConfig, mixture: Mixture) -> dict[str, Any]:
    """What one needs to train the same weights again, but for the data's code."""
    numbers = ("seed", "max_steps", "token_budget", "gradient_accumulation", "dtype")
    own = {
        name: {
            **{key: getattr(member, key) for key in OWN_SHARES},
            "time": asdict(member.time),
            "data": mixture.sources[name].summary(),
        }
        for name, member in config.members.items()
    }
    (first, *others) = own.values()
    by_key = {key: {name: each[key] for name, each in own.items()} for key in first}
    return {
        **{key: getattr(config, key) for key in numbers},
        **{key: asdict(getattr(config, key)) for key in ("optimizer", "adapter", "objective")},
        "freeze": list(config.freeze),
        **({**by_key, "mixing": mixture.shares} if others else first),
    }


def check_resumed(folder: Path, stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse to go on with other numbers than a run began with; a run may become longer, and
    bear more files that cannot be used.

    Args:
        folder: the checkpoint to go on from, for messages.
        stored: its summary of the training.
        wanted: the recipe of what is asked for now.

    Raises:
        LuminaError: a number differs, or `max_steps` has passed already.
    """
    if wanted["max_steps"] < stored["step"]:
        raise LuminaError(
            f"max_steps={wanted['max_steps']} is less than the {stored['step']} steps of {folder}; "
            "resume with more"
        )
    before, now = flat(stored), flat(wanted)
    for key in sorted(before.keys() & now.keys()):
        block, last = key.partition(".")[0], key.rpartition(".")[2]
        of_one = f"{block}.{last}" if block == "data" else key  # of whichever modality
        if of_one in MAY_CHANGE:
            continue
        if before[key] != now[key] and of_one == LISTING:
            raise LuminaError(
                f"{folder} was trained on files with other names or captions than those of "
                f"{key.rpartition('.')[0]}.path; resume with the data of its start"
            )
        if before[key] != now[key]:
            raise LuminaError(
                f"{folder} was trained with {key}={before[key]}, this run has {key}={now[key]}; "
                "resume with the settings of its start"
            )
