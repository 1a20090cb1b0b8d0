"""What `evaluate` is asked for: the record. Imports no torch."""

from dataclasses import dataclass

from lumina_core.errors import LuminaError
from lumina_core.records import NUM_SEEDS, check_seed, setting
from lumina_core.sampling.settings import ModelSource, Sampling


@dataclass(frozen=True)
class EvaluateConfig(ModelSource, Sampling):
    """What `evaluate` measures, and how it samples."""

    num_prompts: int = setting(100, "prompts per split", at_least=1)
    splits: tuple[str, ...] | None = setting(None, "list of splits of the world; null: all")
    seed: int = setting(
        0, "of the first sample; sample i has seed + i", at_least=0, at_most=NUM_SEEDS - 1
    )
    out: str | None = setting(
        None, "report.html, or a folder for report and files; null: nothing is kept", file=True
    )
    overwrite: bool = setting(False, "replace a report that exists")
    compare: str | None = setting(
        None, "JSON of an earlier evaluate, to show what changed", file=True
    )
    json: bool = setting(False, "print the result as JSON")
    token_budget: int = setting(4096, "tokens generated at once", at_least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_seed(self.seed, self.num_prompts)
        if self.splits is not None and not 0 < len(self.splits) == len(set(self.splits)):
            raise LuminaError(
                f"splits is {list(self.splits)}; name each split once, or use null for all of them."
            )
