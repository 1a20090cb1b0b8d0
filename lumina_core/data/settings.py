"""Where samples come from: the records. Imports no torch."""

from dataclasses import dataclass

from lumina_core.errors import LuminaError
from lumina_core.modality import SizeLimits
from lumina_core.records import Settings, setting


@dataclass(frozen=True)
class FilesConfig(Settings, block="data"):
    """A folder or a manifest, and which of its files are used."""

    name: str = setting(
        "folder",
        "a folder with captions in .txt beside its files, or in metadata.jsonl or .csv; or the "
        "files and captions that a .jsonl or .json file names",
        choices=("folder", "manifest"),
    )
    path: str | None = setting(
        None, "the folder, or the manifest: a .jsonl or .json file", file=True
    )
    pool_size: int = setting(2048, "samples kept encoded", at_least=1)
    pool_start: int = setting(
        64,
        "samples encoded before the first step; the pool grows by a quarter of them per step",
        at_least=1,
    )
    refresh_per_step: int = setting(
        4, "samples encoded anew at each step; none where the pool holds all files", at_least=0
    )
    min_tokens: int = setting(
        16, "smaller files are left out, judged before long ones are scaled down", at_least=1
    )
    max_tokens: int = setting(256, "larger files are scaled down to this many tokens", at_least=1)
    max_aspect: float = setting(
        4.0, "files longer than this in relation to their width are left out", at_least=1
    )
    max_quarantined: float = setting(
        0.1,
        "share of files left out, for any reason, above which the run ends",
        at_least=0,
        at_most=1,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_pool(self.pool_size, self.refresh_per_step)
        if self.min_tokens > self.max_tokens:
            raise LuminaError(
                f"data.min_tokens={self.min_tokens} and data.max_tokens={self.max_tokens}: use a "
                "maximum that is no smaller"
            )

    @property
    def limits(self) -> SizeLimits:
        """What the plugin is told about sizes."""
        return SizeLimits(self.min_tokens, self.max_tokens, self.max_aspect)


def check_pool(pool_size: int, refresh_per_step: int) -> None:
    """Refuse more samples renewed per step than a pool holds.

    Raises:
        LuminaError: they are more.
    """
    if refresh_per_step > pool_size:
        raise LuminaError(
            f"data.pool_size={pool_size} and data.refresh_per_step={refresh_per_step}: refresh at "
            "most the whole pool"
        )


@dataclass(frozen=True)
class SyntheticConfig(Settings, block="data"):
    """The pool of latents."""

    name: str = setting(
        "synthetic", "samples drawn by the world of the modality", choices=("synthetic",)
    )
    pool_size: int = setting(2048, "samples kept encoded", at_least=1)
    pool_start: int = setting(
        64,
        "samples encoded before the first step; the pool grows by a quarter of them per step",
        at_least=1,
    )
    refresh_per_step: int = setting(4, "samples drawn anew at each step", at_least=0)
    max_tokens: int | None = setting(
        None, "leave out sizes and lengths of more tokens than this; null: none", at_least=1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_pool(self.pool_size, self.refresh_per_step)
