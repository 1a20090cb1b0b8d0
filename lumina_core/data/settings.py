"""Where samples come from: the records. Imports no torch."""

from dataclasses import dataclass

from lumina_core.errors import LuminaError
from lumina_core.modality import SizeLimits
from lumina_core.records import Settings, setting


@dataclass(frozen=True)
class PoolConfig(Settings, block="data"):
    """The samples that are kept encoded."""

    pool_size: int = setting(2048, "samples kept encoded", at_least=1)
    pool_start: int = setting(
        64,
        "of them encoded before the first step; a quarter as many are added per step",
        at_least=1,
    )
    refresh_per_step: int = setting(
        4, "samples encoded anew at each step; none where the pool holds all files", at_least=0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.refresh_per_step > self.pool_size:
            raise LuminaError(
                f"data.pool_size={self.pool_size} and data.refresh_per_step="
                f"{self.refresh_per_step}: refresh at most the whole pool"
            )


@dataclass(frozen=True)
class SyntheticConfig(PoolConfig):
    """Samples drawn by the world of the modality."""

    name: str = setting("synthetic", "whence samples come", choices=("synthetic",))
    max_tokens: int | None = setting(
        None, "leave out sizes and lengths of more tokens than this; null: none", at_least=1
    )


@dataclass(frozen=True)
class FilesConfig(PoolConfig):
    """A folder or a manifest, and which of its files are used.

    Captions stand in .txt beside the files of a folder, or in metadata.jsonl or .csv.
    """

    name: str = setting("folder", "whence samples come", choices=("folder", "manifest"))
    path: str | None = setting(None, "the folder, or a .jsonl or .json file", file=True)
    min_tokens: int = setting(
        16, "smaller files are left out, judged before long ones are scaled down", at_least=1
    )
    max_tokens: int = setting(256, "larger files are scaled down to this many tokens", at_least=1)
    max_aspect: float = setting(
        4.0, "files longer than this in relation to their width are left out", at_least=1
    )
    max_quarantined: float = setting(
        0.1, "share of files left out, above which the run ends", at_least=0, at_most=1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min_tokens > self.max_tokens:
            raise LuminaError(
                f"data.min_tokens={self.min_tokens} and data.max_tokens={self.max_tokens}: use a "
                "maximum that is no smaller"
            )

    @property
    def limits(self) -> SizeLimits:
        """What the plugin is told about sizes."""
        return SizeLimits(self.min_tokens, self.max_tokens, self.max_aspect)


@dataclass(frozen=True)
class CachedConfig(PoolConfig):
    """What `cache` encoded ahead."""

    name: str = setting("cache", "whence samples come", choices=("cache",))
    path: str | None = setting(
        None, "what `cache` made, or a folder that holds several of these", file=True
    )
    max_quarantined: float = setting(
        0.1, "share of samples left out, above which the run ends", at_least=0, at_most=1
    )
