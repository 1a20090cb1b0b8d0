"""Where a backbone computes, and how its weights are kept: cast, in 8 bits, or streamed to a GPU.

It is put there when it is first needed, which is after the texts were encoded: so a large text
encoder and the backbone never lie on a GPU at once.
"""

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from threading import Lock
from typing import cast

import torch
from torch import nn

from lumina_core.backbone.low_rank import Weighted
from lumina_core.backbone.network import Network, PackagedNetwork
from lumina_core.backbone.streamed import StreamedBlocks
from lumina_core.backbone.transformer import own_network
from lumina_core.checkpoints.adapters import NO_ADAPTATION, Adaptation, adapt
from lumina_core.errors import LuminaError
from lumina_core.records import BLOCKS, EXACT, INT8, RESIDENT


@dataclass(frozen=True)
class Placement:
    """Where a backbone computes, and how its weights are kept there."""

    device: torch.device
    dtype: torch.dtype
    offload: str = RESIDENT
    quantise: str = EXACT
    text_device: torch.device | None = None
    """Where the text encoder computes; None: where the backbone does."""

    def check(self) -> None:
        """Refuse what cannot be done here, before anything is read.

        Raises:
            LuminaError: the device has no other memory, a package is missing, or two settings do
                not go together.
        """
        if self.offload == BLOCKS and self.device.type == "cpu":
            raise LuminaError(
                "offload=blocks keeps blocks out of the memory of a GPU, and this model computes "
                "on the CPU; use offload=none"
            )
        if self.offload == BLOCKS and self.quantise == INT8:
            raise LuminaError(
                "offload=blocks and quantise=int8 do not go together; use offload=none, or "
                "quantise=none"
            )
        if self.quantise == INT8 and find_spec("torchao") is None:
            raise LuminaError(
                "quantise=int8 needs another package; pip install 'lumina-core[quantised]'"
            )

    def check_packaged(self, network: PackagedNetwork) -> None:
        """Refuse ways to keep weights that the network of a package has not.

        Raises:
            LuminaError: one is asked for.
        """
        for key, is_asked in {
            "offload": self.offload == BLOCKS and not network.streams,
            "quantise": self.quantise == INT8,
        }.items():
            if is_asked:
                raise LuminaError(
                    f"{key}={getattr(self, key)} is not there for a {type(network).__name__}, the "
                    f"network of another package; use {key}=none"
                )

    def adapt(
        self, backbone: Network, changes: MutableMapping[str, Sequence[Weighted]], *, merge: bool
    ) -> None:
        """Change a backbone that is not in its place yet, as `adapt`.

        Merged weights are computed where they go; those of blocks that wait in the host stay there.
        """
        device = torch.device("cpu") if self.offload == BLOCKS else self.device
        adapt(backbone, changes, merge=merge, device=device, dtype=self.dtype)

    def put(self, backbone: Network) -> None:
        """Move and cast a backbone, weight by weight; one that fails half way can be put again."""
        if self.quantise == INT8:
            for block in own_network(backbone).blocks:
                to_int8(block.to(self.device, self.dtype))
        if self.offload == BLOCKS and isinstance(backbone, PackagedNetwork):
            backbone.to(dtype=self.dtype)  # in the host, each weight as its class wants it
            for holder, name in backbone.block_lists():
                blocks = list(getattr(holder, name))
                setattr(holder, name, StreamedBlocks(blocks, self.device, None))
        elif self.offload == BLOCKS:
            own = own_network(backbone)
            if isinstance(own.blocks, nn.ModuleList):
                streamed = StreamedBlocks(list(own.blocks), self.device, self.dtype)
                own.blocks = cast(nn.ModuleList, streamed)
        backbone.to(self.device, self.dtype)


def to_int8(module: nn.Module) -> None:
    """Round the matrices of linear layers to 8 bits, with one scale for each row.

    They are multiplied in the type that they had.
    """
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    # what it sets for the compiler of torch belongs to the whole process
    config = Int8WeightOnlyConfig(set_inductor_config=False)
    quantize_(module, config, lambda part, name: _is_plain(part))


def _is_plain(part: nn.Module) -> bool:
    return isinstance(part, nn.Linear) and type(part.weight) is nn.Parameter


class Placed:
    """A backbone that is put in its place once, by whoever needs it first. Threads may share it."""

    def __init__(
        self, backbone: Network, placement: Placement, adaptation: Adaptation = NO_ADAPTATION
    ) -> None:
        """Keep them; nothing is done yet.

        Args:
            backbone: as it was read.
            placement: where it goes.
            adaptation: what changes its weights before.
        """
        self.placement = placement
        self._backbone = backbone
        self._merge, self._changes = adaptation.merge, dict(adaptation.changes)
        self._is_there = False
        self._lock = Lock()

    def backbone(self) -> Network:
        """The backbone in its place."""
        with self._lock:
            if not self._is_there:
                self.placement.adapt(self._backbone, self._changes, merge=self._merge)
                self.placement.put(self._backbone)
                self._is_there = True
        return self._backbone
