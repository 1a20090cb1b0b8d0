"""Builds the sources and the mixture that a run asks for, checked before anything is computed."""

from collections.abc import Mapping
from pathlib import Path

from lumina_core.data.file_pool import QUARANTINE, FilePool, Wanted
from lumina_core.data.item_stream import ItemStream
from lumina_core.data.mixture import Mixture
from lumina_core.data.settings import CachedConfig, FilesConfig
from lumina_core.data.source import Source
from lumina_core.data.synthetic import (
    SyntheticPool,
    longest_sample,
    refuse_varied_options,
    training_variants,
    world_of,
)
from lumina_core.errors import LuminaError
from lumina_core.modality import Modality
from lumina_core.runtime import derived_seed
from lumina_core.training.cached import cached_source, open_caches
from lumina_core.training.settings import TrainConfig

POOL_STREAM = 1  # of random numbers from the seed of the run; stream 0 belongs to its steps


def build_mixture(config: TrainConfig, modalities: Mapping[str, Modality]) -> Mixture:
    """The samples of a run, none of which is there yet.

    Raises:
        LuminaError: as `build_source`.
    """
    sources = {name: _named_source(config, name, each) for name, each in modalities.items()}
    shares = {name: member.share for name, member in config.members.items()}
    return Mixture(sources, shares, config.token_budget, config.gradient_accumulation)


def _named_source(config: TrainConfig, name: str, modality: Modality) -> Source:
    """As `build_source`; of several modalities a refusal says which one it concerns."""
    try:
        return build_source(config, name, modality)
    except LuminaError as error:
        if not config.joint:
            raise
        raise LuminaError(f"{name}: {error}") from error


def build_source(config: TrainConfig, name: str, modality: Modality) -> Source:
    """The samples of one modality of a run.

    Raises:
        LuminaError: there is no data, or a sample of it does not fit the budget or the options.
    """
    member, place = config.members[name], list(config.members).index(name)
    seed = derived_seed(config.seed, POOL_STREAM, *([place] if place else []))
    data, separators = member.data, config.backbone.separators
    if isinstance(data, FilesConfig | CachedConfig):
        modality.media_shape(member.options)  # of the samples on the sheets
        wanted = Wanted(
            name,
            member.options,
            config.token_budget,
            separators,
            num_held=config.num_validation_samples if config.validate_every else 0,
            quarantine=Path(config.out) / f"{f'{name}-' * bool(config.joint)}{QUARANTINE}",
        )
        if isinstance(data, CachedConfig):
            caches = open_caches(data, name, modality)
            longest = max(int(cache.lengths(separators).max()) for cache in caches)
            _check_budget(config, longest, "up to ")
            return cached_source(wanted, data, modality, seed, caches)
        _check_budget(config, longest_fitted(data, separators), "up to ")
        return (ItemStream if data.is_stream else FilePool)(wanted, data, modality, seed)
    refuse_varied_options(name, member.options, world_of(modality))
    variants = training_variants(modality, data.max_tokens)
    _check_budget(config, longest_sample(modality, variants, separators))
    return SyntheticPool(name, modality, data, seed, separators=separators)


def longest_fitted(data: FilesConfig, separators: bool) -> int:
    """Positions that no file of one frame exceeds at its legal size, separators included.

    Whole tokens of a legal size: `columns` of them hold a width below `columns + 1`, so there are
    no more rows than `max_aspect` times that.
    """
    if not separators:
        return data.max_tokens
    return max(
        int(min(data.max_tokens // columns, data.max_aspect * (columns + 1))) * (columns + 1)
        for columns in range(1, data.max_tokens + 1)
    )


def _check_budget(config: TrainConfig, longest: int, bound: str = "") -> None:
    if longest > config.token_budget:
        raise LuminaError(
            f"token_budget={config.token_budget} is shorter than one sample of {bound}{longest} "
            f"positions; set token_budget={longest} or more, or a smaller data.max_tokens"
        )
