"""Training from what `cache` encoded, with the autoencoder and text encoder that encoded it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from lumina_core.autoencoder.networks import read_config
from lumina_core.checkpoints.vae_folder import vae_sha256
from lumina_core.data.caches.manifest import caches_at, differences
from lumina_core.data.caches.pool import CachedPool
from lumina_core.data.caches.reading import Cache
from lumina_core.data.caches.stream import CachedStream
from lumina_core.data.file_pool import Wanted
from lumina_core.data.mixture import Mixture
from lumina_core.data.settings import WINDOW, CachedConfig
from lumina_core.errors import LuminaError
from lumina_core.modality import Modality
from lumina_core.records import fixed_names, told
from lumina_core.terminal import tell
from lumina_core.text.encoder import TextEncoder
from lumina_core.text.frozen import FrozenTextEncoder

STATISTICS = ("latents_mean", "latents_std", "scaling_factor", "shift_factor")
"""In the config.json of an autoencoder: how latents come to zero mean and unit variance."""
NO_CACHE = "data=cache needs to know where: data.path=CACHE, a folder that `cache` made"


def autoencoder_entry(modality: Modality) -> dict[str, Any]:
    """Which autoencoder a modality has: hash and statistics; empty for a formula."""
    folder = modality.vae.folder
    if folder is None:
        return {}
    config = read_config(folder)
    found = {key: config[key] for key in STATISTICS if key in config}
    return found | {"sha256": vae_sha256(folder)}


def text_encoder_entry(encoder: FrozenTextEncoder | None) -> dict[str, Any]:
    """Which text encoder made features, and how it read; empty for none."""
    if encoder is None:
        return {}
    return {"hub_id": encoder.hub_id, "sha256": encoder.sha256, **told(encoder.reading)}


def open_caches(data: CachedConfig, name: str, modality: Modality) -> list[Cache]:
    """The caches of a run, whose latents are those that its modality has.

    Raises:
        LuminaError: there is none, one is damaged, or was encoded otherwise.
    """
    if data.path is None:
        raise LuminaError(NO_CACHE)
    caches = [Cache(folder) for folder in caches_at(Path(data.path))]
    fixed = fixed_names(modality.options)
    own = {
        "modality": name,
        "options": {key: getattr(modality.options, key) for key in fixed if key != "vae"},
        "autoencoder": autoencoder_entry(modality),
    }
    for cache in caches:
        manifest, encoding = cache.manifest, cache.manifest["encoding"]
        options = encoding["options"]
        made = {
            "modality": manifest["modality"],
            "options": {key: options[key] for key in own["options"] if key in options},
            "autoencoder": encoding["autoencoder"],
        }
        for differing in differences(made, own):
            raise LuminaError(
                f"the latents in {cache.folder} are not those of this run: {differing}; train with "
                "what they were made with, or make another cache"
            )
        _refuse_mixed(caches[0], cache)
    return caches


def _refuse_mixed(first: Cache, cache: Cache) -> None:
    for differing in differences(first.manifest["encoding"], cache.manifest["encoding"]):
        if not differing.startswith("limits."):
            raise LuminaError(
                f"{first.folder} and {cache.folder} were not encoded alike: {differing}; train on "
                "one of them, or make one anew"
            )


def cached_source(
    wanted: Wanted, data: CachedConfig, modality: Modality, seed: int, caches: Sequence[Cache]
) -> CachedPool | CachedStream:
    """The samples of caches, in the order of the data that they were made of.

    Raises:
        LuminaError: they are of two kinds, or there are too few.
    """
    kinds = [cache.counts is not None for cache in caches]
    if all(kinds):
        return CachedStream(wanted, data, seed, caches)
    if any(kinds):
        raise LuminaError(
            f"of the caches in data.path={data.path} some are of a stream, as of shards, and some "
            "are not; train on those of one kind"
        )
    if data.shuffle_window != WINDOW:
        raise LuminaError(
            f"data.shuffle_window={data.shuffle_window} is for a stream, and {data.path} is of "
            "files that a pool takes; leave it out"
        )
    return CachedPool(wanted, data, modality, seed, caches)


def use_features(encoder: TextEncoder | FrozenTextEncoder, mixture: Mixture) -> None:
    """Let a frozen encoder take the features that the caches of a run hold.

    Raises:
        LuminaError: another encoder made them.
    """
    sources = mixture.sources.values()
    cached = [each for each in sources if isinstance(each, CachedPool | CachedStream)]
    caches = [cache for source in cached for cache in source.caches]
    holding = [cache for cache in caches if cache.manifest["text_encoder"]]
    if not holding:
        return
    if isinstance(encoder, TextEncoder):
        tell("note: the text features of the cache are not used, for the text encoder learns along")
        return
    own = text_encoder_entry(encoder)
    for cache in holding:
        made = cache.manifest["text_encoder"]
        for differing in differences(made, own | {"hub_id": made["hub_id"]}):  # or a folder of it
            raise LuminaError(
                f"the text features in {cache.folder} are not those of this run: text_encoder."
                f"{differing}; train with the text encoder that made them, or make another cache"
            )
    encoder.stored = lambda written_out: _first(holding, written_out)


def _first(caches: Sequence[Cache], written_out: str) -> Tensor | None:
    found = (cache.features(written_out) for cache in caches)
    return next((features for features in found if features is not None), None)
