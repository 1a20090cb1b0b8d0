"""What `evaluate` is asked for: the record. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lumina_core.errors import LuminaError
from lumina_core.records import _check_at_least, _check_seed
from lumina_core.sampling.settings import Sampling

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class EvaluateConfig(Sampling):
    """What `evaluate` measures, and how it samples."""

    modality: str
    options: Any
    checkpoint: str | None
    """As in RunConfig."""
    num_prompts: int
    splits: tuple[str, ...] | None
    """None: every split of the world."""
    seed: int
    out: str | None
    """A folder, or a file that ends in .html."""
    overwrite: bool
    compare: str | None
    json: bool
    text_cache: str | None
    """Folder that keeps features of texts; None: they are kept in memory alone."""
    download: bool
    device: str
    dtype: str
    attention: str

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_at_least(self, 1, "num_prompts")
        _check_seed(self.seed, self.num_prompts)
        if self.splits is not None and not 0 < len(self.splits) == len(set(self.splits)):
            raise LuminaError(
                f"splits is {list(self.splits)}; name each split once, or use null for all of them."
            )
