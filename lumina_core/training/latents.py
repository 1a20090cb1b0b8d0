"""What a latent is like before anything is trained on it: whether captions can be learned from it.

A network learns what captions say of a latent as far as that decides the latent. Where captions
explain next to nothing of it, or where it is mostly zeros with rare spikes, the loss hardly falls
with the right caption, and no guidance and no more steps bring the captions back. Everything here
is measured on the latents that a world draws, without a network.
"""

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lumina_core.checkpoints.model import Model
from lumina_core.data.settings import SyntheticConfig
from lumina_core.data.synthetic import longest_sample, trained_split, training_variants, world_of
from lumina_core.modality import Modality
from lumina_core.runtime import seeded
from lumina_core.training.settings import TrainConfig

GOOD, WARNING, FAULT = "good", "warning", "fault"
NUM_CAPTIONS, NUM_DRAWS = 24, 8  # with these the share varies by about 0.03 from draw to draw
NUM_QUICK_DRAWS, MIN_QUICK_CAPTIONS = 4, 16  # before a training, which spends
QUICK_SECONDS = 2.0  # of a CPU on it
SEED = 24  # the same latents for every run: what is told is about the plugin

# Between latents that learn within minutes and one that does not: the project's worlds have shares
# of 0.56 to 0.93, a kurtosis of at most 12 and an energy of at most 0.25, and melodies with a token
# for each note a share of 0.49; the same melodies as a piano-roll 0.01, 146 and 1.
FEW_EXPLAINED, HARDLY_EXPLAINED = 0.4, 0.15  # share of the variance between captions
MAX_KURTOSIS = 20.0  # 3 is that of a normal distribution
MAX_TOP_ENERGY, TOP_SHARE = 0.4, 0.01  # of the squares of all cells, in the largest of them
MAX_TOKEN_WIDTH = 0.5  # of the network's


class Finding(NamedTuple):
    """One thing that was measured."""

    name: str
    value: float
    verdict: str
    """GOOD, WARNING or FAULT."""
    text: str
    """The value in words."""
    remedy: str
    """What the author can do, in one sentence."""

    def line(self) -> str:
        """For people; the remedy only where one is needed."""
        remedy = "" if self.verdict == GOOD else f": {self.remedy}"
        return f"{self.verdict:<9}{self.text}{remedy}"


Latents = Float[Tensor, "caption draw element"]


def drawn_latents(
    modality: Modality, num_draws: int = NUM_DRAWS, seconds: float = math.inf
) -> Latents:
    """Latents of NUM_CAPTIONS captions of the trained split, all at its smallest size.

    With fewer draws they are the first of those that more would give, so that a training and
    `doctor` look at the same latents.

    Args:
        modality: its parts, with a world.
        num_draws: of each caption.
        seconds: of a CPU, after which no further caption is begun; at least one is.
    """
    world = world_of(modality)
    options = replace(modality.options, **smallest_variant(modality))
    started = time.thread_time()
    found: list[Tensor] = []
    while len(found) < NUM_CAPTIONS and (not found or time.thread_time() - started < seconds):
        generator = seeded(SEED, len(found))
        caption = world.caption(trained_split(world), generator)
        drawn = (world.draw(caption, options, generator) for _ in range(num_draws))
        latents = [modality.vae.encode(media).cpu().float().flatten() for media in drawn]
        found.append(torch.stack(latents))
    return torch.stack(found)


def smallest_variant(modality: Modality) -> Mapping[str, Any]:
    """The size of the trained split that has the fewest tokens."""
    variants = training_variants(modality)
    return min(variants, key=lambda each: longest_sample(modality, [each], separators=False))


def share_explained(latents: Latents) -> float:
    """The share of a latent's variance that lies between captions (eta squared), from 0 to 1.

    With m draws of each caption, W the mean variance within captions and B that of the means of
    captions, the variance between captions is B - W / m, and the share (B - W / m) / (B - W / m +
    W). A latent that never varies has the share 0: it says nothing of its caption.
    """
    within = latents.var(1).mean().item()
    between = latents.mean(1).var(0).mean().item() - within / latents.shape[1]
    return max(0.0, between) / (max(0.0, between) + within) if between > 0 else 0.0


def kurtosis(latents: Latents) -> float:
    """The fourth moment over the square of the second; infinite for a latent that never varies.

    It is 3 where numbers are normal, and more where there are spikes.
    """
    centred = latents - latents.mean()
    variance = centred.square().mean().item()
    return centred.pow(4).mean().item() / variance**2 if variance else math.inf


def top_energy(latents: Latents) -> float:
    """The part of the sum of all squares that the largest TOP_SHARE of the numbers has."""
    energy = latents.square().flatten()
    top = energy.topk(max(1, int(TOP_SHARE * len(energy)))).values
    return (top.sum() / energy.sum()).item() if energy.any() else 1.0


def latent_findings(latents: Latents, token_dim: int, hidden_size: int) -> list[Finding]:
    """What is good or bad about latents for a network that shall learn captions.

    Args:
        latents: from `drawn_latents`.
        token_dim: numbers of a token.
        hidden_size: width of the network.
    """
    share, tail, top = share_explained(latents), kurtosis(latents), top_energy(latents)
    width = token_dim / hidden_size
    return [
        Finding(
            "captions",
            share,
            FAULT if share < HARDLY_EXPLAINED else WARNING if share < FEW_EXPLAINED else GOOD,
            f"captions explain {share:.0%} of the latent",
            "draw with less freedom, or encode what captions name",
        ),
        Finding(
            "kurtosis",
            tail,
            WARNING if tail > MAX_KURTOSIS else GOOD,
            f"its kurtosis is {tail:.0f}",
            "write smooth numbers in place of cells that are rarely not zero",
        ),
        Finding(
            "top_energy",
            top,
            WARNING if top > MAX_TOP_ENERGY else GOOD,
            f"the largest {TOP_SHARE:.0%} of its cells hold {top:.0%} of its energy",
            "let a token stand for each thing that captions name, so that no cell is idle",
        ),
        Finding(
            "token_width",
            width,
            WARNING if width > MAX_TOKEN_WIDTH else GOOD,
            f"a token has {token_dim} numbers, the network is {hidden_size} wide",
            "make tokens smaller, or backbone.hidden_size larger",
        ),
    ]


def latent_warnings(config: TrainConfig, models: Mapping[str, Model]) -> Iterator[str]:
    """What a run should know of its latents before the first step, one line each.

    Nothing is told of captions of others, nor of weights that begin with those of another model,
    nor where the pool is smaller than what is drawn here: such a run learns no captions. A world
    that draws slowly is left to `doctor`.
    """
    for name, model in models.items():
        data = config.members[name].data
        is_of_world = isinstance(data, SyntheticConfig) and config.init_from is None
        if not is_of_world or data.pool_size < NUM_CAPTIONS * NUM_QUICK_DRAWS:
            continue
        latents = drawn_latents(model.modality, NUM_QUICK_DRAWS, QUICK_SECONDS)
        if len(latents) < MIN_QUICK_CAPTIONS:
            continue
        token_dim = model.modality.tokenizer.token_dim
        for finding in latent_findings(latents, token_dim, config.backbone.hidden_size):
            if finding.verdict != GOOD:
                of_whom = f"{name}: " if config.joint else ""
                yield f"warning: {of_whom}{finding.text}: {finding.remedy}"
