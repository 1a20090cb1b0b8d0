"""What a fine-tune forgets: its validation loss on samples of what it began with, beside its own.

They are drawn from the world of the modality, if the start was trained on that and nothing else, or
come from `start_data`. The oracle's accuracy asks for captions of the world anyway. Both are
measured before the first step, too: what comes later is compared with that.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lumina_core.checkpoints.manifest import SYNTHETIC
from lumina_core.data.settings import FOLDER, MANIFEST, WINDOW, FilesConfig, SyntheticConfig
from lumina_core.data.source import CaptionedSample
from lumina_core.errors import LuminaError
from lumina_core.modality import Modality
from lumina_core.terminal import tell
from lumina_core.training.pool import build_source
from lumina_core.training.settings import TrainConfig
from lumina_core.training.validation import validation_samples

UNKNOWN = (
    "note: what init_from was trained on is not known here, so this run cannot tell what it "
    "forgets; name some of it: start_data=FOLDER"
)


def start_samples(
    config: TrainConfig, modality: Modality, data_before: Sequence[Any]
) -> list[CaptionedSample]:
    """Samples of what a run began with; none where it never validates, or where they are its own.

    Args:
        config: of the run.
        modality: of the run.
        data_before: kinds of data of its start, as manifests name them.

    Raises:
        LuminaError: `start_data` cannot be used.
    """
    if config.init_from is None or not config.validate_every:
        return []
    if config.start_data is None:
        is_of_world = all(kind == SYNTHETIC for kind in data_before) and modality.world is not None
        if not is_of_world:
            tell(UNKNOWN)
        if not is_of_world or isinstance(config.data, SyntheticConfig):
            return []
        return _held(replace(config, data=SyntheticConfig()), modality)
    path = Path(config.start_data)
    limits = config.data if isinstance(config.data, FilesConfig) else FilesConfig()
    name = FOLDER if path.is_dir() else MANIFEST
    # few samples are measured, so it needs no index, even beside data that are streamed
    pool = replace(limits, name=name, stream=False, index=None, shuffle_window=WINDOW)
    try:
        return _held(replace(config, data=replace(pool, path=str(path))), modality)
    except LuminaError as error:
        raise LuminaError(f"start_data={path}: {error}") from error


def _held(config: TrainConfig, modality: Modality) -> list[CaptionedSample]:
    with tempfile.TemporaryDirectory() as folder:  # what it leaves out is no part of the run
        source = build_source(replace(config, out=folder), config.modality, modality)
        return validation_samples(source, config.num_validation_samples)


def before(found: Mapping[str, Any], begun: Mapping[str, Any]) -> str:
    """What a measurement was before the first step, behind its line for people.

    Args:
        found: a line of the log.
        begun: all measurements of step 0, as the log has them.
    """
    key = next(key for key in found if key != "step")  # a loss stands before what goes with it
    if not found["step"] or key not in begun:
        return ""
    first = begun[key]
    is_one = "accuracy" in first or not isinstance(next(iter(first.values())), Mapping)
    texts = [_figure(first)] if is_one else [f"{n} {_figure(of)}" for n, of in first.items()]
    return f" ({'  '.join(texts)} before the first step)"


def _figure(of: Mapping[str, Any]) -> str:
    return f"{of['accuracy']:.1%}" if "accuracy" in of else f"{sum(of.values()) / len(of):.4f}"
