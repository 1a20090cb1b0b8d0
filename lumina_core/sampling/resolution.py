"""Sizes larger than all of training: what the released code of a family does there is chosen.

| family | rotation | attention |
|---|---|---|
| Flag-DiT, positions along one sequence | NTK by the ratio of patches | proportional |
| Next-DiT, row and column in turn | linear by its root early, NTK by it later | proportional |
| any other | as trained | as trained |

What is set by hand stays. The choice becomes plain settings, which the file of the sample carries.

Source: the demos of Lumina-T2X (Alpha-VLLM/Lumina-T2X, lumina_t2i and lumina_next_t2i).
"""

from collections.abc import Iterator
from dataclasses import replace
from math import sqrt

from lumina_core.backbone.settings import (
    ALTERNATING,
    CROSS,
    NO_SCALING,
    SEQUENCE,
    BackboneConfig,
    RopeScaling,
)
from lumina_core.records import as_text, flat, told
from lumina_core.sampling.settings import AUTO, NONE, Sampling

WATERSHED = 0.3  # time from linear to NTK, as released


def at_size(sampling: Sampling, num_patches: int, config: BackboneConfig | None) -> Sampling:
    """How a sample of a size is made.

    Args:
        sampling: what is asked for.
        num_patches: of the sample.
        config: of the backbone; None: it is the network of another package.

    Returns:
        The same, or with scaling of positions and attention in it and resolution=none.
    """
    if not _is_beyond(sampling, num_patches) or config is None or config.text != CROSS:
        return sampling
    trained = sampling.trained_patches or num_patches
    ratio = num_patches / trained
    if config.rope == SEQUENCE:
        scaling = RopeScaling(ntk=ratio)
        base = round(trained + 2 * sqrt(trained))  # each row of a square has two more, as released
    elif config.rope == ALTERNATING:
        scaling = RopeScaling(linear=sqrt(ratio), ntk=sqrt(ratio), watershed=WATERSHED)
        base = trained
    else:
        return sampling
    own, known = sampling.rope_scaling, sampling.proportional_attention
    return replace(
        sampling,
        resolution=NONE,
        rope_scaling=scaling if own == NO_SCALING else own,
        proportional_attention=base if known is None else known,
    )


def size_notes(
    sampling: Sampling, num_patches: int, config: BackboneConfig | None
) -> Iterator[str]:
    """What is chosen for a sample of a size, in one line; nothing at sizes of training."""
    if not _is_beyond(sampling, num_patches):
        return
    before = flat(told(sampling))
    after = flat(told(at_size(sampling, num_patches, config)))
    changed = [key for key, value in after.items() if before.get(key) != value]
    chosen = [f"{key}={as_text(after[key])}" for key in changed if key != "resolution"]
    if chosen:
        what = f"takes {' '.join(chosen)}; resolution=none leaves them out"
    elif sampling.rope_scaling == NO_SCALING:
        what = "is not scaled, for its family has no scaling; rope_scaling sets one by hand"
    else:
        return
    yield (
        f"{num_patches} patches are more than the {sampling.trained_patches} of training: the "
        f"sample {what}"
    )


def _is_beyond(sampling: Sampling, num_patches: int) -> bool:
    trained = sampling.trained_patches
    return sampling.resolution == AUTO and trained is not None and num_patches > trained
