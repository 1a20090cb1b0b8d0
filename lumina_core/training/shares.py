"""How ranks share out the samples of a step, so that none waits long for another.

Every rank computes the same shares, without talking: lengths are known before anything is decoded.
"""

from collections.abc import Callable, Sequence
from functools import cache
from heapq import heapify, heappop, heappush

from lumina_core.backbone.cost import Sizes, flops
from lumina_core.backbone.settings import BackboneConfig
from lumina_core.data.mixture import Pick


def shares_of(
    picks: Sequence[Pick], num_shares: int, token_budget: int, cost: Callable[[Pick], float]
) -> list[list[list[Pick]]]:
    """The batches of each share; all shares have as many, some of which may be empty.

    The longest samples come first: each goes to the share that has cost least so far, and there
    into the first batch that has room.

    Args:
        picks: of the step.
        num_shares: groups of ranks.
        token_budget: positions of a batch.
        cost: of a sample.
    """
    least = [(0.0, share) for share in range(num_shares)]
    heapify(least)
    shares: list[list[list[Pick]]] = [[] for _ in range(num_shares)]
    for pick in sorted(picks, key=lambda each: (-cost(each), each.n)):
        total, share = heappop(least)
        heappush(least, (total + cost(pick), share))
        for batch in shares[share]:
            if sum(each.num_positions for each in batch) + pick.num_positions <= token_budget:
                batch.append(pick)
                break
        else:
            shares[share].append([pick])
    most = max(len(batches) for batches in shares)
    return [
        [sorted(batch) for batch in batches] + [[] for _ in range(most - len(batches))]
        for batches in shares
    ]


def cost_by(config: BackboneConfig) -> Callable[[Pick], float]:
    """Operations of a sample in training, its text left out."""

    @cache
    def cost(modality: str, num_positions: int) -> float:
        return flops(config, modality, Sizes(num_positions, num_positions, 0)).training

    return lambda pick: cost(pick.modality, pick.num_positions)
